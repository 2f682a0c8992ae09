"""A connection to a nats-server of the test's own, which it may kill, and start again on its port."""

from collections.abc import AsyncIterator

import pytest

from tests.support.nats_server import NatsServer
from tieline.runtime.broker import Broker, connect


@pytest.fixture
async def broker(pip_nats: NatsServer) -> AsyncIterator[Broker]:
    connected = await connect(pip_nats.url, "test")
    yield connected
    await connected.close()
