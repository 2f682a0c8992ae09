"""Do what a rule wants before it decides: look at more, or store what must be there before a record says so.

What is stored so is an index, a note or an entry of a roster: it never lacks what a record says. A rule that
is asked anew is given what is there then (`presence.change_loop`).
"""

from collections.abc import Awaitable, Callable
from typing import Final

from presence.records import Records
from presence.rosters import Rosters
from presence.rules.change import Await, Facts, LookAt, Prepare
from presence.rules.room import UNCLAIMED_MS
from presence.rules.user import RosterEntry
from presence.session_notes import SessionNotes
from presence.side_by_side import both
from presence.store import ABSENT
from presence.targets import Clock, Found
from tieline.wire.ids import RoomId, UserId
from tieline.wire.subjects import Keys

SURE_MS: Final = UNCLAIMED_MS // 4
"""For so long a roster entry that was written is there, whatever others take it for."""

NoteWaiting = Callable[[Await, int], Awaitable[bool]]
"""Takes who waits for whom, and now; returns whether it is noted. Else too many wait already."""


class Preparations:
    """Makes what rules want. Raises what `Store` raises; repeating is always safe."""

    def __init__(
        self, records: Records, rosters: Rosters, clock: Clock, note_waiting: NoteWaiting | None = None
    ) -> None:
        """Take also what notes who waits for whom; None: nobody is waited for here."""
        self._records = records
        self._session_notes = SessionNotes(records.store)
        self._rosters = rosters
        self._clock = clock
        self._note_waiting = note_waiting

    async def make(
        self,
        wanted: Prepare | LookAt | Await,
        user: UserId,
        others: tuple[str, ...],
        found: Found,
        facts: Facts,
    ) -> tuple[Found, Facts]:
        """Do what a rule wants before it decides. What it looks at and is not there was looked at, too."""
        if isinstance(wanted, LookAt):
            keys = (*others, *wanted.keys)
            there = await self._records.store.read(*keys, confirmed=True)
            found = {**found, **dict.fromkeys(keys, ABSENT), **there}
            return found, facts._replace(read=found)
        if isinstance(wanted, Await):
            is_noted = self._note_waiting is not None and await self._note_waiting(wanted, self._clock())
            return found, facts._replace(prepared=wanted, is_noted=is_noted)
        return found, await self._prepare(user, wanted, found, facts)

    async def _prepare(self, user: UserId, wanted: Prepare, found: Found, facts: Facts) -> Facts:
        """Store what must be there before the record says so."""
        if wanted.note_of is None:
            return await self._enter(user, wanted, found, facts._replace(note=0))
        noting = self._session_notes.note(wanted.note_of, wanted.session, user, renews=wanted.renews_note)
        if not wanted.rooms:  # one thing to wait for needs no task
            return facts._replace(prepared=wanted, note=await noting, entries={}, entered=())
        note, ready = await both(noting, self._enter(user, wanted, found, facts))
        return ready._replace(note=note)

    async def _enter(self, user: UserId, wanted: Prepare, found: Found, facts: Facts) -> Facts:
        entry = RosterEntry(wanted.session, facts.now, wanted.hears)
        entries = await self._rosters.enter(user, entry, wanted.rooms, found, facts.revision)
        return facts._replace(
            prepared=wanted,
            entries={room: each.revision for room, each in entries.items()},
            entered=tuple(room for room, each in entries.items() if each.is_new),
        )

    def entered(self, key: str, user: UserId, facts: Facts) -> tuple[RoomId, ...]:
        """Name the rooms that were just entered, and of which the entry is still there.

        It may be taken for left behind later, or, where its revision says nothing beside that of the record,
        be removed with an older membership: then it has to be looked for. So has one that another copy of the
        request has entered, for which that may not have found a seat.
        """
        if self._clock() - facts.now >= SURE_MS:
            return ()
        entries = ((room, Keys.room(room, user)) for room in facts.entered)
        return tuple(room for room, entry in entries if self._records.are_together(key, entry))
