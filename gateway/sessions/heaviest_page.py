"""The page /heaviest of the ops port: the users and rooms of this gateway that cost most in the last minute.

`tieline top` adds up those of several gateways. It is made a part at a time, so that nobody waits for it.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from itertools import islice
from typing import Final, TypeVar

import msgspec

from gateway.delivery.connections import Connections
from gateway.limits.heaviest import Ranking
from gateway.limits.users import Users
from tieline.wire.ids import UserId

COUNT: Final = 10

PART: Final = 128
"""Users that are looked at in one go: less than half a millisecond."""

T = TypeVar("T")


async def heaviest_page(users: Users, connections: Connections) -> bytes:
    """Make the page, as JSON."""
    ranking = Ranking(asyncio.get_running_loop().time())
    here: set[UserId] = set()
    async for connection in _in_parts(connections):
        if connection.session is not None:
            here.add(connection.session.user)
            ranking.add_rooms(connection.session.budget, tuple(connection.session.rooms))
    async for budget in _in_parts(users):
        ranking.add_user(budget)
        if budget.user not in here:
            ranking.add_rooms(budget, budget.rooms)
    return msgspec.json.encode(ranking.heaviest(COUNT))


async def _in_parts(things: Iterable[T]) -> AsyncIterator[T]:
    waiting = iter(things)
    while part := tuple(islice(waiting, PART)):
        for thing in part:
            yield thing
        await asyncio.sleep(0)
