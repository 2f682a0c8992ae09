"""One Chromium for the whole folder, and the systems and people of its tests."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.browser.person import Person
from tests.support.demand import program
from tests.support.running_dev import READY, RunningDev
from tests.support.system import SECRET
from tests.unit.client.resuming_gateways import Backend, Gateway

FLAGS: Final = [
    "--no-sandbox",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--allow-loopback-in-peer-connection",  # where there is no network, loopback is all there is
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

PersonMaker = Callable[..., Awaitable[Person]]

_numbers = count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let all these tests share one event loop, and with it one Chromium."""
    for item in items:
        if item.path.is_relative_to(__file__.rpartition("/")[0]) and item.get_closest_marker("asyncio"):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """A headless Chromium whose microphones beep."""
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=program("chromium"), args=FLAGS)
        yield chromium
        await chromium.close()


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDev]:
    """A system with two gateways."""
    with running_system(tmp_path_factory.mktemp("dev")) as running:
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
async def person(browser: Browser, dev: RunningDev) -> AsyncIterator[PersonMaker]:
    """Give a way to open pages, by name and gateway; names become unique. Closes them in the end."""
    opened: list[Person] = []
    number = next(_numbers)

    async def make(name: str, gateway: int = 0) -> Person:
        urls = dev.document["gateways"]
        one = await Person.open(browser, f"{name}-{number}", [*urls[gateway:], *urls[:gateway]])
        opened.append(one)
        return one

    yield make
    for one in opened:
        await one.page.context.close()


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
    alice, bob = await person("alice"), await person("bob", gateway=1)
    await alice.come("demo")
    await bob.come("demo")
    return alice, bob
