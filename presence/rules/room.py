"""A membership: how a user joins a room and leaves it, and who counts as a member. Pure.

                 an entry in          the record         the record            the entry
                 the roster           says so            says no more          is removed
        (none) ------------> entered ---------> member --------------> gone ------------> (none)
                                |
                                +-- the record never says so: left behind, and removed when a room seems full

The roster is an index: an entry is written before the record that makes it true and removed after the one
that ends it, so the roster never lacks a member. What it has too much, left behind by a process that died in
between, is told apart by the users' records.
"""

import functools
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from presence.rules.change import Change, Entered, Facts, ListRoom, Prepare, Reply, Step
from presence.rules.effects import (
    Changed,
    EndCallsWithoutRoom,
    MemberCame,
    MemberWent,
    StatusChanged,
    UserEffect,
)
from presence.rules.order import in_order
from presence.rules.user import NOBODY, NOBODYS, Membership, RosterEntry, User, gone
from tieline.wire.codes import ErrorCode
from tieline.wire.ids import RoomId, UserId, is_valid_id
from tieline.wire.internal.answers import Done, Outdated, Refused
from tieline.wire.internal.rooms import JoinRoom, LeaveRoom, ListMembers, Retell, RoomMembers
from tieline.wire.replies import LeftReason, Member

UNCLAIMED_MS: Final = 10_000
"""How old a roster entry without a record behind it must be before it counts as left behind: its owner may
still be between the two writes, which take milliseconds and are given up after 5 s."""

Beside = Mapping[UserId, User]


class StoredEntry(NamedTuple):
    """A roster entry as it was found."""

    user: UserId
    entry: RosterEntry
    revision: int


def join(ask: JoinRoom, user: User | None, beside: Beside, facts: Facts, max_rooms: int = 0) -> Step[User]:
    """Make a user a member, and tell the others. Again: the same roster, and nobody is told.

    A user is in `max_rooms` at most; 0: in any number.
    """
    return in_order(functools.partial(_join, max_rooms))(ask, user, beside, facts)


def _join(max_rooms: int, ask: JoinRoom, user: User, facts: Facts) -> Step[User]:
    reply: Reply = Entered(ask.room, ask.lists) if ask.hears else ListRoom(ask.room)
    if ask.room in user.rooms:
        return Change(reply)
    if 0 < ask.asked < user.session.put_out_at:
        return Change(Outdated(facts.revision))
    if max_rooms and len(user.rooms) >= max_rooms:
        refusal = ErrorCode.TOO_MANY_ROOMS if ask.knows_too_many_rooms else ErrorCode.ROOM_FULL
        return Change(Refused(refusal.name))
    wanted = Prepare(ask.session, rooms=(ask.room,), hears=ask.hears)
    if facts.prepared != wanted:
        return wanted
    if ask.room not in facts.entries:
        return Change(Refused(ErrorCode.ROOM_FULL.name))
    entry = facts.entries[ask.room]
    rooms = {ask.room: Membership(facts.now, entry)} | user.rooms
    joined = msgspec.structs.replace(user, rooms=rooms)
    effects: list[UserEffect] = [MemberCame(ask.room, entry, facts.now)]
    if user.session.status == "away":  # its connection was lost while it asked; the others take it for online
        effects.append(StatusChanged(at=facts.now))
    return Change(reply, joined, tuple(effects))


@in_order
def leave(ask: LeaveRoom, user: User, facts: Facts) -> Step[User]:
    """Make a user no member, end the negotiations that lose their last room, and tell the others.

    The end of a session takes care of its rooms.
    """
    member = user.rooms.get(ask.room)
    if member is None:
        return Change(Done())
    left = msgspec.structs.replace(
        user, rooms={room: other for room, other in user.rooms.items() if room != ask.room}
    )
    effects = (
        Changed(ask.user),
        EndCallsWithoutRoom("left", f"left-{member.entry}", facts.now),
        MemberWent(ask.room, ask.session, member.entry, "left", facts.now),
    )
    return Change(Done(), left, effects)


def list_members(ask: ListMembers, user: User | None, _beside: Beside, _facts: Facts) -> Step[User]:
    """List a room's members for one of them."""
    if user is None or not user.has_live(ask.session):
        return Change(gone(user))
    if ask.room not in user.rooms:
        return Change(Refused(ErrorCode.NOT_IN_SAME_ROOM.name))
    return Change(ListRoom(ask.room, ask.hears))


def retell(ask: Retell, user: User | None, _beside: Beside, facts: Facts, *, is_logged: bool) -> Step[User]:
    """Tell a room once more that a user is in it, or is not.

    Of a user who is no member the room hears only if its log still has a change of that user (`is_logged`):
    else nobody can have missed it, and the user may never have been there. One who has no record any more
    gets one, which says so: if the user comes back meanwhile, either of the two writes finds the other.
    """
    known = NOBODY if user is None else user
    member = known.rooms.get(ask.room)
    if member is not None and known.is_reachable:
        return Change(Done(), known, (MemberCame(ask.room, member.entry, facts.now, again=True),))
    if not is_logged:
        return Change(Done())
    session = known.session.id or NOBODYS
    reason: LeftReason = "left" if member is None and session != NOBODYS else "disconnected"
    return Change(Done(), known, (MemberWent(ask.room, session, 0, reason, facts.now, again=True),))


def is_held(user: User | None, entry: RosterEntry, room: RoomId) -> bool:
    """Whether the record of an entry's user says that the entry's session is in the room."""
    return user is not None and user.has_live(entry.session) and room in user.rooms


def may_be_kept(stored: RosterEntry, wanted: RosterEntry) -> bool:
    """Whether an entry that is there serves for the one that is wanted: the same but for its age, and young.

    An old one may be taken for left behind, and removed, while the record is written that makes it true.
    """
    is_same = stored.session == wanted.session and stored.hears == wanted.hears
    return is_same and wanted.at - stored.at < UNCLAIMED_MS // 2


def is_left_behind(user: User | None, entry: RosterEntry, room: RoomId, now: int) -> bool:
    """Whether nobody will ever claim an entry, so that it may be removed."""
    return not is_held(user, entry, room) and now - entry.at >= UNCLAIMED_MS


def roster(room: RoomId, entries: Iterable[StoredEntry], users: Mapping[UserId, User]) -> RoomMembers:
    """List the members of a room, in the order of joining, and of names at one moment.

    Not those whose ids no gateway takes any more, whom version 0.1 let in: a list with one of them would be
    no answer to a gateway, and nobody else could come in.
    """
    members = [
        Member(
            stored.user,
            user.session.status,
            user.voice,
            user.rooms[room].since,
            in_call=user.session.in_call,
        )
        for stored in entries
        if (user := users.get(stored.user)) is not None
        and user.session.status != "offline"
        and is_held(user, stored.entry, room)
        and is_valid_id(stored.user)
    ]
    members.sort(key=lambda member: (member.joined_at, member.user_id))
    return RoomMembers(tuple(members))
