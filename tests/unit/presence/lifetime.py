"""What one presence process has of the world: a store, a publisher, a clock; and its life, which may end.

The store is in memory and the publisher only writes down. What a process does to the world are its effects:
writes that are stored, messages that are sent. It can be made to die of any of them.
"""

import asyncio
import math
import random
from collections.abc import Callable, Mapping
from typing import NamedTuple

from presence.memory import Memory
from presence.room_log import Added
from presence.store import NOTHING_KNOWN, Conflict, Dated, ListedStore, Record, StoreUnavailable
from tests.contract.fake_store import FakeStore, matches
from tests.unit.presence.rules.frames import NOW
from tieline.runtime.broker import BrokerAway
from tieline.runtime.message import Message
from tieline.runtime.requests import NoAnswer
from tieline.wire import jetstream_headers
from tieline.wire.ids import RoomId, UserId
from tieline.wire.internal import codec
from tieline.wire.internal.rooms import RoomChange
from tieline.wire.partitions import ONE, Partitions
from tieline.wire.subjects import Keys


class Died(StoreUnavailable, BrokerAway):
    """The process has died: what it did before is done, and nobody hears what it would have said."""


class Life:
    """How many effects on the world a process has before it dies: writes that are stored, messages sent."""

    def __init__(self) -> None:
        self.begin(None)

    def begin(self, dies_after: int | None) -> None:
        """Live anew, for ever or for so many effects."""
        self.effects = 0
        self.last = math.inf if dies_after is None else dies_after

    def goes_on(self) -> None:
        """Let something be done only by the living."""
        if self.effects >= self.last:
            raise Died

    def spend(self) -> None:
        """Note an effect; who dies of it does not live to see that it has happened."""
        self.effects += 1
        self.goes_on()


def uneven(chance: random.Random) -> Callable[[int], int]:
    """Let an operation wait for nobody, for a few turns of the others, or until others may be done."""
    return lambda _most: chance.choice((0, 1, 1, 2, 4, 40))


class Sent(NamedTuple):
    """One message to others."""

    subject: str
    payload: bytes
    message_id: str
    """By which the mailbox knows a frame that is sent twice; empty for what it does not keep."""
    call: str = ""
    """The call that it belongs to."""


class MortalStore(FakeStore):
    """A store as one process sees it, alone or beside others."""

    def __init__(
        self,
        life: Life,
        clock: "Clock",
        beside: "MortalStore | None" = None,
        partitions: Partitions = ONE,
    ) -> None:
        super().__init__(clock.seconds, partitions if beside is None else beside.partitions)
        self._life = life
        if beside is not None:
            self._stored, self._revisions = beside._stored, beside._revisions
            self.watchers = beside.watchers

        self.lingers: Callable[[int], int] | None = None
        """How many turns of the others, of at most so many, an operation waits for."""
        self.largest: dict[str, int] = {}
        """By key: the size of the largest record that this process wrote, in bytes."""
        self.loses: Callable[[], bool] | None = None
        """Whether a write that nobody waits for is lost."""
        self._timers: list[asyncio.Event] = []
        """Those that are being set: what is sent after them on the same connection comes after them."""

    async def write(
        self, key: str, value: bytes, revision: int, ttl_s: float | None = None, *, confirm: bool = True
    ) -> int:
        """See `Store.write`."""
        if not confirm:
            self._life.goes_on()
            if self.loses is not None and self.loses():
                return 0
        for timer in list(self._timers):
            await timer.wait()
        return await super().write(key, value, revision, ttl_s, confirm=confirm)

    async def put(self, key: str, value: bytes, ttl_s: float, *, leaves_marker: bool = True) -> int:
        """See `Store.put`."""
        is_set = asyncio.Event()
        self._timers.append(is_set)
        try:
            return await super().put(key, value, ttl_s, leaves_marker=leaves_marker)
        finally:
            self._timers.remove(is_set)
            is_set.set()

    async def _reach(self, what: object) -> None:
        for _ in range(1 if self.lingers is None else self.lingers(5)):
            await super()._reach(what)
        self._life.goes_on()

    def _written(
        self, key: str, value: bytes, ttl_s: float, *, is_marker: bool = False, leaves_marker: bool = False
    ) -> int:
        self._life.goes_on()
        revision = super()._written(key, value, ttl_s, is_marker=is_marker, leaves_marker=leaves_marker)
        self.largest[key] = max(len(value), self.largest.get(key, 0))
        self._life.spend()
        return revision


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now_ms = NOW

    def __call__(self) -> int:
        return self.now_ms

    def seconds(self) -> float:
        """The same, as the store wants it."""
        return self.now_ms / 1000

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self.now_ms += int(seconds * 1000)


class Recorder:
    """Where announcements go. See `presence.announce.Publisher`."""

    def __init__(self, life: Life, beside: "Recorder | None" = None) -> None:
        self._life = life
        self.sent: list[Sent] = [] if beside is None else beside.sent

    def send(self, subject: str, payload: bytes, reply: str = "", headers: bytes = b"") -> None:
        """Write a message down."""
        assert not reply, "an announcement wants no answer"
        self._life.goes_on()
        name = Message(subject, reply, payload, headers).header(b"Nats-Msg-Id")
        self.sent.append(Sent(subject, payload, name, jetstream_headers.call_of(headers)))
        self._life.spend()


class Logged(NamedTuple):
    """One entry of the log of rooms."""

    number: int
    room: RoomId
    user: UserId
    change: RoomChange


class FakeMail:
    """A mailbox that is asked what it has. See `presence.second_look.Mail`."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        """The names that were asked for."""
        self.answers: list[int | NoAnswer] = []
        """What is answered first; after that, that it is stored."""
        self.before: Callable[[], object] = bool
        """What is done first."""
        self.is_silent = False

    async def find(self, user: UserId, name: str) -> int:
        """Say where a frame is stored."""
        del user  # its name names it, too
        self.before()
        self.asked.append(name)
        if self.is_silent:
            await asyncio.Event().wait()
        answer = self.answers.pop(0) if self.answers else 1
        if isinstance(answer, NoAnswer):
            raise answer
        return answer


class Watch:
    """What a process hears of the changes of users. See `presence.user_watch`."""

    def __init__(self, store: MortalStore, memory: Memory) -> None:
        self._store = store
        self._memory = memory
        self._coming: list[tuple[str, Record]] = []
        self.lags: Callable[[], bool] | None = None
        """Whether a change, and what comes behind it, is heard of later."""
        self.begin()

    def begin(self) -> None:
        """Watch from now on: what was on its way is lost with the watch before."""
        self.end()
        for at in self._store.partitions:
            self._memory.prepare_watch(at)
        self._store.watchers.append(self._on_change)
        for at in self._store.partitions:
            self._memory.begin_watch(self._store.last_revision(at), at)

    def end(self) -> None:
        """Watch no more."""
        self._coming.clear()
        if self._on_change in self._store.watchers:
            self._store.watchers.remove(self._on_change)
        for at in self._store.partitions:
            self._memory.end_watch(at)

    def _on_change(self, key: str, record: Record) -> None:
        if matches(key, Keys.users()):
            self._coming.append((key, record))
            if self.lags is None or not self.lags():
                self.catch_up()

    def catch_up(self) -> None:
        """Hear of all that is on its way."""
        coming, self._coming = self._coming, []
        for key, record in coming:
            at = self._store.partitions.of_key(key)
            assert at is not None  # that is for patterns
            self._memory.changed(key, record, at)


class FakeRoomLog:
    """The log of rooms in memory. See `presence.room_log.RoomLog`."""

    def __init__(self, life: Life, beside: "FakeRoomLog | None" = None) -> None:
        self._life = life
        self.entries: list[Logged] = [] if beside is None else beside.entries

    async def add(self, room: RoomId, user: UserId, change: RoomChange) -> Added:
        """Write an entry, unless it is there."""
        assert codec.decode_room_change(codec.encode(change)) == change, "gateways can read it"
        self._life.goes_on()
        for entry in self.entries:
            if entry[1:] == (room, user, change):
                return Added(entry.number, is_new=False)
        self.entries.append(Logged(len(self.entries) + 1, room, user, change))
        self._life.spend()
        return Added(len(self.entries), is_new=True)

    async def has(self, room: RoomId, user: UserId) -> bool:
        """Look whether there is an entry of a user."""
        self._life.goes_on()
        return any((entry.room, entry.user) == (room, user) for entry in self.entries)


class BusyStore:
    """A store in which somebody else always wins the race for keys that begin so."""

    def __init__(self, store: ListedStore, prefix: str) -> None:
        self._store = store
        self._prefix = prefix
        self.read = store.read
        self.put = store.put
        self.keys = store.keys
        self.read_few = store.read_few
        self.read_dated = store.read_dated
        self.delete = store.delete
        self.refused = 0

    async def write(
        self, key: str, value: bytes, revision: int, ttl_s: float | None = None, *, confirm: bool = True
    ) -> int:
        """Write, or lose."""
        if key.startswith(self._prefix):
            self.refused += 1
            raise Conflict(key)
        return await self._store.write(key, value, revision, ttl_s, confirm=confirm)


class HeldUpStore:
    """A store that lets what is read so wait until it may go on: its process is slow."""

    def __init__(self, store: ListedStore, pattern: str) -> None:
        self._store = store
        self._pattern = pattern
        self.write = store.write
        self.put = store.put
        self.keys = store.keys
        self.read_few = store.read_few
        self.delete = store.delete
        self.is_reached = asyncio.Event()
        self.may_go_on = asyncio.Event()

    async def read(
        self, *keys: str, confirmed: bool = False, known: Mapping[str, Record] = NOTHING_KNOWN
    ) -> dict[str, Record]:
        """Read, after waiting for the first time that the pattern is among the keys."""
        await self._hold_up(keys)
        return await self._store.read(*keys, confirmed=confirmed, known=known)

    async def read_dated(self, *keys: str) -> Dated:
        """Read so, too."""
        await self._hold_up(keys)
        return await self._store.read_dated(*keys)

    async def _hold_up(self, keys: tuple[str, ...]) -> None:
        if self._pattern in keys:
            self.is_reached.set()
            await self.may_go_on.wait()
