"""A nats-server of its own for each test that needs one: to be killed, and started again on its port."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.broker.runtime.watching import Attempts
from tests.support.nats_server import NatsServer
from tieline.runtime.broker import Broker, connect
from tieline.runtime.requests import Requests


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[NatsServer]:
    """A running nats-server for one test alone."""
    with NatsServer.alone(tmp_path / "jetstream") as server:
        yield server
        server.kill()  # it may stand still


@pytest.fixture
async def broker(nats: NatsServer) -> AsyncIterator[Broker]:
    """A connection to that server."""
    connected = await connect(nats.url, "test")
    yield connected
    await connected.close()


@pytest.fixture
async def service(nats: NatsServer) -> AsyncIterator[Broker]:
    """Another connection to that server, for the process that answers."""
    connected = await connect(nats.url, "service")
    yield connected
    await connected.close()


@pytest.fixture
def attempts(broker: Broker) -> Attempts:
    """That connection, telling of everything that is sent on it."""
    return Attempts(broker)


@pytest.fixture
async def requests(attempts: Attempts) -> Requests:
    """Requests on it, ready to be asked."""
    asking = Requests(attempts, "t.router.r-1.reply")
    await asking.start()
    return asking
