"""A gateway's rooms at a broker of the test's own."""

from collections.abc import AsyncIterator

import pytest

from tests.broker.gateway.rooms.scene import Scene, scene_at
from tests.support.nats_server import NatsServer


@pytest.fixture
async def scene(pip_nats: NatsServer) -> AsyncIterator[Scene]:
    async with scene_at(pip_nats.url) as begun:
        yield begun
