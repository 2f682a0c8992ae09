"""The browsers of the whole folder, one of each kind, and the systems and people of its tests."""

import asyncio
import functools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.browser.browsers import KINDS, Browsers
from tests.browser.lossy_line import LossyLine
from tests.browser.person import Person
from tests.support.coturn import TURN_SECRET, Coturn
from tests.support.running_dev import READY, RunningDev
from tests.support.system import SECRET
from tests.unit.client.resuming_gateways import Backend, Gateway

PersonMaker = Callable[..., Awaitable[Person]]

EVERY_BROWSER: Final = "TIELINE_EVERY_BROWSER"
"""With this in the environment every test runs in every browser."""

_numbers = count(1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is for `make soak`; let all share one event loop, and one browser of each kind."""
    later = [] if os.environ.get(EVERY_BROWSER) else [item for item in items if _is_for_later(item)]
    config.hook.pytest_deselected(items=later)
    items[:] = [item for item in items if item not in later]
    for item in items:
        if item.path.is_relative_to(__file__.rpartition("/")[0]) and item.get_closest_marker("asyncio"):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


def _is_for_later(item: pytest.Item) -> bool:
    """Whether this is a test in Firefox of what does not depend on the browser."""
    spec = getattr(item, "callspec", None)
    is_firefox = spec is not None and spec.params.get("browser") == "firefox"
    return is_firefox and item.get_closest_marker("both") is None


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def browsers() -> AsyncIterator[Browsers]:
    """Headless browsers whose microphones beep, each from when it is asked for on."""
    async with Browsers() as browsers:
        yield browsers


@pytest_asyncio.fixture(
    loop_scope="session", params=[pytest.param(kind, marks=pytest.mark.needs(kind)) for kind in KINDS]
)
async def browser(browsers: Browsers, request: pytest.FixtureRequest) -> Browser:
    """The browser of a test, which is a test for each kind."""
    return await browsers.get(request.param)


@pytest.fixture(scope="package")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDev]:
    """A system with two gateways, for all files that break nothing in it: it costs more than most tests."""
    with running_system(tmp_path_factory.mktemp("dev")) as running:
        yield running


@pytest.fixture(scope="package")
def lossy_line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LossyLine]:
    """A way to a real relay that loses packets when a test wants it."""
    with Coturn(tmp_path_factory.mktemp("coturn")) as coturn, LossyLine(coturn.port) as line:
        yield line


@pytest.fixture(scope="package")
def relayed_dev(lossy_line: LossyLine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDev]:
    """A system whose credentials for that relay live for five seconds."""
    settings = {"TURN_URLS": lossy_line.url, "TURN_SECRET": TURN_SECRET, "TURN_TTL": "5"}
    with running_system(tmp_path_factory.mktemp("dev"), **settings) as running:
        yield running


@contextmanager
def running_system(folder: Path, **settings: str) -> Iterator[RunningDev]:
    """Run a system with two gateways and settings of its own, named without their prefix."""
    environ = {"JWT_SECRET": SECRET, "DRAIN_WAIT": "0", "DRAIN_SPREAD": "0", **settings}
    variables = {f"TIELINE_{name}": value for name, value in environ.items()}
    with RunningDev(folder, ["--port", "0"], variables) as running:
        running.until_said(READY)
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def person_in(browsers: Browsers, dev: RunningDev) -> AsyncIterator[PersonMaker]:
    """Give a way to open pages, by kind of browser, name and gateway. Closes them in the end.

    Names become unique.
    """
    opened: list[Person] = []
    number = next(_numbers)

    async def make(kind: str, name: str, gateway: int = 0) -> Person:
        urls = dev.document["gateways"]
        one = await Person.open(
            await browsers.get(kind), f"{name}-{number}", [*urls[gateway:], *urls[:gateway]]
        )
        opened.append(one)
        return one

    yield make
    await asyncio.gather(*(one.page.context.close() for one in opened))


@pytest.fixture
def person(browser: Browser, person_in: PersonMaker) -> PersonMaker:
    """Give a way to open pages of the test's browser, by name and gateway."""
    return functools.partial(person_in, browser.browser_type.name)


@pytest_asyncio.fixture(loop_scope="session")
async def backend() -> Backend:
    return Backend()


@pytest_asyncio.fixture(loop_scope="session")
async def gateway(backend: Backend) -> AsyncIterator[Gateway]:
    gateway = Gateway()
    async with gateway.open(backend):
        yield gateway


@pytest_asyncio.fixture(loop_scope="session")
async def ann(person: PersonMaker) -> Person:
    """A page that hurries: no wait before it reconnects. See `hurried`."""
    one = await person("ann")
    await one.page.evaluate("() => { Math.random = () => 0; }")
    return one


async def pair(person: PersonMaker) -> tuple[Person, Person]:
    """Open a page on each gateway; both are in the same room."""
    alice, bob = await asyncio.gather(person("alice"), person("bob", gateway=1))
    await alice.come("demo")
    await bob.come("demo")
    return alice, bob
