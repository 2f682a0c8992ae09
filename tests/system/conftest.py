"""Fixtures of the scenarios: systems of several sizes on one broker, and the people who use them."""

import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from deploy.asyncapi.document import PATH
from tests.support.people import People
from tests.support.raw_client import RawClient
from tests.support.resuming import ResumingPeople
from tests.support.running_dev import READY, RunningDev
from tests.support.system import SECRET, Clustered, Service, System
from tests.support.traffic import Traffic
from tests.support.whole_run import is_whole, note_left_out

SIZES: Final = {"one": 1, "three": 3}
"""How many gateways, routers and presences."""

MAX_MEMBERS: Final = 6
"""Of a room: more than any scenario needs that is not about full rooms."""

everywhere = pytest.mark.parametrize("system", ["one", "three", "dev"], indirect=True)
"""For the scenarios that are tried on what `tieline dev` starts, too."""

NewGateway = Callable[..., Service]


class DevSystem:
    """What `tieline dev` has started."""

    def __init__(self, running: RunningDev) -> None:
        self._running = running
        urls: list[str] = running.document["gateways"]
        self.ports = [int(url.rpartition(":")[2].removesuffix("/ws")) for url in urls]

    @property
    def log(self) -> str:
        """Everything that its processes have logged."""
        return self._running.log


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Take note that tests were left out of this run."""
    note_left_out(items)


@pytest.fixture(scope="session", autouse=True)
def traffic(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compare all that is said with docs/asyncapi.json; in a run of all these tests all of it is said."""
    traffic = RawClient.watcher = Traffic(json.loads(PATH.read_text(encoding="utf-8")))
    yield
    RawClient.watcher = None
    assert not traffic.strangers, "docs/asyncapi.json does not describe these"
    if is_whole(request.session, Path(__file__).parent):
        assert not traffic.unheard(), "docs/asyncapi.json describes these, and no test has seen them"


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[RunningDev]:
    """A `tieline dev` of one's own, which is ready."""
    with RunningDev(tmp_path, ["--port", "0"], {"TIELINE_JWT_SECRET": SECRET}) as running:
        running.until_said(READY)
        yield running


@pytest.fixture(scope="session", params=["one", "three"])
def system(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clustered]:
    """A system of one of each, then one of three of each; or, if a test asks for it, `tieline dev`.

    Presence looks at tokens itself in that of three.
    """
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "dev":
        sizes = ["--gateways", "2", "--routers", "2", "--presences", "2"]
        environ = {"TIELINE_JWT_SECRET": SECRET, "TIELINE_DRAIN_WAIT": "0", "TIELINE_DRAIN_SPREAD": "0"}
        with RunningDev(folder, ["--port", "0", *sizes], environ) as running:
            running.until_said(READY)
            yield DevSystem(running)
        return
    size = SIZES[request.param]
    # In memory: the races write a hundred megabytes; `tieline dev` and the faults are tried on files.
    settings = {"ROOM_MAX_MEMBERS": str(MAX_MEMBERS), "STORAGE": "memory"}
    if size > 1:
        settings["VERIFY_TOKENS"] = "on"
    nats_url = request.getfixturevalue("nats_url")
    with System(
        nats_url, folder, gateways=size, routers=size, presences=size, settings=settings
    ) as running_system:
        yield running_system


@pytest.fixture(scope="session")
def hasty(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system that waits for nothing as long as it should, and logs everything."""
    settings = {"OFFER_TIMEOUT": "2", "OFFLINE_RETENTION": "2", "GATEWAY_LEASE": "2", "LOG_LEVEL": "debug"}
    folder = tmp_path_factory.mktemp("hasty")
    with System(nats_url, folder, gateways=2, presences=2, settings=settings) as running:
        yield running


@pytest.fixture
def new_gateway(system: System) -> Iterator[NewGateway]:
    """Give a way to add a gateway with settings of its own to `system`; it goes with the test.

    Name it before `people`: then its clients go first.
    """
    with ExitStack() as running:
        yield lambda **settings: running.enter_context(system.extra("gateway", **settings))


@pytest.fixture
async def people(system: Clustered) -> AsyncIterator[ResumingPeople]:
    """The people of a test on `system`: the one here, or the one of the test's own file."""
    async with ResumingPeople(system) as people:
        yield people


@pytest.fixture
async def hasty_people(hasty: System) -> AsyncIterator[People]:
    """The people of a test on `hasty`."""
    async with People(hasty) as people:
        yield people
