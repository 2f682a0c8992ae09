"""Rosters as they are stored: entering a session, removing entries, and listing a room's members.

Who counts as a member, and which entries are left behind, is decided in `presence.rules.room`.
"""

import contextlib
from collections.abc import Iterable, Mapping, Sequence

from presence.records import MAX_TRIES, Records, entry_in, rosters_in, user_in, users_in
from presence.rules import room as rules
from presence.rules.room import StoredEntry
from presence.rules.user import RosterEntry, User
from presence.side_by_side import side_by_side
from presence.store import Conflict, Record, StoreUnavailable
from tieline.wire.ids import RoomId, SessionId, UserId
from tieline.wire.internal import RoomMembers
from tieline.wire.subjects import Keys


class Rosters:
    """Every room's roster. Raises what `Store` raises; repeating is always safe."""

    def __init__(self, records: Records, max_members: int) -> None:
        self._records = records
        self._max_members = max_members

    async def read(self, room: RoomId, written: Mapping[str, int]) -> list[StoredEntry]:
        """Read the roster of a room as it was after these writes, or later. See `Records.read_after`."""
        found = await self._records.read_after(written, *written, Keys.roster(room))
        return rosters_in(found, [room])[room]

    async def enter(
        self,
        user: UserId,
        session: SessionId,
        rooms: Sequence[RoomId],
        found: Mapping[str, Record],
        now: int,
    ) -> dict[RoomId, int]:
        """Enter a session into each room that is not full; returns the revisions of its entries.

        `found` holds what was read of the user's entries. Of users who come at the same moment, those are in
        whose entries were stored first, as many as there is room for; the others are removed again.
        """
        if not rooms:
            return {}
        entry = RosterEntry(session, now)
        revisions = await side_by_side(
            *(
                self._records.enter(room, user, entry, *entry_in(found, Keys.room(room, user)))
                for room in rooms
            )
        )
        entered = dict(zip(rooms, revisions, strict=True))
        written = {Keys.room(room, user): revision for room, revision in entered.items()}
        patterns = [Keys.roster(room) for room in rooms]
        found = await self._records.read_after(written, *patterns)
        if len(found) <= self._max_members:  # in all rooms together
            return entered
        rosters = rosters_in(found, rooms)
        for room, revision in list(entered.items()):
            ahead = [stored for stored in rosters[room] if stored.revision < revision]
            if await self._is_full(room, ahead, now):
                await self._records.remove(Keys.room(room, user), revision)
                del entered[room]
        return entered

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
            if entry is not None and entry.session == record.session.id:
                return
            wanted = RosterEntry(record.session.id, now)
            with contextlib.suppress(Conflict):
                written = await self._records.write_entry(room, user, wanted, revision)
        raise StoreUnavailable(f"lost {MAX_TRIES} rounds for {entry_key}")

    async def _is_full(self, room: RoomId, ahead: list[StoredEntry], now: int) -> bool:
        """Whether those who came earlier fill a room, after removing the entries that were left behind."""
        if len(ahead) < self._max_members:
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
        await self._records.remove(Keys.room(room, stored.user), stored.revision)

    async def members(
        self, room: RoomId, entries: Iterable[StoredEntry], written: Mapping[UserId, tuple[User, int]]
    ) -> RoomMembers:
        """List the members behind these entries.

        `written` are records that need not be read, with their revisions: the other users are as they were
        after these writes, or later.
        """
        entries = list(entries)
        users = {user: record for user, (record, _) in written.items()}
        others = [stored.user for stored in entries if stored.user not in users]
        if others:
            revisions = {Keys.user(user): revision for user, (_, revision) in written.items()}
            keys = (Keys.user(user) for user in others)
            users |= users_in(await self._records.read_after(revisions, *revisions, *keys), others)
        return rules.roster(room, entries, users)
