"""Offers that are kept for somebody who is not there, until it comes or their time is up. Pure.

                  keep                            its target has a session
        (none) ----------> kept ---------------------------------------------> waiting, like any offer
                             |
                             +--> over: its time is up, its caller hangs up or is gone, or its target may not
                                  be waited for any more

Kept is an offer only for who is a member of a room of the caller's by the backend's word (`standing`), for
nobody else can be known to come. It is in the negotiation of the two (`negotiation.keep`), of no session of
its target, and its frame lies apart.

Who waits for whom is noted for both, in a record each (`Waits`), before the offer is stored, and stays until
its time is up. Whoever begins a session looks there once its record is written, and then at each negotiation
that is named (`settle`). Of an offer and a beginning that cross, either the beginning finds the offer, or the
second look at the offer finds the session: it is the same look (`presence.second_look`). Whatever one of the
two says meanwhile delivers the offer first.

What judges an offer is in `signals`; how it is done in `presence.kept_offers`. Times are Unix milliseconds.
"""

import functools
from collections.abc import Collection, Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from presence.rules import endings, negotiation
from presence.rules.change import Await, Change, Facts, LookAt, Rule, Step, Timer
from presence.rules.effects import Woken
from presence.rules.negotiated import NOTHING, Negotiation, WaitingOffer
from presence.rules.session import MIN_TIMER_S
from presence.rules.standing import may_wake
from presence.rules.user import User, share_a_room
from tieline.wire.ids import SessionId, UserId
from tieline.wire.internal.answers import Done
from tieline.wire.subjects import Keys

MOST_CALLERS: Final = 16
"""Who may wait for one user at a time: all of their offers are delivered before that user's session is
answered, some milliseconds each."""

MOST_AWAITED: Final = 16
"""For whom one user may wait at a time: three times a voice room. Each is a frame of up to 64 KiB that is
kept, and a message to somebody's telephone."""


class Wait(msgspec.Struct, frozen=True, array_like=True):
    """That one user waits for another."""

    user: UserId
    until: int


class Waits(msgspec.Struct, frozen=True, array_like=True):
    """Who waits for a user, and for whom it waits; some of these may be over."""

    callers: tuple[Wait, ...] = ()
    """In the order in which they began."""
    awaited: tuple[Wait, ...] = ()

    def last(self) -> int:
        """Until when this says something."""
        return max((wait.until for wait in (*self.callers, *self.awaited)), default=0)


NO_WAITS: Final = Waits()

_decoder: Final = msgspec.msgpack.Decoder(Waits)


def read(value: bytes) -> Waits:
    """Decode who waits for whom.

    Raises:
        msgspec.MsgspecError: it is nothing of the kind.
    """
    return _decoder.decode(value)


class Noted(NamedTuple):
    """The records of two users, of whom the one waits for the other from now on."""

    caller: Waits
    callee: Waits


def noted(
    caller: Waits, callee: Waits, wait: Await, now: int, over: Iterable[tuple[UserId, UserId]] = ()
) -> Noted | None:
    """Note that one user waits for another; None: too many wait already.

    `over` are those, caller and callee, of whom nothing is kept any more.
    """
    gone = frozenset(over)
    callers = _with(
        wait.caller, wait.until, callee.callers, now, {one for one, to in gone if to == wait.callee}
    )
    awaited = _with(
        wait.callee, wait.until, caller.awaited, now, {to for one, to in gone if one == wait.caller}
    )
    if len(callers) > MOST_CALLERS or len(awaited) > MOST_AWAITED:
        return None
    return Noted(
        msgspec.structs.replace(caller, awaited=awaited), msgspec.structs.replace(callee, callers=callers)
    )


def _with(
    user: UserId, until: int, waits: Iterable[Wait], now: int, gone: Collection[UserId]
) -> tuple[Wait, ...]:
    """List those that are not over, and this one, in its place if it is among them."""
    kept = {wait.user: wait.until for wait in waits if wait.until > now and wait.user not in gone}
    return tuple(Wait(*wait) for wait in (kept | {user: until}).items())


def deliver(
    current: Negotiation,
    caller: UserId,
    callee: UserId,
    session: SessionId,
    offer_timeout_s: float,
    go_on: Rule[Negotiation],
) -> Change[Negotiation]:
    """Send the offer that is kept to the session that its target has now, and let its time begin anew.

    What is decided then decides `go_on`.
    """
    woken = negotiation.wake(current, callee, session)
    offer = woken.offer_of(caller)
    assert offer is not None  # it is the one that was kept
    timer = Timer(Keys.offer_timer(caller, callee, offer.generation), max(MIN_TIMER_S, offer_timeout_s))
    sent = Woken(callee, session, caller, offer.digest, woken.call)
    then = functools.partial(_still_there, caller, callee, session, offer, go_on)
    return Change(Done(), woken, (sent,), timer=timer, then=then)


def _still_there(
    caller: UserId,
    callee: UserId,
    session: SessionId,
    offer: WaitingOffer,
    go_on: Rule[Negotiation],
    stored: Negotiation | None,
    users: Mapping[UserId, User],
    facts: Facts,
) -> Step[Negotiation]:
    """End an offer whose target has gone while it was being sent: the end of that session found it kept."""
    current, mine, theirs = stored or NOTHING, users.get(caller), users.get(callee)
    if current.offer_of(caller) != offer:
        return go_on(stored, users, facts)
    if theirs is None or not theirs.has_live(session):
        end = endings.Ending(callee, caller, "disconnected", offer.generation, facts.now)
    elif mine is None or not share_a_room(mine, theirs):
        end = endings.Ending(callee, caller, "left", offer.generation, facts.now, tell_user=True)
    else:
        return go_on(stored, users, facts)
    return msgspec.structs.replace(endings.ended(current, end, users, Done()), then=go_on)


def done(_stored: Negotiation | None, _users: Mapping[UserId, User], _facts: Facts) -> Step[Negotiation]:
    """Decide nothing more."""
    return Change(Done())


def settle(
    caller: UserId,
    callee: UserId,
    offer_timeout_s: float,
    go_on: Rule[Negotiation],
    stored: Negotiation | None,
    users: Mapping[UserId, User],
    facts: Facts,
) -> Step[Negotiation]:
    """Decide what becomes of an offer that is kept, as things are now: delivered, over, or kept on.

    The users are as the leader knows them. What is decided then decides `go_on`.
    """
    current, mine, theirs = stored or NOTHING, users.get(caller), users.get(callee)
    offer = current.offer_of(caller)
    if offer is None or not offer.kept_until:
        return go_on(stored, users, facts)
    if mine is None or not mine.has_live(current.session_of(caller)):
        end = endings.Ending(caller, callee, "disconnected", offer.generation, facts.now)
    elif facts.now >= offer.kept_until:  # its timer has run out, and nobody has come to that yet
        end = endings.Ending(caller, callee, "timeout", offer.generation, facts.now, tell_user=True)
    elif theirs is not None and theirs.is_reachable:
        if share_a_room(mine, theirs):
            return deliver(current, caller, callee, theirs.session.id, offer_timeout_s, go_on)
        end = endings.Ending(callee, caller, "left", offer.generation, facts.now)
    elif Keys.standing(callee) not in facts.read:
        return LookAt((Keys.standing(callee),))
    elif may_wake(mine, callee, facts):
        return go_on(stored, users, facts)
    else:
        end = endings.Ending(callee, caller, "kicked", offer.generation, facts.now)
    ended = endings.ended(current, end, users, Done())
    return msgspec.structs.replace(ended, then=go_on, timed_out=end.reason == "timeout")
