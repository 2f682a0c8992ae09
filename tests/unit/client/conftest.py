"""Two gateways of one exchange, for the tests of a client that resumes."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.unit.client.resuming_gateway import Dice, Door, Exchange
from tieline.cli.dev.ports import hold_ports


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
def shut_door() -> Iterator[Door]:
    """One that can be opened and closed, and is always found at the same place."""
    with hold_ports(1, "127.0.0.1") as (port,):
        yield Door(port)


@pytest.fixture
async def other_door(exchange: Exchange) -> AsyncIterator[Door]:
    door = Door()
    async with door.open(exchange):
        yield door
