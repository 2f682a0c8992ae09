"""What becomes of a user's record when the backend decides about it: put in, put out, ended, silenced. Pure.

Each rule writes the record, also where nothing of it changes: who has decided on an older `Standing` must
find it changed. The standing itself is written before (`presence.moderation`).
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from presence.rules import endings, session
from presence.rules.change import Change, Facts, Prepare, Step
from presence.rules.closing import is_closing
from presence.rules.effects import Changed, MemberCame, StatusChanged, UserEffect
from presence.rules.negotiated import NOTHING, Negotiation
from presence.rules.user import NOBODY, THIS_WRITE, Membership, User, with_session
from tieline.wire.codes import CloseCode, ErrorCode
from tieline.wire.ids import CallId, RoomId, UserId
from tieline.wire.internal.answers import Refused
from tieline.wire.internal.backend import Affected

NO_SUCH_CALL: Final = "NO_SUCH_CALL"
"""The reason of a refusal to end a call: the two have another one, or none."""

Beside = Mapping[UserId, User]


def _touched(user: User | None) -> User:
    """Write the record as it is. It waits for nothing any more: what was pending is carried out before."""
    return NOBODY if user is None else msgspec.structs.replace(user, pending=())


def touch(user: User | None, _beside: Beside, _facts: Facts) -> Step[User]:
    """Have whoever decides on the user's record meanwhile decide anew."""
    return Change(Affected(0), _touched(user))


def is_asked_by_gateway(user: User | None, room: RoomId) -> bool:
    """Whether a session is put into a room by its gateway, which hears what changes there for its client."""
    return (
        user is not None and room not in user.rooms and user.session.status == "online" and user.session.hears
    )


def put_in(room: RoomId, user: User | None, beside: Beside, facts: Facts) -> Step[User]:
    """Make a user a member whose gateway need not know of it now: it is away, or of version 0.1."""
    if is_closing(room, facts):  # whoever closes it may have spared the user for this order
        return msgspec.structs.replace(
            put_out(room, user, beside, facts), reply=Refused(ErrorCode.ROOM_FORBIDDEN.name)
        )
    if user is None or not user.is_reachable or room in user.rooms or is_asked_by_gateway(user, room):
        return Change(Affected(0), _touched(user))
    wanted = Prepare(user.session.id, rooms=(room,), hears=user.session.hears)
    if facts.prepared != wanted:
        return wanted
    if room not in facts.entries:
        return Change(Refused(ErrorCode.ROOM_FULL.name))
    entry = facts.entries[room]
    rooms = {room: Membership(facts.now, entry)} | user.rooms
    effects: list[UserEffect] = [MemberCame(room, entry, facts.now)]
    if user.session.status == "away":
        effects.append(StatusChanged(at=facts.now))
    return Change(Affected(1), msgspec.structs.replace(user, rooms=rooms), tuple(effects))


def not_put_in(room: RoomId, reply: Refused, user: User | None, _beside: Beside, _facts: Facts) -> Step[User]:
    """Answer that a user was not made a member, unless it is in the room by now. It is given it no more.

    Who was about to put it in for the same order, and has decided before that, decides anew.
    """
    is_in = user is not None and user.is_reachable and room in user.rooms
    return Change(Affected(0) if is_in else reply, _touched(user))


def put_out(room: RoomId, user: User | None, _beside: Beside, facts: Facts) -> Change[User]:
    """Make a user a member of a room no more, end what it negotiates without one, and tell all.

    A JOIN that was asked before, and comes later, or once more, changes nothing.
    """
    if user is not None and user.is_reachable:
        user = with_session(user, msgspec.structs.replace(user.session, put_out_at=THIS_WRITE))
    if user is None or room not in user.rooms:
        return Change(Affected(0), _touched(user))
    kept, effects = session.put_out(user, {room}, facts, tell_user=True)
    after = msgspec.structs.replace(user, rooms=kept, pending=())
    if not user.is_reachable:
        return Change(Affected(0), after)
    return Change(Affected(1), after, effects)


def disconnect(asked: UserId, user: User | None, _beside: Beside, facts: Facts) -> Step[User]:
    """End a user's session for good: what its connection still asks comes too late."""
    if user is None or not user.is_reachable:
        return Change(Affected(0), _touched(user))
    ended = session.end(asked, user, facts, session.closing(asked, user.session, CloseCode.KICKED))
    assert ended.record is not None  # it is how the session ends
    left = msgspec.structs.replace(ended.record.session, left=True)
    return msgspec.structs.replace(ended, reply=Affected(1), record=with_session(ended.record, left))


def set_voice(
    asked: UserId, is_allowed: bool, user: User | None, _beside: Beside, facts: Facts
) -> Step[User]:
    """Let a user start no calls, or let it again if its token does."""
    if user is None or not user.is_reachable:
        return Change(Affected(0), _touched(user))
    by_token = user.session.voice_by_token
    says = (user.voice if by_token is None else by_token) if not is_allowed else None
    voice = is_allowed and (user.voice if by_token is None else by_token)
    now_session = msgspec.structs.replace(user.session, voice_by_token=says)
    after = with_session(msgspec.structs.replace(user, voice=voice, pending=()), now_session)
    if voice == user.voice:
        return Change(Affected(0), after)
    told: tuple[UserEffect, ...] = (Changed(asked),)
    if user.rooms:
        told = (*told, StatusChanged(is_silent=True, at=facts.now))
    return Change(Affected(1), after, told)


def end_call(
    user: UserId,
    peer: UserId,
    call: CallId,
    cause: str,
    stored: Negotiation | None,
    users: Mapping[UserId, User],
    facts: Facts,
) -> Step[Negotiation]:
    """End what two users negotiate, if it is that call, or none is named; both are told `kicked`."""
    current = stored or NOTHING
    if call and (not current.is_active or current.call != call):
        return Change(Refused(NO_SUCH_CALL))
    if not current.is_active:
        return Change(Affected(0))
    ending = endings.Ending(user, peer, "kicked", cause, facts.now, tell_user=True)
    return endings.ended(current, ending, users, Affected(1))
