"""Carry out what the change of a record means for others: the values of `presence.rules.effects`.

An effect may be carried out twice: by the process that wrote it, and by the next one to touch the record
when that one died. What others are sent is then the very same, and what is stored is compared first.
"""

import functools
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Final, NamedTuple, assert_never

from presence.announce import Announcer
from presence.call_endings import ENDED_AT_ONCE, FEW, PAIR, CallEndings, EndNegotiation, pairs_to_end
from presence.kept_offers import KeptOffers
from presence.member_mail import MemberMail, RosterMap
from presence.record_codec import rosters_in
from presence.records import Records
from presence.room_log import Added, RoomLog
from presence.room_telling import RoomTelling, by_room, changes_of, rooms_of
from presence.rosters import Rosters
from presence.rules.effects import (
    CallEnded,
    Changed,
    CloseConnection,
    Deliver,
    EndCalls,
    EndCallsWithoutRoom,
    HangUp,
    Happening,
    MemberCame,
    MemberWent,
    OneRoomEffect,
    RemoveNote,
    Replaced,
    Said,
    SessionBegan,
    StatusChanged,
    Woken,
)
from presence.rules.negotiated import Negotiation
from presence.rules.room import StoredEntry
from presence.rules.user import User
from presence.side_by_side import beside, both, side_by_side
from presence.store import Record
from tieline.wire.events import Happened
from tieline.wire.ids import RoomId, SessionId, UserId
from tieline.wire.subjects import Keys

Later = Callable[[], Awaitable[object]]

AllHear = Callable[[], Awaitable[bool]]
"""Whether every gateway hears the logs of rooms, so that nobody need be told of a change one by one."""

SettleKept = Callable[[UserId, UserId], Awaitable[None]]
"""Takes a caller, and for whom its offer is kept; decides what becomes of it now."""


class Case(NamedTuple):
    """What is known of a record whose effects are to be carried out."""

    listed: RoomId | None = None
    """The room of which the roster is read with what has to be read anyway."""
    entered: Collection[RoomId] = ()
    """Rooms of which the user's roster entry was seen, or written, so short a time ago that it is there."""
    is_again: bool = False
    """The record was written before, and its effects may have been carried out."""


USUAL: Final = Case()


class Told(NamedTuple):
    """What carrying out effects has found out."""

    rosters: RosterMap
    """The rosters that were read whole, and that nothing has changed since."""
    numbers: Mapping[RoomId, int]
    """Of the change in each room's log that was written last."""
    left: tuple[EndCalls, ...] = ()
    """What was not carried out, because it would take long."""
    notes: tuple[RemoveNote, ...] = ()
    """Notes that go last of all, and cannot go while something is left: the next record is to remove them."""


NOTHING_TOLD: Final = Told({}, {})


def last_notes(record: User) -> tuple[RemoveNote, ...]:
    """List the notes that are removed when all else in a record is carried out, and settled."""
    return tuple(effect for effect in record.pending if isinstance(effect, RemoveNote) and effect.last)


class Effects:
    """Carries out effects. Raises what `Store` and `Publisher` raise; repeating is always safe."""

    def __init__(
        self,
        records: Records,
        rosters: Rosters,
        announcer: Announcer,
        clock: Callable[[], int],
        end_negotiation: EndNegotiation,
        log: RoomLog,
        all_hear: AllHear,
        most_waited_for: int = ENDED_AT_ONCE,
        kept: KeptOffers | None = None,
        settle_kept: SettleKept | None = None,
    ) -> None:
        """Take also for how many calls of an older session one who connects anew waits.

        `kept` has the offers that are kept for who is not there; `settle_kept` decides what becomes of one.
        """
        self._kept = kept
        self._settle_kept = settle_kept
        self._most_waited_for = most_waited_for
        self._records = records
        self._rosters = rosters
        self._announcer = announcer
        self.calls = CallEndings(records, end_negotiation)
        self._telling = RoomTelling(log, announcer, clock)
        self._mail = MemberMail(announcer, self._telling.is_news)
        self._all_hear = all_hear

    async def of_user(
        self,
        user: UserId,
        record: User,
        revision: int,
        case: Case = USUAL,
        *,
        leaves_calls: bool = False,
    ) -> Told:
        """Carry out what is pending in a user's record of this revision.

        A room hears of its change by its log. Where a gateway may live that does not hear it, the whole
        roster is read, and those of the members who are there are told one by one. With `leaves_calls` the
        calls of a session that has ended are left alone if they are many.
        """
        pending = list(by_room(record))
        rooms = list(dict.fromkeys(rooms_of(record, pending)))
        is_whole = bool(rooms) and not await self._all_hear()
        read_whole = [room for room in rooms if is_whole or room == case.listed]
        patterns = [*_rosters(read_whole), *_own_entries(user, pending, {*read_whole, *case.entered})]
        begins = any(isinstance(effect, SessionBegan) for effect in record.pending)
        if begins and self._kept is not None and self._kept.is_on:
            patterns.append(Keys.wake(user))
        to_end = pairs_to_end(user, record)
        changes = changes_of(record, pending, revision, self._telling.is_news)
        # The note of a session that has ended goes last of all. That of one which was resumed on
        # another gateway may go at any time: the session has a newer note there.
        notes = self._note_removals(record, last=False)
        first = [remove() for remove in notes if record.is_reachable]
        added: Mapping[RoomId, Added] = {}
        found: Mapping[str, Record] = {}
        pairs: list[str] = []
        if to_end:
            reading = self._read_with_calls(Keys.user(user), revision, patterns, to_end, is_much=is_whole)
            found, pairs = await beside(reading, *first)
        elif patterns:
            reading_few = self._read(Keys.user(user), revision, patterns)
            telling = self._telling.tell(user, pending, changes, is_again=case.is_again)
            found, added = await both(reading_few, telling, *first)
        else:
            telling = self._telling.tell(user, pending, changes, is_again=case.is_again)
            added = await beside(telling, *first)
        rosters = rosters_in(found, rooms)
        last: list[Later] = []
        changed: list[RoomId] = []
        left: list[EndCalls] = []
        for effect in pending:
            match effect:
                case Changed():
                    self._announcer.changed(effect.user)
                case CloseConnection():
                    self._announcer.close(effect)
                case RemoveNote():
                    pass  # above and below, or when the record is settled
                case EndCalls() if leaves_calls and len(pairs) > self._most_waited_for:
                    left.append(effect)
                case EndCalls() | EndCallsWithoutRoom():
                    await self.calls.end(user, revision, effect, pairs, found)
                case MemberCame():
                    self._mail.came(user, revision, effect, rosters[effect.room])
                    is_unread = effect.room in case.entered and effect.room not in read_whole
                    if not (is_unread or _has_entry(rosters[effect.room], user, record.session.id)):
                        last.append(functools.partial(self._rosters.restore, effect.room, user, effect.at))
                        changed.append(effect.room)
                case MemberWent():
                    roster = rosters[effect.room] if is_whole else None
                    self._mail.went(user, record, revision, effect, roster or [])
                    last += self._removals(user, revision, effect, roster)
                case StatusChanged():
                    self._mail.status_changed(user, record, revision, effect, rosters)
                case _:
                    assert_never(effect)
        doing = [do() for do in last]
        if to_end:  # hang-ups come before the departure that they follow from
            telling = self._telling.tell(user, pending, changes, is_again=case.is_again)
            added = await beside(telling, *doing)
        else:
            await side_by_side(*doing)
        if not record.is_reachable:  # until all else is done, the session is found by its note
            await side_by_side(*(remove() for remove in notes))
        await self._deliver_kept(user, found)
        whole = {room: rosters[room] for room in read_whole if room not in changed}
        numbers = {room: each.number for room, each in added.items()}
        kept = last_notes(record) if left else ()
        return Told(whole, numbers, tuple(left), kept)

    async def _deliver_kept(self, user: UserId, found: Mapping[str, Record]) -> None:
        """Deliver what is kept for a user whose session has begun, by the index that was read after that."""
        index = found.get(Keys.wake(user))
        if index is None or self._kept is None or self._settle_kept is None:
            return
        for caller in self._kept.callers_in(index):
            await self._settle_kept(caller, user)
        await self._kept.forget(user, index)

    async def remove_last_notes(self, record: User) -> None:
        """Remove the notes by which the sessions of a dead gateway are found, when all else is settled."""
        await side_by_side(*(remove() for remove in self._note_removals(record, last=True)))

    async def of_negotiation(self, negotiation: Negotiation, written: Mapping[str, int]) -> None:
        """Carry out what is pending in a negotiation, which is `written`: its revision, by its key."""
        for effect in negotiation.pending:
            match effect:
                case Woken():
                    assert (
                        self._kept is not None
                    )  # only a process that keeps offers reads on where there are some
                    await self._kept.deliver(effect, written)
                case HangUp():
                    self._announcer.hangup(effect)
                case CallEnded():
                    self._announcer.changed(effect.user)  # a grant may be given by what was known before
                    fact = Happened(
                        effect.at, effect.user, effect.peer, reason=effect.reason, call=effect.call or None
                    )
                    self._announcer.happened("ended", fact)
                case _:
                    assert_never(effect)

    def say(self, said: Said) -> None:
        """Say what goes with a reply."""
        match said:
            case Changed():
                self._announcer.changed(said.user)
            case Deliver():
                self._announcer.deliver(said.to, said.frame)
            case Happening():
                self._announcer.happened(said.kind, said.fact)
            case Replaced():
                self._announcer.replaced(said)
            case _:
                assert_never(said)

    async def _read(self, key: str, revision: int, patterns: list[str]) -> Mapping[str, Record]:
        """Read what was there when the record of this revision was written.

        Members entered and offers made earlier than that are found; those that come later look at the record.
        """
        return await self._records.read_after({key: revision}, key, *patterns) if patterns else {}

    async def _read_with_calls(
        self, key: str, revision: int, patterns: list[str], to_end: tuple[str, ...], *, is_much: bool
    ) -> tuple[Mapping[str, Record], list[str]]:
        """Read as `_read` does, and list the negotiations: if they are few, they are among what was read.

        That is not tried if the patterns alone are those of much.
        """
        most = 1 + len(patterns) + FEW
        few = None
        if not is_much:
            few = await self._records.read_few_after({key: revision}, most, key, *patterns, *to_end)
        if few is not None:
            return few, [each for each in few if each.startswith(PAIR)]
        return await both(self._read(key, revision, patterns), self._records.store.keys(*to_end))

    def _note_removals(self, record: User, *, last: bool) -> list[Later]:
        keys = [
            (Keys.session(effect.gateway, effect.session), effect.revision)
            for effect in record.pending
            if isinstance(effect, RemoveNote) and effect.last == last
        ]
        return [functools.partial(self._records.remove, key, revision) for key, revision in keys]

    def _removals(
        self, user: UserId, revision: int, effect: MemberWent, roster: list[StoredEntry] | None
    ) -> list[Later]:
        """List what removes the entry of a member that went: not a later one, with which it has come again.

        Without the roster its entry is looked for.
        """
        if effect.again:
            return []
        if roster is None:
            remove = self._rosters.remove_own
            return [functools.partial(remove, effect.room, user, effect.session, effect.entry, revision)]
        return [
            functools.partial(self._rosters.remove, effect.room, stored)
            for stored in roster
            if stored.user == user and stored.entry.session == effect.session and stored.revision < revision
        ]


def _rosters(rooms: Iterable[RoomId]) -> list[str]:
    return [Keys.roster(room) for room in rooms]


def _own_entries(user: UserId, pending: Iterable[OneRoomEffect], read_whole: Collection[RoomId]) -> list[str]:
    """List the roster entries that what is pending must find there, but for those of rooms read whole."""
    rooms = (effect.room for effect in pending if isinstance(effect, MemberCame))
    return [Keys.room(room, user) for room in rooms if room not in read_whole]


def _has_entry(roster: list[StoredEntry], user: UserId, session: SessionId) -> bool:
    return any(stored.user == user and stored.entry.session == session for stored in roster)
