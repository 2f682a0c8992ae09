"""The users of an offer, looked at once more when it is stored: one may have gone at that moment. Pure.

When that is done is `presence.second_look`'s business.
"""

import functools
from collections.abc import Iterable, Mapping

from presence.rules import endings
from presence.rules.change import Change, Facts, LookAgain, Step
from presence.rules.effects import EndCalls, EndCallsWithoutRoom
from presence.rules.negotiated import NOTHING, Negotiation, WaitingOffer
from presence.rules.user import User, share_a_room
from tieline.wire.ids import CallId, SessionId, UserId
from tieline.wire.internal.answers import Done
from tieline.wire.internal.signals import Check, Relay


def look_again(ask: Check, relay: Relay, offer: WaitingOffer, expected: SessionId) -> LookAgain:
    """Have an offer's users looked at once more.

    Ending a session, or leaving a room, ends the negotiations stored at that moment. One stored just after
    is missed. Nobody waits for this look: the offer goes out meanwhile, and if one of the two has gone, its
    end comes after it. `expected` is the session of the target that the offer is for.
    """
    is_delivered = any(each.frame is None for each in relay.deliveries)
    return LookAgain(
        functools.partial(_is_wanted, ask, expected),
        functools.partial(is_being_ended, (ask.user, ask.to)),
        functools.partial(still_wanted, ask, relay.call, offer, expected),
        ask.to,
        ask.digest if is_delivered else None,
    )


def _is_wanted(ask: Check, expected: SessionId, users: Mapping[UserId, User]) -> bool:
    sender, target = users.get(ask.user), users.get(ask.to)
    if sender is None or target is None:
        return False
    return sender.has_live(ask.session) and target.has_live(expected) and share_a_room(sender, target)


def is_being_ended(by: Iterable[UserId], users: Mapping[UserId, User]) -> bool:
    """Whether one of these users is about to end negotiations, for a reason that is in its record."""
    those = (user for name in by if (user := users.get(name)) is not None)
    return any(
        isinstance(effect, EndCalls | EndCallsWithoutRoom) for user in those for effect in user.pending
    )


def still_wanted(
    ask: Check,
    call: CallId,
    offer: WaitingOffer,
    expected: SessionId,
    stored: Negotiation | None,
    users: Mapping[UserId, User],
    facts: Facts,
) -> Step[Negotiation]:
    """End an offer if one of the two has gone while it was stored, or they share no room any more.

    Who still has the session of the call is told, the target too: it has had the offer. It may have answered
    already, by a process that did not know yet who has gone: so what ends is the `call`. See `look_again`.
    """
    sender, target, current = users.get(ask.user), users.get(ask.to), stored or NOTHING
    if current.offer_of(ask.user) != offer and current.call != (call or None):
        return Change(Done())
    if sender is None or not sender.has_live(ask.session):
        end = endings.Ending(ask.user, ask.to, "disconnected", offer.generation, facts.now)
    elif target is None or not target.has_live(expected):
        end = endings.Ending(ask.to, ask.user, "disconnected", offer.generation, facts.now)
    elif not share_a_room(sender, target):
        end = endings.Ending(ask.to, ask.user, "left", offer.generation, facts.now, tell_user=True)
    else:
        return Change(Done())
    return endings.ended(current, end, users, Done())
