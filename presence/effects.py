"""Carry out what the change of a record means for others: the values of `presence.rules.effects`.

An effect may be carried out twice: by the process that wrote it, and by the next one to touch the record
when that one died. What others are sent is then the very same, and what is stored is compared first.
"""

import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import assert_never

from presence.announce import Announcer
from presence.records import Records, rosters_in
from presence.rosters import Rosters
from presence.rules import endings
from presence.rules.change import Rule
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
    RemoveNote,
    Said,
    StatusChanged,
)
from presence.rules.negotiation import Negotiation
from presence.rules.room import StoredEntry
from presence.rules.user import RosterEntry, User
from presence.side_by_side import side_by_side
from presence.store import Record
from tieline.wire.ids import Address, RoomId, UserId
from tieline.wire.internal import Happened
from tieline.wire.subjects import Keys, users_of_pair

EndNegotiation = Callable[[UserId, UserId, Rule[Negotiation], Mapping[str, Record]], Awaitable[object]]
"""Change the negotiation of two users by a rule; its record, as it was read, is among what is given last."""

Later = Callable[[], Awaitable[object]]

RosterMap = dict[RoomId, list[StoredEntry]]


class Effects:
    """Carries out effects. Raises what `Store` and `Publisher` raise; repeating is always safe."""

    def __init__(
        self, records: Records, rosters: Rosters, announcer: Announcer, end_negotiation: EndNegotiation
    ) -> None:
        self._records = records
        self._rosters = rosters
        self._announcer = announcer
        self._end_negotiation = end_negotiation

    async def of_user(self, user: UserId, record: User, revision: int) -> RosterMap:
        """Carry out what is pending in a user's record of this revision; returns the rosters it read."""
        rooms = list(dict.fromkeys(_rooms_of(record)))
        patterns = [Keys.roster(room) for room in rooms]
        if any(isinstance(effect, EndCalls | EndCallsWithoutRoom) for effect in record.pending):
            patterns += Keys.pairs_of(user)
        found = await self._records.store.read(*patterns) if patterns else {}
        rosters = rosters_in(found, rooms)
        last: list[Later] = []
        for effect in record.pending:
            match effect:
                case Changed():
                    self._announcer.changed(effect.user)
                case CloseConnection():
                    self._announcer.close(effect)
                case RemoveNote():
                    pass  # last of all: see `remove_notes`
                case EndCalls() | EndCallsWithoutRoom():
                    await self._end_calls(user, effect, found)
                case MemberCame():
                    last += self._member_came(user, record, revision, effect, rosters[effect.room])
                case MemberWent():
                    last += self._member_went(user, revision, effect, rosters[effect.room])
                case StatusChanged():
                    self._status_changed(user, record, revision, rosters)
                case _:
                    assert_never(effect)
        await side_by_side(*(do() for do in last))
        return rosters

    async def remove_notes(self, record: User) -> None:
        """Remove the notes by which the sessions of a dead gateway are found, when all else is done."""
        notes = [effect for effect in record.pending if isinstance(effect, RemoveNote)]
        keys = [(Keys.session(note.gateway, note.session), note.revision) for note in notes]
        await side_by_side(*(self._records.remove(key, revision) for key, revision in keys))

    def of_negotiation(self, negotiation: Negotiation) -> None:
        """Carry out what is pending in a negotiation."""
        for effect in negotiation.pending:
            match effect:
                case HangUp():
                    self._announcer.hangup(effect)
                case CallEnded():
                    fact = Happened(effect.at, effect.user, effect.peer, reason=effect.reason)
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
            case _:
                assert_never(said)

    async def _end_calls(
        self, user: UserId, effect: EndCalls | EndCallsWithoutRoom, found: Mapping[str, Record]
    ) -> None:
        ends = []
        for key, record in found.items():
            if not record.value or not key.startswith("pair."):
                continue
            one, other = users_of_pair(key)
            peer = other if one == user else one
            rule = (
                functools.partial(endings.end_calls, effect, user, peer)
                if isinstance(effect, EndCalls)
                else functools.partial(endings.end_calls_without_room, effect, user, peer)
            )
            ends.append(self._end_negotiation(user, peer, rule, found))
        await side_by_side(*ends)

    def _member_came(
        self, user: UserId, record: User, revision: int, effect: MemberCame, roster: list[StoredEntry]
    ) -> list[Later]:
        """Tell those who were entered before the record said so: later ones find it in the roster."""
        frame = self._announcer.joined_frame(effect.room, user, effect.entry)
        for other in roster:
            if other.user != user and other.revision < revision:
                self._announcer.deliver(Address(other.user, other.entry.session), frame)
        self._announcer.happened("joined", Happened(effect.at, user, room=effect.room))
        if any(other.user == user for other in roster):
            return []
        # Its entry was so old that it was taken for left behind, and removed while the record was written.
        entry = RosterEntry(record.session.id, effect.at)
        return [functools.partial(self._records.enter, effect.room, user, entry, None, 0)]

    def _member_went(
        self, user: UserId, revision: int, effect: MemberWent, roster: list[StoredEntry]
    ) -> list[Later]:
        """Tell those who were entered before the record said so: later ones never saw this member.

        Nor is a later entry of its own removed, with which it has come again.
        """
        frame = self._announcer.left_frame(effect.room, user, effect.entry, effect.reason)
        for other in roster:
            if other.user != user and other.revision < revision:
                self._announcer.deliver(Address(other.user, other.entry.session), frame)
        if effect.tell_user:
            self._announcer.deliver(Address(user, effect.session), frame)
        self._announcer.happened("left", Happened(effect.at, user, room=effect.room, reason=effect.reason))
        return [
            functools.partial(self._rosters.remove, effect.room, stored)
            for stored in roster
            if stored.user == user and stored.entry.session == effect.session and stored.revision < revision
        ]

    def _status_changed(self, user: UserId, record: User, revision: int, rosters: RosterMap) -> None:
        """Tell those who were entered before the record said so: later ones find it in the roster."""
        for room in record.rooms:
            frame = self._announcer.updated_frame(room, user, record.session)
            for other in rosters[room]:
                if other.user != user and other.revision < revision:
                    self._announcer.deliver(Address(other.user, other.entry.session), frame)


def _rooms_of(record: User) -> list[RoomId]:
    """List the rooms whose members hear of what is pending."""
    rooms: list[RoomId] = []
    for effect in record.pending:
        match effect:
            case MemberCame() | MemberWent():
                rooms.append(effect.room)
            case StatusChanged():
                rooms += record.rooms
            case _:
                pass
    return rooms
