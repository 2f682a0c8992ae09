"""A connection to a nats-server of the test's own."""

from collections.abc import AsyncIterator

import pytest

from tests.support.nats_server import NatsServer
from tieline.runtime.broker import Broker, connect
from tieline.runtime.requests import Requests
from tieline.wire.subjects import Subjects

SUBJECTS = Subjects("t")


@pytest.fixture
async def broker(pip_nats: NatsServer) -> AsyncIterator[Broker]:
    connected = await connect(pip_nats.url, "test")
    yield connected
    await connected.close()


@pytest.fixture
async def requests(broker: Broker) -> Requests:
    asking = Requests(broker, SUBJECTS.replies("presence", "1"))
    await asking.start()
    return asking
