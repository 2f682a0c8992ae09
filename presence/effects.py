"""Carry out what the change of a record means for others: the values of `presence.rules.effects`.

An effect may be carried out twice: by the process that wrote it, and by the next one to touch the record
when that one died. What others are sent is then the very same, and what is stored is compared first.
"""

import functools
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple, assert_never

import msgspec

from presence.announce import Announcer
from presence.records import Records, negotiation_in, rosters_in, users_in
from presence.room_log import RoomLog
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
    OneRoomEffect,
    RemoveNote,
    Replaced,
    Said,
    SessionBegan,
    SessionEnded,
    StatusChanged,
)
from presence.rules.negotiation import RETRY_MS, Negotiation
from presence.rules.room import StoredEntry
from presence.rules.user import User, share_a_room
from presence.side_by_side import batched, both, side_by_side
from presence.store import ABSENT, Record
from tieline.runtime.unreadable import Unreadable
from tieline.wire.events import Happened
from tieline.wire.ids import Address, RoomId, SessionId, UserId
from tieline.wire.internal.rooms import RoomChange
from tieline.wire.subjects import Keys, users_of_pair

EndNegotiation = Callable[[UserId, UserId, Rule[Negotiation], Mapping[str, Record]], Awaitable[object]]
"""Change the negotiation of two users by a rule; its record, as it was read, is among what is given last, and
maybe those of both users, as they were read after it."""

ENDED_AT_ONCE: Final = 32
"""Negotiations of one user that are ended side by side, so that others keep their share of the store. Who
connects anew waits for as many of the session before, and not for more."""

FEW: Final = 4
"""So many negotiations are read with what is read anyway, and looked at one by one. Of more their keys are
listed, which costs more than to read so few, and it is asked first which of them may have to end."""

_PAIR: Final = "pair."
"""Begins the key of every negotiation (`tieline.wire.subjects.Keys`)."""

_unreadable: Final = Unreadable(logging.getLogger(__name__))

Later = Callable[[], Awaitable[object]]

AllHear = Callable[[], Awaitable[bool]]
"""Whether every gateway hears the logs of rooms, so that nobody need be told of a change one by one."""

RosterMap = dict[RoomId, list[StoredEntry]]


class Told(NamedTuple):
    """What carrying out effects has found out."""

    rosters: RosterMap
    """The rosters that were read whole, and that nothing has changed since."""
    numbers: Mapping[RoomId, int]
    """Of the change in each room's log that was written last."""
    left: tuple[EndCalls, ...] = ()
    """What was not carried out, because it would take long."""


NOTHING_TOLD: Final = Told({}, {})


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
    ) -> None:
        """Take also for how many calls of an older session one who connects anew waits."""
        self._most_waited_for = most_waited_for
        self._records = records
        self._rosters = rosters
        self._announcer = announcer
        self._clock = clock
        self._end_negotiation = end_negotiation
        self._log = log
        self._all_hear = all_hear

    async def of_user(
        self,
        user: UserId,
        record: User,
        revision: int,
        listed: RoomId | None = None,
        *,
        leaves_calls: bool = False,
    ) -> Told:
        """Carry out what is pending in a user's record of this revision.

        The roster of the room that is to be `listed` is read with what has to be read anyway.
        A room hears of its change by its log. Where a gateway may live that does not hear it, the whole
        roster is read, and those of the members who are there are told one by one. With `leaves_calls` the
        calls of a session that has ended are left alone if they are many.
        """
        pending = list(_by_room(record))
        rooms = list(dict.fromkeys(_rooms_of(record, pending)))
        is_whole = bool(rooms) and not await self._all_hear()
        read_whole = [room for room in rooms if is_whole or room == listed]
        patterns = [*_rosters(read_whole), *_own_entries(user, pending, read_whole)]
        to_end = _pairs_to_end(user, record)
        changes = self._changes(record, pending, revision)
        # The note of a session that has ended goes last of all. That of one which was resumed on
        # another gateway may go at any time: the session has a newer note there.
        notes = self._note_removals(record, last=False)
        reading = self._read_with_calls(Keys.user(user), revision, patterns, to_end, is_much=is_whole)
        first = side_by_side(*(remove() for remove in notes if record.is_reachable))
        numbers: dict[RoomId, int] = {}
        if to_end:
            (found, pairs), _ = await both(reading, first)
        else:
            ((found, pairs), numbers), _ = await both(both(reading, self._log_changes(user, changes)), first)
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
                    await self._end_calls(user, revision, effect, pairs, found)
                case MemberCame():
                    self._member_came(user, revision, effect, rosters[effect.room])
                    if not _has_entry(rosters[effect.room], user, record.session.id):
                        last.append(functools.partial(self._rosters.restore, effect.room, user, effect.at))
                        changed.append(effect.room)
                case MemberWent():
                    last += self._member_went(
                        user, record, revision, effect, rosters[effect.room] if is_whole else None
                    )
                case StatusChanged():
                    self._status_changed(user, record, revision, effect, rosters)
                case _:
                    assert_never(effect)
        doing = side_by_side(*(do() for do in last))
        if to_end:  # hang-ups come before the departure that they follow from
            numbers, _ = await both(self._log_changes(user, changes), doing)
        else:
            await doing
        if not record.is_reachable:  # until all else is done, the session is found by its note
            await side_by_side(*(remove() for remove in notes))
        whole = {room: rosters[room] for room in read_whole if room not in changed}
        return Told(whole, numbers, tuple(left))

    async def end_old_calls(self, user: UserId, effect: EndCalls, revision: int) -> None:
        """End what is left of the calls of a user's older session; the user's record has this revision."""
        pairs = await self._records.store.keys(*Keys.pairs_of(user))
        await self._end_calls(user, revision, effect, pairs, {})

    def _changes(
        self, record: User, pending: Iterable[OneRoomEffect], revision: int
    ) -> dict[RoomId, RoomChange]:
        """List what the logs of rooms say of what is pending; of several changes of one room the first."""
        changes: dict[RoomId, RoomChange] = {}
        for effect in pending:
            match effect:
                case MemberCame():
                    if self._is_news(effect):
                        changes[effect.room] = _change("joined", effect.room, record, revision, effect.at)
                case MemberWent():
                    changes[effect.room] = _departure(effect, record, revision)
                case StatusChanged():
                    for room, member in record.rooms.items():
                        change = _change("updated", room, record, revision, member.since)
                        silent = msgspec.structs.replace(change, is_silent=effect.is_silent)
                        changes.setdefault(room, silent)  # who has come just now came as it is
                case _:
                    pass
        return changes

    async def _log_changes(self, user: UserId, changes: Mapping[RoomId, RoomChange]) -> dict[RoomId, int]:
        """Write the logs of rooms; returns the number of the change in each."""
        adding = (self._log.add(room, user, change) for room, change in changes.items())
        return dict(zip(changes, await side_by_side(*adding), strict=True))

    def _is_news(self, effect: MemberCame) -> bool:
        """Whether somebody may not have heard of it: a repetition is recognized no longer than this.

        The client that asked for it has asked again long since, or is gone.
        """
        return self._clock() - effect.at < RETRY_MS

    async def remove_last_notes(self, record: User) -> None:
        """Remove the notes by which the sessions of a dead gateway are found, when all else is settled."""
        await side_by_side(*(remove() for remove in self._note_removals(record, last=True)))

    def of_negotiation(self, negotiation: Negotiation) -> None:
        """Carry out what is pending in a negotiation."""
        for effect in negotiation.pending:
            match effect:
                case HangUp():
                    self._announcer.hangup(effect)
                case CallEnded():
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
        if not to_end:
            return await self._read(key, revision, patterns), []
        most = 1 + len(patterns) + FEW
        few = None
        if not is_much:
            few = await self._records.read_few_after({key: revision}, most, key, *patterns, *to_end)
        if few is not None:
            return few, [each for each in few if each.startswith(_PAIR)]
        return await both(self._read(key, revision, patterns), self._records.store.keys(*to_end))

    def _note_removals(self, record: User, *, last: bool) -> list[Later]:
        keys = [
            (Keys.session(effect.gateway, effect.session), effect.revision)
            for effect in record.pending
            if isinstance(effect, RemoveNote) and effect.last == last
        ]
        return [functools.partial(self._records.remove, key, revision) for key, revision in keys]

    async def _end_calls(
        self,
        user: UserId,
        revision: int,
        effect: EndCalls | EndCallsWithoutRoom,
        pairs: list[str],
        read: Mapping[str, Record],
    ) -> None:
        """End those of a user's negotiations, of which these are the keys, that the effect is about.

        Unless they are among what was `read`, they are read and ended some at a time: there may be hundreds.
        """
        peers = {key: peer for key in pairs if (peer := _peer_in(key, user)) is not None}
        mine = Keys.user(user)
        if isinstance(effect, EndCallsWithoutRoom) and len(peers) > FEW:
            keys = [Keys.user(peer) for peer in peers.values()]
            # Whichever of two users changed last has a replica that has what both have done.
            users = users_in(
                await self._records.read_after({mine: revision}, mine, *keys), (user, *peers.values())
            )
            peers = {key: peer for key, peer in peers.items() if not _share_a_room(users, user, peer)}
        for keys in batched(peers, ENDED_AT_ONCE):
            found = read
            if not all(key in read for key in keys):
                found = await self._records.read_after({mine: revision}, mine, *keys)
            open_ = [peers[key] for key in keys if _may_have_to_end(found, key)]
            if open_ and isinstance(effect, EndCalls):
                found = {**found, **await self._beside(user, revision, open_)}
            await side_by_side(
                *(self._end_negotiation(user, peer, _end_of(effect, user, peer), found) for peer in open_)
            )

    async def _beside(self, user: UserId, revision: int, peers: Sequence[UserId]) -> Mapping[str, Record]:
        """Read the peers of a user whose session has ended, all at once, and whether it is back meanwhile.

        Of the peers it is needed where they are told: a session that is newer than what a replica has, which
        has the end of this user's session, knows nothing of the call.
        """
        key, keys = Keys.user(user), [Keys.user(peer) for peer in peers]
        mine, theirs = await both(
            self._records.store.read(key, confirmed=True),
            self._records.read_after({key: revision}, key, *keys),
        )
        return {each: theirs.get(each, ABSENT) for each in keys} | {key: mine.get(key, ABSENT)}

    def _member_came(
        self, user: UserId, revision: int, effect: MemberCame, roster: list[StoredEntry]
    ) -> None:
        """Tell the members that were entered before the record said so: later ones find it in the roster."""
        if not self._is_news(effect):
            return
        frame = self._announcer.joined_frame(effect.room, user, effect.entry)
        self._tell_others(user, revision, roster, frame)
        if not effect.again:
            self._announcer.happened("joined", Happened(effect.at, user, room=effect.room))

    def _member_went(
        self, user: UserId, record: User, revision: int, effect: MemberWent, roster: list[StoredEntry] | None
    ) -> list[Later]:
        """Tell the members that were entered before the record said so: later ones never saw this one.

        Nor is a later entry of its own removed, with which it has come again. Without the roster nobody has
        to be told.
        """
        frame = self._announcer.left_frame(effect.room, user, effect.entry, effect.reason)
        self._tell_others(user, revision, roster or [], frame)
        if effect.again:
            return []
        if effect.tell_user and not record.session.hears:
            self._announcer.deliver(Address(user, effect.session), frame)
        self._announcer.happened("left", Happened(effect.at, user, room=effect.room, reason=effect.reason))
        if roster is None:
            remove = self._rosters.remove_own
            return [functools.partial(remove, effect.room, user, effect.session, effect.entry, revision)]
        return [
            functools.partial(self._rosters.remove, effect.room, stored)
            for stored in roster
            if stored.user == user and stored.entry.session == effect.session and stored.revision < revision
        ]

    def _status_changed(
        self, user: UserId, record: User, revision: int, effect: StatusChanged, rosters: RosterMap
    ) -> None:
        """Tell the members that were entered before the record said so: later ones find it in the roster."""
        if effect.is_silent:
            return
        for room in record.rooms:
            frame = self._announcer.updated_frame(room, user, record.session)
            self._tell_others(user, revision, rosters[room], frame)

    def _tell_others(self, user: UserId, revision: int, roster: list[StoredEntry], frame: bytes) -> None:
        """Send a frame to those other members whose gateway does not hear the room's log.

        They are as they were entered when this revision was written.
        """
        for other in roster:
            if other.user != user and other.revision < revision and not other.entry.hears:
                self._announcer.deliver(Address(other.user, other.entry.session), frame)


def _end_of(effect: EndCalls | EndCallsWithoutRoom, user: UserId, peer: UserId) -> Rule[Negotiation]:
    if isinstance(effect, EndCalls):
        return functools.partial(endings.end_calls, effect, user, peer)
    return functools.partial(endings.end_calls_without_room, effect, user, peer)


def _may_have_to_end(found: Mapping[str, Record], key: str) -> bool:
    negotiation, _ = negotiation_in(found, key)
    return negotiation is not None and (negotiation.is_active or bool(negotiation.pending))


def _pairs_to_end(user: UserId, record: User) -> tuple[str, ...]:
    """Return the patterns of the negotiations that the record's effects may end."""
    if any(isinstance(effect, EndCalls | EndCallsWithoutRoom) for effect in record.pending):
        return Keys.pairs_of(user)
    return ()


def _peer_in(key: str, user: UserId) -> UserId | None:
    """Name the other of two users; None: the key cannot be read."""
    try:
        one, other = users_of_pair(key)
    except ValueError as error:
        _unreadable.note("record", error)
        return None
    return other if one == user else one


def _share_a_room(users: Mapping[UserId, User], one: UserId, other: UserId) -> bool:
    return one in users and other in users and share_a_room(users[one], users[other])


def _change(
    kind: Literal["joined", "updated"], room: RoomId, record: User, revision: int, at: int
) -> RoomChange:
    """Say in the room's log what a member is now."""
    session, member = record.session, record.rooms.get(room)
    status: Literal["online", "away"] = "away" if session.status == "away" else "online"
    since = at if member is None else member.since
    return RoomChange(kind, revision, session.id, status, record.voice, since)


def _departure(effect: MemberWent, record: User, revision: int) -> RoomChange:
    """Say in the room's log that a member is none any more."""
    return RoomChange(
        "left", revision, effect.session, "online", record.voice, 0, effect.reason, effect.tell_user
    )


def _rosters(rooms: Iterable[RoomId]) -> list[str]:
    return [Keys.roster(room) for room in rooms]


def _own_entries(user: UserId, pending: Iterable[OneRoomEffect], read_whole: Collection[RoomId]) -> list[str]:
    """List the roster entries that what is pending must find there, but for those of rooms read whole."""
    rooms = (effect.room for effect in pending if isinstance(effect, MemberCame))
    return [Keys.room(room, user) for room in rooms if room not in read_whole]


def _has_entry(roster: list[StoredEntry], user: UserId, session: SessionId) -> bool:
    return any(stored.user == user and stored.entry.session == session for stored in roster)


def _by_room(record: User) -> Iterator[OneRoomEffect]:
    """List what is pending, with what concerns all rooms of the record for each of them."""
    for effect in record.pending:
        match effect:
            case SessionBegan():
                for room, member in record.rooms.items():
                    yield MemberCame(room, member.entry, effect.at)
            case SessionEnded():
                for room, member in record.rooms.items():
                    yield MemberWent(room, effect.session, member.entry, "disconnected", effect.at)
            case _:
                yield effect


def _rooms_of(record: User, pending: Iterable[OneRoomEffect]) -> Iterator[RoomId]:
    """List the rooms whose members hear of what is pending."""
    for effect in pending:
        match effect:
            case MemberCame() | MemberWent():
                yield effect.room
            case StatusChanged():
                yield from record.rooms
            case _:
                pass
