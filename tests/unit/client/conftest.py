"""Two gateways of one exchange, for the tests of a client that resumes."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.client.resuming_gateway import Dice, Door, Exchange


@pytest.fixture
def exchange() -> Exchange:
    return Exchange()


@pytest.fixture
def dice() -> Dice:
    return Dice()


@pytest.fixture
async def door(exchange: Exchange) -> AsyncIterator[Door]:
    door = Door()
    async with door.open(exchange):
        yield door


@pytest.fixture
async def other_door(exchange: Exchange) -> AsyncIterator[Door]:
    door = Door()
    async with door.open(exchange):
        yield door
