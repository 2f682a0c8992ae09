"""Typed records over the store: what is stored under each kind of key, and for how long."""

import asyncio
import contextlib
import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from presence.memory import Memory
from presence.read_budget import parts
from presence.record_codec import encode, entry_in, negotiation_in, user_alone, users_in
from presence.rules.effects import Effect, is_for_others
from presence.rules.negotiated import RETRY_MS, Negotiation
from presence.rules.room import may_be_kept
from presence.rules.user import RosterEntry, User
from presence.side_by_side import both
from presence.store import (
    ABSENT,
    MARKER_TTL_S,
    MAX_TRIES,
    Conflict,
    CurrentStore,
    Dated,
    ListedStore,
    Record,
    StoreUnavailable,
    lost_rounds,
    read_one,
)
from tieline import metrics
from tieline.wire.ids import RoomId, UserId
from tieline.wire.partitions import ONE, Partitions
from tieline.wire.subjects import Keys

LAG_S: Final = 0.02
"""Between two looks at what a replica does not have yet: unless it is cut off, it lags less than that."""

MAX_LOOKS: Final = 50
"""Looks before giving up, after about a second: another look may be another replica's."""

IDLE_NEGOTIATION_TTL_S: Final = RETRY_MS / 1000 + 15
"""How long a record without a negotiation is kept: until none of its frames can be a retry."""

UNTOLD_TTL_S: Final = 300.0
"""How long it is kept if it says what the stream of events may not have: as long as a user who is gone."""

FORGOTTEN_BEFORE_S: Final = 5.0
"""So long before the bucket does, this process forgets a record that goes by itself."""

Guess = Literal["begins", "changes", "may be held"]
"""What a signal does to a negotiation, by what is known of the signal: it begins one, changes one, or changes
one that nobody has answered. What changes nothing is not decided on what is remembered."""


class Entry(NamedTuple):
    """The roster entry of a session that enters a room."""

    revision: int
    is_new: bool
    """It was written for that; else it was there, and another copy of the request may remove it again."""


def _kept_s(usual_s: float, pending: Iterable[Effect]) -> float:
    """Say how long a record is kept that goes by itself: longer, until others are told what has become of it.

    A process that dies has that told by the next one, which may not live for as long as timers wait for it.
    """
    return max(usual_s, MARKER_TTL_S) if any(map(is_for_others, pending)) else usual_s


def _has_all(found: Mapping[str, Record], written: Mapping[str, int]) -> bool:
    """Whether what was read is not older than these writes."""
    return all(found.get(key, ABSENT).revision >= revision for key, revision in written.items())


class Records:
    """The store, speaking in users, negotiations and roster entries. Raises what `Store` raises."""

    def __init__(
        self,
        store: ListedStore,
        offline_retention_s: float,
        memory: Memory | None = None,
        partitions: Partitions = ONE,
        current: CurrentStore | None = None,
    ) -> None:
        """Take also what this process keeps of what it has read and written.

        The store is asked as `current` for what must be as new as now; without one no replica of it lags.
        """
        self.partitions = partitions
        self._current = current
        self.store = store
        self._offline_retention_s = offline_retention_s
        self.memory = Memory() if memory is None else memory

    def recall(self, users: tuple[str, ...], pair: str, guess: Guess) -> dict[str, Record] | None:
        """Return what is remembered of two users and their negotiation; None: it has to be read.

        If it begins, it is taken not to be there, unless it is known to be.
        """
        found = self.memory.users(users)
        stored = self.memory.pair(pair)
        if found is None or (stored is None and guess != "begins"):
            return None
        if stored is not None:
            found[pair] = stored
            negotiation, _ = self.negotiation_in(found, pair)
            if guess == "may be held" and negotiation is not None and negotiation.established:
                return None
        return found

    async def read_user(self, key: str, *others: str, confirmed: bool = False) -> dict[str, Record]:
        """Read a user's record with other keys, and remember it."""
        if confirmed or len(tuple(parts((key, *others)))) > 1:
            return await self.store.read(key, *others, confirmed=confirmed)
        dated = await self.store.read_dated(key, *others)
        self.memory.keep_users(dated, (key,))
        return dict(dated.found)

    async def read_user_with_few(self, most: int, key: str, *others: str) -> Dated | None:
        """Read a user's record as `read_user` does, with others and what patterns match.

        They are in one partition. None: they are more than so many.
        """
        dated = await self.store.read_few(most, key, *others)
        if dated is not None:
            self.memory.keep_users(dated, (key,))
        return dated

    async def recall_or_read(self, keys: Iterable[str]) -> dict[str, Record]:
        """Return what is stored under keys; users are as they are remembered, where they are."""
        keys = tuple(keys)
        found = self.memory.known_users(keys)
        unknown = [key for key in keys if key not in found]
        return found | await self.store.read(*unknown) if unknown else found

    async def read_together(
        self, each: Sequence[tuple[str, ...]]
    ) -> dict[tuple[str, ...], dict[str, Record]]:
        """Read what several look at, and give each its own.

        What one of them looks at is read as of one moment, the first few keys even where they are hundreds.
        """
        keys = tuple(dict.fromkeys(key for asked in each for key in asked))
        if len(each) > 1 and len(tuple(parts(keys))) > 1:
            half = len(each) // 2
            one, other = await both(self.read_together(each[:half]), self.read_together(each[half:]))
            return one | other
        found = await self.store.read(*keys)
        return {asked: {key: found[key] for key in asked if key in found} for asked in each}

    async def read_negotiation(
        self, users: tuple[str, ...], pair: str, *, confirmed: bool = False
    ) -> dict[str, Record]:
        """Read two users and their negotiation, and remember them."""
        if confirmed:
            found = await self.store.read(*users, pair, confirmed=True)
        else:
            dated = await self.store.read_dated(*users, pair)
            self.memory.keep_users(dated, users)
            found = dict(dated.found)
        if pair in found:
            self.memory.keep_pair(pair, found[pair])
        else:
            self.memory.forget_pair(pair)
        return found

    def negotiation_in(self, found: Mapping[str, Record], key: str) -> tuple[Negotiation | None, int]:
        """Find a negotiation and its revision among what was read, or remembered."""
        record = found.get(key, ABSENT)
        decoded = self.memory.decoded_pair(key, record)
        return (decoded, record.revision) if isinstance(decoded, Negotiation) else negotiation_in(found, key)

    def users_in(self, found: Mapping[str, Record], users: Iterable[UserId]) -> dict[UserId, User]:
        """Find the records of several users among what was read, or remembered."""
        records: dict[UserId, User] = {}
        for user in users:
            key = Keys.user(user)
            if key in found:
                decode = functools.partial(user_alone, found, key)
                decoded = self.memory.decoded_user(key, found[key], decode)
                if isinstance(decoded, User):
                    records[user] = decoded
        return records

    async def read_after(self, written: Mapping[str, int], *keys: str) -> dict[str, Record]:
        """Read keys and patterns from a replica that has these writes: revisions, by keys that are read too.

        A replica that lags behind them may lack what others have written before. What was written is never
        lacking where it is: a record that has been removed since has a newer revision.
        """
        elsewhere = self._elsewhere(written, keys)
        if self._current is not None and elsewhere:
            here = [key for key in keys if key not in elsewhere]
            if not here:
                return await self._current.read_now(*elsewhere)
            found, now = await both(self.read_after(written, *here), self._current.read_now(*elsewhere))
            return {**found, **now}
        first, *others = parts(keys, written)
        found = await self._read_part_after(written, first)
        for part in others:  # each may be answered by another replica
            found |= await self._read_part_after(written, (*written, *part))
        return found

    def place_of(self, key: str) -> int:
        """Find the partition of a record."""
        at = self.partitions.of_key(key)
        assert at is not None  # that is for patterns
        return at

    def are_together(self, one: str, other: str) -> bool:
        """Whether two keys are in one partition, so that their revisions say which was written first."""
        return self.partitions.of_key(one) == self.partitions.of_key(other)

    def _elsewhere(self, written: Mapping[str, int], keys: Iterable[str]) -> list[str]:
        """List the keys and patterns that may be in other partitions than what was written.

        The revisions of that say nothing there. So they are read as they are now, or later.
        """
        if self.partitions.number == 1:
            return []
        here = {self.partitions.of_key(key) for key in written}
        return [key for key in keys if self.partitions.of_key(key) not in here]

    async def _read_part_after(self, written: Mapping[str, int], keys: tuple[str, ...]) -> dict[str, Record]:
        for _ in range(MAX_LOOKS):
            found = await self.store.read(*keys)
            if _has_all(found, written):
                return found
            await asyncio.sleep(LAG_S)
        raise StoreUnavailable(f"no replica has {dict(written)}")

    async def read_few_after(
        self, written: Mapping[str, int], most: int, *keys: str
    ) -> dict[str, Record] | None:
        """Read as `read_after` does; None: there are more than so many. See `ListedStore.read_few`."""
        elsewhere = self._elsewhere(written, keys)
        if self._current is not None and elsewhere:
            here = [key for key in keys if key not in elsewhere]
            few, now = await both(
                self.read_few_after(written, most, *here), self._current.read_few_now(most, *elsewhere)
            )
            if few is None or now is None or len(few) + len(now) > most:
                return None
            return {**few, **now}
        for _ in range(MAX_LOOKS):
            dated = await self.store.read_few(most, *keys)
            if dated is None:
                return None
            if _has_all(dated.found, written):
                return dict(dated.found)
            await asyncio.sleep(LAG_S)
        raise StoreUnavailable(f"no replica has {dict(written)}")

    async def users(self, users: Iterable[UserId], *, confirmed: bool = False) -> dict[UserId, User]:
        """Read several users' records; a user who has none is left out."""
        keys = {Keys.user(user): user for user in users}
        if not keys:
            return {}
        return users_in(await self.store.read(*keys, confirmed=confirmed), keys.values())

    async def users_now(self, users: Iterable[UserId]) -> dict[UserId, User]:
        """Read several users' records as they are now, or later; a user who has none is left out."""
        keys = {Keys.user(user): user for user in users}
        return users_in(await self.read_now(*keys), keys.values()) if keys else {}

    async def read_now(self, *keys: str) -> dict[str, Record]:
        """Read keys and patterns as they are now, or later. See `CurrentStore.read_now`."""
        store = self.store.read if self._current is None else self._current.read_now
        return await store(*keys)

    async def write_user(self, key: str, record: User, revision: int, *, confirm: bool = True) -> int:
        """Change a user's record; an offline one is kept for the retention only. See `Store.write`."""
        ttl_s = None if record.is_reachable else _kept_s(self._offline_retention_s, record.pending)
        value = encode(record)
        written = await self.store.write(key, value, revision, ttl_s, confirm=confirm)
        if written:
            self.memory.keep_user(key, Record(value, written), written)
        return written

    async def write_negotiation(
        self, key: str, record: Negotiation, revision: int, *, confirm: bool = True
    ) -> int:
        """Change a negotiation; a record without one goes by itself. See `Store.write`."""
        idle_s = _kept_s(UNTOLD_TTL_S if record.facts else IDLE_NEGOTIATION_TTL_S, record.pending)
        ttl_s = None if record.is_active else idle_s
        value = encode(record)
        self.memory.forget_pair(key)  # whatever becomes of this write, the pair is another one then
        written = await self.store.write(key, value, revision, ttl_s, confirm=confirm)
        if written:
            for_s = math.inf if ttl_s is None else ttl_s - FORGOTTEN_BEFORE_S
            self.memory.keep_pair(key, Record(value, written), record, for_s)
        return written

    async def write_entry(self, room: RoomId, user: UserId, entry: RosterEntry, revision: int) -> int:
        """Write a roster entry. See `Store.write`."""
        return await self.store.write(Keys.room(room, user), encode(entry), revision)

    async def enter(
        self,
        room: RoomId,
        user: UserId,
        entry: RosterEntry,
        stored: RosterEntry | None,
        revision: int,
        as_of: int = 0,
    ) -> Entry:
        """Enter a session into a roster, or find that it is; returns its entry.

        `stored` and `revision` are what was read of the user's entry, `as_of` is the revision of its record.

        Raises:
            Conflict: another session is entered, which may be a newer one: the record has changed since.
        """
        key = Keys.room(room, user)
        for _ in range(MAX_TRIES):
            if stored is not None and may_be_kept(stored, entry):
                return Entry(revision, is_new=False)
            if stored is not None and stored.session != entry.session and await self._is_newer(user, as_of):
                raise Conflict(key)
            try:
                return Entry(await self.write_entry(room, user, entry, revision), is_new=True)
            except Conflict:
                metrics.CAS_CONFLICTS.inc()
                stored, revision = entry_in(await self.store.read(key, confirmed=True), key)
        raise lost_rounds(key)

    async def _is_newer(self, user: UserId, as_of: int) -> bool:
        """Whether a user's record is another one than that of a revision, by the leader's word."""
        return (await read_one(self.store, Keys.user(user))).revision != as_of

    async def remove(self, key: str, revision: int) -> None:
        """Delete a key, unless it has changed since it was read."""
        with contextlib.suppress(Conflict):
            await self.store.delete(key, revision)
