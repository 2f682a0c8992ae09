"""Rosters as they are stored: entering a session, removing entries, and listing a room's members.

Who counts as a member, and which entries are left behind, is decided in `presence.rules.room`. To enter, the
entries of a room are only counted; they are read when there seem to be too many, and while a room is known to
be full nothing is read or written for who is refused.
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

from presence.record_codec import entry_in, rosters_in, user_in
from presence.records import Entry, Records
from presence.rules import room as rules
from presence.rules.room import StoredEntry
from presence.rules.user import RosterEntry, User
from presence.side_by_side import side_by_side
from presence.store import MAX_TRIES, Conflict, Record, lost_rounds
from tieline.wire.ids import RoomId, SessionId, UserId
from tieline.wire.internal.rooms import RoomMembers
from tieline.wire.subjects import Keys

FULL_MS: Final = 1_000
"""How long a room that was found full is taken to be: a seat that becomes free is given a second later."""

MAX_FULL: Final = 10_000
"""Rooms that are known to be full, or counted; past it the oldest are forgotten."""

SHORT: Final = 32
"""So many entries are read with the record of a user who comes, and do not have to be counted."""

ROOMY_SHARE: Final = 16
"""After all entries of a room were read, each process gives this part of the free seats away within `FULL_MS`
without reading again: fewer processes than that never give away more seats than there are."""

Count = Callable[[str, int], Awaitable[int | None]]
"""Count the keys that a pattern matches, as they were at a revision or later; None: they are not counted.

Keys that were deleted some minutes ago count, too: it may be more than there are.

Raises:
    StoreUnavailable: no answer.
"""


NotedT = TypeVar("NotedT")


async def uncounted(_pattern: str, _revision: int) -> int | None:
    """Count nothing, for a store that cannot: each roster is read."""
    return None


class _Full(NamedTuple):
    """That a room was found full."""

    until: int
    """The moment up to which that is believed."""
    revision: int
    """Of an entry that found no seat: nor does any that is written later."""


class _Counted(NamedTuple):
    """How many entries a room had at most when its bucket was at a revision."""

    entries: int
    revision: int

    def most_at(self, revision: int) -> int | None:
        """Return how many it can have at a later one: each write is a revision. None: it is no later one."""
        later = revision - self.revision
        return self.entries + later if later > 0 else None


@dataclasses.dataclass
class _Roomy:
    """That a room was found to have seats."""

    until: int
    seats: int
    """How many may be given away up to that moment."""


class Rosters:
    """Every room's roster. Raises what `Store` raises; repeating is always safe."""

    def __init__(self, records: Records, max_members: int, count: Count = uncounted) -> None:
        self._records = records
        self._max_members = max_members
        self._count = count
        self._full: dict[RoomId, _Full] = {}
        """Rooms that were found full."""
        self._roomy: dict[RoomId, _Roomy] = {}
        """Rooms of which many members have gone, so that counting says too little, but that have seats."""
        self._counted: dict[RoomId, _Counted] = {}
        """Rooms whose entries were counted, which says for some time that there are seats."""
        self._looking: dict[RoomId, asyncio.Lock] = {}
        """Rooms whose entries are being read, by one request at a time."""

    async def read(self, room: RoomId, written: Mapping[str, int]) -> list[StoredEntry]:
        """Read the roster of a room as it was after these writes, or later. See `Records.read_after`."""
        found = await self._records.read_after(written, *written, Keys.roster(room))
        return rosters_in(found, [room])[room]

    async def read_beside(
        self, room: RoomId, user: str, others: tuple[str, ...], now: int
    ) -> dict[str, Record] | None:
        """Read a user's record, others, and the roster of a room all at once, if that is known to be short.

        `user` and `others` are keys; there is an entry less to count then. None: the roster is long, full, or
        in another partition than the user.
        """
        counted, full = self._counted.get(room), self._full.get(room)
        is_long = counted is not None and counted.entries > SHORT
        pattern = Keys.roster(room)
        is_full = full is not None and full.until > now
        if is_long or is_full or not self._records.are_together(user, pattern):
            return None
        few = await self._records.read_user_with_few(SHORT + 1 + len(others), user, *others, pattern)
        if few is None:
            return None
        if few.up_to:
            entries = len(rosters_in(few.found, [room])[room])
            _note(self._counted, room, _Counted(entries, few.up_to))
        return dict(few.found)

    async def read_now(self, room: RoomId) -> list[StoredEntry]:
        """Read the roster of a room as it is now, or later: nobody is missing who is answered to be in it."""
        return rosters_in(await self._records.read_now(Keys.roster(room)), [room])[room]

    async def enter(
        self,
        user: UserId,
        entry: RosterEntry,
        rooms: Sequence[RoomId],
        found: Mapping[str, Record],
        as_of: int = 0,
    ) -> dict[RoomId, Entry]:
        """Enter a session into each room that is not full; returns its entries.

        `found` holds what was read of the user's entries, when its record had the revision `as_of`. Of users
        who come at the same moment, those are in whose entries were stored first, as many as there is room
        for; the others are removed again. An entry that was there is another copy's of the same request,
        which may have been given the seat.

        Raises:
            Conflict: see `Records.enter`.
        """
        open_rooms = [room for room in rooms if not self._is_known_full(room, user, found, entry.at)]
        entries = await side_by_side(
            *(
                self._records.enter(room, user, entry, *entry_in(found, Keys.room(room, user)), as_of)
                for room in open_rooms
            )
        )
        entered = dict(zip(open_rooms, entries, strict=True))
        seated = await side_by_side(
            *(self._has_seat(room, user, each, entry.at) for room, each in entered.items())
        )
        return {room: entered[room] for room, has_seat in zip(entered, seated, strict=True) if has_seat}

    def _is_known_full(self, room: RoomId, user: UserId, found: Mapping[str, Record], now: int) -> bool:
        """Whether a room is known to have no seat for a user who has none yet."""
        full = self._full.get(room)
        is_full = full is not None and full.until > now
        return is_full and entry_in(found, Keys.room(room, user))[0] is None

    async def _has_seat(self, room: RoomId, user: UserId, entry: Entry, now: int) -> bool:
        """Whether an entry is among as many as there are seats; else remove it again, if it is new."""
        revision = entry.revision
        counted = self._counted.get(room)
        most = None if counted is None else counted.most_at(revision)
        if most is not None and most <= self._max_members:
            return True
        count = await self._count(Keys.roster(room), revision)
        if count is not None:
            _note(self._counted, room, _Counted(count, revision))
        if (count is not None and count <= self._max_members) or self._is_known_roomy(room, now):
            return True
        key = Keys.room(room, user)
        lock = self._looking.setdefault(room, asyncio.Lock())
        try:
            async with lock:
                full = self._full.get(room)
                is_full = full is not None and full.until > now and full.revision < revision
                if not is_full and await self._is_full(room, key, revision, now):
                    is_full = True
                    _note(self._full, room, _Full(now + FULL_MS, revision))
        finally:
            if not lock.locked():
                self._looking.pop(room, None)
        if is_full and entry.is_new:
            await self._records.remove(key, revision)
            await self.restore(room, user, now)  # another copy may have been given a seat since
        return not is_full

    def _is_known_roomy(self, room: RoomId, now: int) -> bool:
        """Whether a seat can be given away without looking; takes it."""
        roomy = self._roomy.get(room)
        if roomy is None or roomy.until <= now or not roomy.seats:
            return False
        roomy.seats -= 1
        return True

    def forget_counts(self) -> None:
        """Count anew: a broker that comes back empty counts its revisions anew, too."""
        self._counted.clear()

    async def restore(self, room: RoomId, user: UserId, now: int) -> None:
        """Make a user's entry again what the record says, by the leader's word.

        An entry may be taken for left behind, and be removed, while its record is written; or a newer session
        of the user has entered, which may go on or not. So the record is looked at after the entry, and once
        more after each entry that is written here, and the last writer of an entry leaves it right.
        """
        keys, entry_key = (Keys.user(user),), Keys.room(room, user)
        written = 0
        for _ in range(MAX_TRIES):
            entry, revision = entry_in(await self._records.store.read(entry_key, confirmed=True), entry_key)
            record, _ = user_in(await self._records.store.read(*keys, confirmed=True), *keys)
            if record is None or not record.is_reachable or room not in record.rooms:
                if revision == written and entry is not None:
                    await self._records.remove(entry_key, revision)
                return
            wanted = RosterEntry(record.session.id, now, record.session.hears)
            if entry is not None and entry.session == wanted.session:
                return
            with contextlib.suppress(Conflict):
                written = await self._records.write_entry(room, user, wanted, revision)
        raise lost_rounds(entry_key)

    async def _is_full(self, room: RoomId, key: str, revision: int, now: int) -> bool:
        """Whether those who came earlier fill a room, after removing the entries that were left behind."""
        found = await self._records.read_after({key: revision}, Keys.roster(room))
        ahead = [stored for stored in rosters_in(found, [room])[room] if stored.revision < revision]
        if len(ahead) < self._max_members:
            seats = (self._max_members - len(ahead) - 1) // ROOMY_SHARE
            _note(self._roomy, room, _Roomy(now + FULL_MS, seats))
            return False
        users = await self._records.users(stored.user for stored in ahead)
        abandoned = [
            stored
            for stored in ahead
            if rules.is_left_behind(users.get(stored.user), stored.entry, room, now)
        ]
        await side_by_side(*(self.remove(room, stored) for stored in abandoned))
        return len(ahead) - len(abandoned) >= self._max_members

    async def remove(self, room: RoomId, stored: StoredEntry) -> None:
        """Remove an entry, unless it has been written anew since."""
        self._full.pop(room, None)
        await self._records.remove(Keys.room(room, stored.user), stored.revision)

    async def remove_own(
        self, room: RoomId, user: UserId, session: SessionId, entry: int, before: int
    ) -> None:
        """Remove the entry by which a session was a member, of that revision mostly.

        If it has been written anew it is looked for; one that is as new as the record `before` is another's.
        """
        self._full.pop(room, None)
        mine, key = Keys.user(user), Keys.room(room, user)
        try:
            await self._records.store.delete(key, entry)
        except Conflict:
            found = await self._records.read_after({mine: before}, mine, key)
            stored, revision = entry_in(found, key)
            if stored is None or stored.session != session:
                return
            if self._records.are_together(mine, key):
                is_older = revision < before
            else:  # the two revisions say nothing of each other, but the record says what it is
                record, _ = user_in(await self._records.store.read(mine, confirmed=True), mine)
                is_older = record is None or record.session.id != session or room not in record.rooms
            if is_older:
                await self._records.remove(key, revision)

    async def members(
        self,
        room: RoomId,
        entries: Iterable[StoredEntry],
        written: Mapping[UserId, tuple[User, int]],
        *,
        revisions: bool = False,
    ) -> RoomMembers:
        """List the members behind these entries, with the revisions of their records if wanted.

        `written` are records that need not be read, with their revisions: the other users are as they were
        after these writes, or later. With their revisions they may be as this process remembers them, which
        is as old as its watch lags: what has changed since comes in the room's log, where it is told apart by
        the revision.
        """
        entries = list(entries)
        users = {user: record for user, (record, _) in written.items()}
        seen = {user: revision for user, (_, revision) in written.items()}
        others = {Keys.user(stored.user): stored.user for stored in entries if stored.user not in users}
        found = self._records.memory.known_users(others) if revisions else {}
        if len(found) < len(others):
            known = {Keys.user(user): revision for user, revision in seen.items()}
            unknown = [key for key in others if key not in found]
            found |= await self._records.read_after(known, *known, *unknown)
        records = self._records.users_in(found, others.values())
        users |= records
        seen |= {user: found[Keys.user(user)].revision for user in records}
        roster = rules.roster(room, entries, users)
        if not revisions:
            return roster
        return RoomMembers(roster.members, tuple(seen[member.user_id] for member in roster.members))


def _note(about: dict[RoomId, NotedT], room: RoomId, noted: NotedT) -> None:
    """Keep what was found out about a room, and forget what was longest ago."""
    about.pop(room, None)
    about[room] = noted
    if len(about) > MAX_FULL:
        del about[next(iter(about))]
