"""Both ends of a question over the test's own nats-server."""

from collections.abc import AsyncIterator

import pytest

from tests.broker.runtime.watching import Attempts
from tests.support.nats_server import NatsServer
from tieline.runtime.broker import Broker, connect
from tieline.runtime.requests import Requests


@pytest.fixture
async def service(pip_nats: NatsServer) -> AsyncIterator[Broker]:
    """Another connection to that server, for the process that answers."""
    connected = await connect(pip_nats.url, "service")
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
