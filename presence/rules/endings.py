"""The ends that the server makes of negotiations. Pure.

Somebody is gone, shares no room with the other any more, or never answered. The end that one of the two
makes, WEBRTC_HANGUP, is in `negotiation`.
"""

from collections.abc import Mapping
from typing import NamedTuple

from presence.rules import negotiation
from presence.rules.change import Change, Facts, LookAt, Reply, Step
from presence.rules.effects import CallEffect, CallEnded, EndCalls, EndCallsWithoutRoom, HangUp
from presence.rules.negotiated import NO_SESSION, NOTHING, Negotiation
from presence.rules.standing import may_wake
from presence.rules.user import User, share_a_room
from tieline.wire.ids import SessionId, UserId
from tieline.wire.internal.answers import Done
from tieline.wire.replies import HangupReason
from tieline.wire.subjects import Keys


class Ending(NamedTuple):
    """Why a negotiation ends, and who is told."""

    user: UserId
    """The user with whom it ends; told only if `tell_user` says so."""
    peer: UserId
    reason: HangupReason
    cause: str
    """What ended it: a session, a roster entry, an offer. It tells one hangup from the next."""
    at: int
    tell_user: bool = False


def end_calls(
    effect: EndCalls,
    user: UserId,
    peer: UserId,
    stored: Negotiation | None,
    users: Mapping[UserId, User],
    facts: Facts,
) -> Step[Negotiation]:
    """End a negotiation of a session that has ended; the next session's are left alone."""
    if not _has_ended(effect.session, stored or NOTHING, user, users.get(user), facts.revision):
        return Change(Done())  # another session's, or the same one's, which was restored since
    cause = f"{effect.session} {effect.at:x}"  # a session that is restored may end once more
    ending = Ending(user, peer, "disconnected", cause, effect.at)
    return ended(stored or NOTHING, ending, users, Done())


def is_outlived(current: Negotiation, user: UserId, record: User | None, revision: int) -> bool:
    """Whether a negotiation, of this revision, is of an older session of a user than the one that lives.

    One that a process of 0.1.0 has written does not say of which it is. It is of an older one if nothing has
    changed it since the one that lives began.
    """
    if record is None or not record.is_reachable or not current.is_active or current.waits_for(user):
        return False
    session = current.session_of(user)
    return session != record.session.id if session else 0 < revision < record.session.begun_at


def _has_ended(
    session: SessionId, current: Negotiation, user: UserId, record: User | None, revision: int
) -> bool:
    """Whether a negotiation is of a session of a user that has ended, of which this one is known to have."""
    if current.waits_for(user):
        return False
    if record is None or is_outlived(current, user, record, revision):
        return True
    named = current.session_of(user) not in (NO_SESSION, record.session.id)
    return not record.is_reachable and (named or record.session.id == session)


def end_outlived(
    current: Negotiation, user: UserId, peer: UserId, users: Mapping[UserId, User], facts: Facts
) -> Change[Negotiation]:
    """End a negotiation of an older session of a user, before anything of the newer one is decided."""
    cause = f"{current.session_of(user)} {facts.now:x}"
    return ended(current, Ending(user, peer, "disconnected", cause, facts.now), users, Done())


def end_calls_without_room(
    effect: EndCallsWithoutRoom,
    user: UserId,
    peer: UserId,
    stored: Negotiation | None,
    users: Mapping[UserId, User],
    facts: Facts,
) -> Step[Negotiation]:
    """End a negotiation if its two users share no room now; who is waited for is where it is given to be."""
    mine, theirs = users.get(user), users.get(peer)
    if (stored or NOTHING).waits_for(peer) and mine is not None:
        if Keys.standing(peer) not in facts.read:
            return LookAt((Keys.standing(peer),))
        if may_wake(mine, peer, facts):
            return Change(Done())
    elif mine is not None and theirs is not None and share_a_room(mine, theirs):
        return Change(Done())
    is_alone = (stored or NOTHING).waits_for(peer)  # and cannot know that the other was a member, too
    ending = Ending(user, peer, effect.reason, effect.cause, effect.at, effect.tell_user or is_alone)
    return ended(stored or NOTHING, ending, users, Done())


def expire(
    offerer: UserId,
    target: UserId,
    generation: str,
    stored: Negotiation | None,
    users: Mapping[UserId, User],
    facts: Facts,
) -> Step[Negotiation]:
    """Stop waiting for the answer to one offer; tell both users when that ends their negotiation."""
    current = stored or NOTHING
    expired = negotiation.expire(current, offerer, generation)
    if expired is None:
        return Change(Done())
    if expired.is_active:
        return Change(Done(), expired, timed_out=True)
    ending = Ending(offerer, target, "timeout", generation, facts.now, tell_user=True)
    return Change(Done(), expired, _told(current, ending, users), timed_out=True)


def ended(
    current: Negotiation, ending: Ending, users: Mapping[UserId, User], reply: Reply
) -> Change[Negotiation]:
    """End a negotiation, if there is one to end."""
    if not current.is_active:
        return Change(reply)
    return Change(reply, negotiation.end(current), _told(current, ending, users))


def _told(current: Negotiation, ending: Ending, users: Mapping[UserId, User]) -> tuple[CallEffect, ...]:
    """Tell those who are still in the session that had the call: the next one knows nothing of it.

    Nor does who was waited for.
    """
    call = current.call
    told = ((ending.user, ending.peer), (ending.peer, ending.user))
    hangups = (
        HangUp(to, user.session.id, other, ending.reason, ending.cause, call)
        for to, other in (told if ending.tell_user else told[1:])
        if (user := users.get(to)) is not None
        and user.is_reachable
        and not current.waits_for(to)
        and current.session_of(to) in (NO_SESSION, user.session.id)
    )
    return *hangups, CallEnded(ending.at, ending.user, ending.peer, ending.reason, call)
