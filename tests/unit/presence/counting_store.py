"""A store that counts what one operation asks of it, and how often the operation waits for it in a row.

A round trip to a broker costs an operation the same whether it asks for one thing or for several at once.
So the store lets everything wait that is asked for, until the operation can do nothing more without an
answer, and then answers all of it: that is one round.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Mapping
from typing import Final, NamedTuple

from presence.room_log import Added
from presence.store import NOTHING_KNOWN, Dated, ListedStore, Record
from tieline.wire.ids import RoomId, UserId
from tieline.wire.internal.rooms import RoomChange

TURNS: Final = 50
"""Turns of the event loop in which an operation does whatever it can without an answer: a few are enough."""


class Trips(NamedTuple):
    """What one operation has cost."""

    rounds: int
    """How often it waited for the store."""
    requests: int
    """Messages that were sent and answered: the leader is asked for one key at a time."""
    one_way: int
    """Messages that were sent, and that nobody waited for."""


class CountingStore:
    """Another store and a log of rooms, counted. See `presence.store.Store`."""

    def __init__(self, store: ListedStore) -> None:
        self._store = store
        self._waiting: list[asyncio.Future[None]] = []
        self._is_counting = False
        self.asked: Counter[str] = Counter()
        """The messages of the operation that was counted last, by kind."""

    async def count(self, operation: Awaitable[object]) -> Trips:
        """Carry out one operation, alone, and count."""
        self.asked.clear()
        self._is_counting = True
        rounds = 0
        task = asyncio.ensure_future(operation)
        while not task.done():
            for _ in range(TURNS):
                await asyncio.sleep(0)
            rounds += bool(self._waiting)
            for waiting in self._waiting:
                waiting.set_result(None)
            self._waiting.clear()
        self._is_counting = False
        task.result()
        one_way = self.asked["one-way write"]
        return Trips(rounds, self.asked.total() - one_way, one_way)

    async def read(
        self, *keys: str, confirmed: bool = False, known: Mapping[str, Record] = NOTHING_KNOWN
    ) -> dict[str, Record]:
        """See `Store.read`."""
        await self._wait("confirmed read" if confirmed else "read", len(keys) if confirmed else 1)
        return await self._store.read(*keys, confirmed=confirmed, known=known)

    async def read_dated(self, *keys: str) -> Dated:
        """See `DatedStore.read_dated`."""
        await self._wait("read")
        return await self._store.read_dated(*keys)

    async def read_few(self, most: int, *keys: str) -> Dated | None:
        """See `ListedStore.read_few`."""
        await self._wait("read")
        return await self._store.read_few(most, *keys)

    async def keys(self, *patterns: str) -> list[str]:
        """See `ListedStore.keys`; each pattern is a question of its own."""
        if patterns:
            await self._wait("list", len(patterns))
        return await self._store.keys(*patterns)

    async def write(
        self, key: str, value: bytes, revision: int, ttl_s: float | None = None, *, confirm: bool = True
    ) -> int:
        """See `Store.write`."""
        if confirm:
            await self._wait("write")
        else:
            self.asked["one-way write"] += 1
        return await self._store.write(key, value, revision, ttl_s, confirm=confirm)

    async def put(self, key: str, value: bytes, ttl_s: float, *, leaves_marker: bool = True) -> int:
        """See `Store.put`."""
        await self._wait("put")
        return await self._store.put(key, value, ttl_s, leaves_marker=leaves_marker)

    async def delete(self, key: str, revision: int) -> None:
        """See `Store.delete`."""
        await self._wait("delete")
        await self._store.delete(key, revision)

    async def count_keys(self, pattern: str, _revision: int) -> int | None:
        """See `presence.rosters.Count`."""
        await self._wait("count")
        return len(await self._store.read(pattern))

    async def add(self, _room: RoomId, _user: UserId, _change: RoomChange) -> Added:
        """Add to the log of rooms, of which only the cost matters. See `presence.room_log.RoomLog`."""
        await self._wait("log entry")
        return Added(1, is_new=True)

    async def has(self, _room: RoomId, _user: UserId) -> bool:
        """See `presence.room_log.RoomLog`."""
        await self._wait("look at the log")
        return True

    async def _wait(self, kind: str, messages: int = 1) -> None:
        if not self._is_counting:
            return
        self.asked[kind] += messages
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        await waiting
