"""Fixtures of the fault tests: a `tieline dev` for those whose fault it mends by itself; the broker."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.dev_processes import DevProcesses, running_dev
from tests.support.running_dev import RunningDev
from tieline.runtime.broker import Broker, connect


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDev]:
    """Two of each, and one broker, which come back on their old ports when they end."""
    with running_dev(tmp_path_factory.mktemp("dev")) as running:
        yield running


@pytest.fixture
def processes(dev: RunningDev) -> DevProcesses:
    """The processes of the `tieline dev`."""
    return DevProcesses(dev)


@pytest.fixture
async def broker(nats_url: str) -> AsyncIterator[Broker]:
    """A connection of the test's own to the broker of its system."""
    connected = await connect(nats_url, "test")
    yield connected
    await connected.close()
