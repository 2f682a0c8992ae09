"""The protocol's rules for the five WEBRTC commands, in their order. Pure.

Rule 1 of docs/protocol.md#the-rules-of-the-four-webrtc-commands, the form of the message, is the gateway's;
here begin rules 2 to 7. What a frame does to the negotiation is in `negotiation`.
"""

import functools
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

import msgspec

from presence.rules import endings, negotiation
from presence.rules.change import Apart, Change, Facts, LookAgain, Step, Timer
from presence.rules.effects import Changed, EndCalls, EndCallsWithoutRoom, Happening, Replaced, Said
from presence.rules.negotiated import NOTHING, Negotiation, Remembered, WaitingOffer
from presence.rules.negotiation import CandidatePolicy, Incoming, Outcome
from presence.rules.user import User, gone, share_a_room
from tieline.wire.codes import ErrorCode
from tieline.wire.events import Happened
from tieline.wire.ids import NO_CALL, CallId, ConnectionId, FrameDigest, SessionId, UserId
from tieline.wire.internal.answers import Done, Refused
from tieline.wire.internal.signals import Check, Delivery, Relay
from tieline.wire.limits import RETRY_WINDOW_S
from tieline.wire.replies import CallFate
from tieline.wire.subjects import Keys

GRANT_S: Final = 5.0
"""How long a router may relay an established pair's candidates unasked; `changed.<u>` ends it early."""

_GRANTED: Final = ("WEBRTC_ICE_CANDIDATE", "WEBRTC_ANSWER")
"""What a grant comes with: who answers sends candidates next."""

MIN_TIMER_S: Final = 1.0
"""The shortest time that NATS can set a timer for."""


KEPT_APART_S: Final = RETRY_WINDOW_S + 15.0
"""How long a frame that lies apart is kept beyond the offer's time: until no retry can ask for it."""


class Terms(NamedTuple):
    """What operators decide of negotiations."""

    policy: CandidatePolicy
    offer_timeout_s: float


def check(
    ask: Check,
    terms: Terms,
    stored: Negotiation | None,
    users: Mapping[UserId, User],
    facts: Facts,
    users_after: int = 0,
) -> Step[Negotiation]:
    """Judge one signal: what to answer the router, and what becomes of the negotiation.

    What is left of an older session of one of the two ends first. That a session is the older one is believed
    if the users were read after the negotiation, which has the revision `users_after`.
    """
    sender, target, current = users.get(ask.user), users.get(ask.to), stored or NOTHING
    if sender is None or not sender.has_live(ask.session):
        return Change(gone(sender))
    for user, peer in ((ask.user, ask.to), (ask.to, ask.user)):
        if endings.is_outlived(current, user, users.get(user), facts.revision):
            if users_after != facts.revision:
                again = functools.partial(check, ask, terms, users_after=facts.revision)
                return Change(Done(), then=again)
            end = endings.end_outlived(current, user, peer, users, facts)
            return msgspec.structs.replace(end, then=functools.partial(check, ask, terms))
    known = current.memory_of(ask.user, ask.digest, facts.now)
    if known is not None:
        return _repeat(ask, terms, current, known, target, facts)
    if target is None or not share_a_room(sender, target):
        return _refuse(ErrorCode.NOT_IN_SAME_ROOM, current)
    if ask.cmd == "WEBRTC_OFFER" and not sender.voice:
        return _refuse(ErrorCode.NO_VOICE_PERMISSION, current)
    if not target.is_reachable:
        return _refuse(ErrorCode.TARGET_OFFLINE, current)
    fate = negotiation.fate_of(current, ask.call, is_offer=ask.cmd == "WEBRTC_OFFER")
    if fate is not None:
        return _refuse(ErrorCode.NO_MATCHING_OFFER, current, fate)
    missed_on = target.session.connection if target.session.status == "away" else ConnectionId("")
    incoming = Incoming(ask.user, ask.to, target.session.id, ask.digest, facts.now, ask.session, missed_on)
    outcome = _outcome(current, ask, incoming, terms.policy)
    if isinstance(outcome, ErrorCode):
        is_answered = ask.cmd == "WEBRTC_ANSWER" and ask.call and current.established
        return _refuse(outcome, current, "answered" if is_answered else "")
    relay = _relay(ask, target, outcome)
    after = outcome.negotiation
    if ask.cmd in _GRANTED and after.established:
        relay = _granting(relay, after, ask.user, facts.now)
    if after is current:
        return Change(relay)
    said = _said(ask, facts.now, outcome.call)
    if ask.cmd == "WEBRTC_ICE_CANDIDATE":
        return Change(relay, after, said=said, apart=_apart(ask, terms, after))
    waiting = after.offer_of(ask.user) if ask.cmd == "WEBRTC_OFFER" else None
    if waiting is None:
        return Change(relay, after, said=said)
    timer = _timer(ask, terms, waiting, facts.now)
    look_again = None if current.is_active else _look_again(ask, relay, waiting, target.session.id)
    older = negotiation.replaced_unheard(current, incoming)
    if older is not None:
        said = (*said, Replaced(ask.to, older, ask.digest))
    return Change(relay, after, timer=timer, said=said, look_again=look_again)


def _look_again(ask: Check, relay: Relay, offer: WaitingOffer, expected: SessionId) -> LookAgain:
    """Have an offer's users looked at once more.

    Ending a session, or leaving a room, ends the negotiations stored at that moment. One stored just after
    is missed. Nobody waits for this look: the offer goes out meanwhile, and if one of the two has gone, its
    end comes after it. `expected` is the session of the target that the offer is for.
    """
    is_delivered = any(each.frame is None for each in relay.deliveries)
    return LookAgain(
        functools.partial(_is_wanted, ask, expected),
        functools.partial(_is_being_ended, ask),
        functools.partial(still_wanted, ask, relay.call, offer, expected),
        ask.to,
        ask.digest if is_delivered else None,
    )


def _is_wanted(ask: Check, expected: SessionId, users: Mapping[UserId, User]) -> bool:
    sender, target = users.get(ask.user), users.get(ask.to)
    if sender is None or target is None:
        return False
    return sender.has_live(ask.session) and target.has_live(expected) and share_a_room(sender, target)


def _is_being_ended(ask: Check, users: Mapping[UserId, User]) -> bool:
    both = (user for name in (ask.user, ask.to) if (user := users.get(name)) is not None)
    return any(isinstance(effect, EndCalls | EndCallsWithoutRoom) for user in both for effect in user.pending)


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
    already, by a process that did not know yet who has gone: so what ends is the `call`. See `_look_again`.
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


def _outcome(
    current: Negotiation, ask: Check, incoming: Incoming, policy: CandidatePolicy
) -> Outcome | ErrorCode:
    match ask.cmd:
        case "WEBRTC_OFFER":
            return negotiation.offer(current, incoming)
        case "WEBRTC_ANSWER":
            return negotiation.answer(current, incoming)
        case "WEBRTC_ICE_CANDIDATE":
            return negotiation.candidate(current, incoming, ask.frame, policy)
        case "WEBRTC_HANGUP":
            return negotiation.hangup(current, incoming)
        case "WEBRTC_INFO":
            return negotiation.info(current, incoming)
        case _:
            return ErrorCode.UNKNOWN_COMMAND


def _repeat(
    ask: Check, terms: Terms, current: Negotiation, known: Remembered, target: User | None, facts: Facts
) -> Change[Negotiation]:
    """Answer a retry as before, deliver and tell again what the first attempt may not have.

    If it is an offer that still waits, its timer must run, and its users are looked at, too.
    """
    relay = _relay(ask, target, negotiation.replay(current, known, ask.to, facts.now))
    said = _said(ask, known.at, known.call)
    if known.ack == "held":
        return Change(relay, said=said, apart=_apart(ask, terms, current))
    if ask.cmd in _GRANTED and current.established and current.call == known.call:
        relay = _granting(relay, current, ask.user, facts.now)
    waiting = current.offer_of(ask.user)
    if waiting is None or waiting.digest != ask.digest:
        return Change(relay, said=said)
    timer = _timer(ask, terms, waiting, facts.now)
    look_again = None if target is None else _look_again(ask, relay, waiting, known.session)
    return Change(relay, timer=timer, said=said, look_again=look_again)


def _granting(relay: Relay, current: Negotiation, sender: UserId, now: int) -> Relay:
    held = negotiation.held_digests(current, sender, now)
    return msgspec.structs.replace(relay, grant_seconds=GRANT_S, grant_held=held)


def _relay(ask: Check, target: User | None, outcome: Outcome) -> Relay:
    """Deliver to the sessions for which the frames were accepted, as far as those live.

    What an answer has released is left out where the router says that the mailbox has it. The sender of an
    offer hears of its target; a client that takes no WEBRTC_INFO is sent none.
    """
    tells = target is not None and target.session.tells
    if ask.cmd == "WEBRTC_INFO" and not tells:
        return Relay(outcome.ack, (), call=outcome.call)
    live = {ask.user: ask.session}
    if target is not None and target.is_reachable:
        live[ask.to] = target.session.id
    released = {
        (ask.to if held.sender == ask.user else ask.user, held.frame): held.released_by
        for held in outcome.negotiation.held
        if held.released_by is not None
    }
    deliveries: list[Delivery] = []
    releases: dict[tuple[UserId, FrameDigest], None] = {}
    for out in outcome.outgoing:
        if live.get(out.to) != out.session:
            continue
        answer = None if out.frame is None else released.get((out.to, out.frame))
        if answer is not None:
            if (out.to, answer) in ask.carried:
                continue
            releases[out.to, answer] = None
        call = NO_CALL if out.call == outcome.call else out.call
        deliveries.append(Delivery(out.to, out.session, out.frame, call))
    relay = Relay(outcome.ack, tuple(deliveries), call=outcome.call, releases=tuple(releases))
    if ask.cmd != "WEBRTC_OFFER" or target is None or target.session.status == "offline":
        return relay
    return msgspec.structs.replace(relay, target=target.session.status, tells=tells)


def _said(ask: Check, at: int, call: CallId) -> tuple[Said, ...]:
    """Tell what a frame did that was accepted at `at`; a retry of it tells the very same again."""
    name = call or None
    match ask.cmd:
        case "WEBRTC_OFFER":
            return (Happening("offered", Happened(at, ask.user, ask.to, call=name)),)
        case "WEBRTC_ANSWER":
            return (Happening("answered", Happened(at, ask.user, ask.to, call=name)),)
        case "WEBRTC_HANGUP":
            ended = Happened(at, ask.user, ask.to, reason="hangup", call=name)
            return Changed(ask.user), Happening("ended", ended)
        case _:
            return ()


def _timer(ask: Check, terms: Terms, waiting: WaitingOffer, now: int) -> Timer:
    """Time what is left to an offer: a retry sets the timer again, and prolongs nothing."""
    left_s = terms.offer_timeout_s - max(0, now - waiting.at) / 1000
    return Timer(Keys.offer_timer(ask.user, ask.to, waiting.generation), max(MIN_TIMER_S, left_s))


def _apart(ask: Check, terms: Terms, stored: Negotiation) -> Apart | None:
    """Store the frame of a held candidate apart, if that is where it must lie.

    It stays for as long as an offer may wait, and its release may be repeated.
    """
    if not negotiation.kept_apart(stored, ask.user, ask.digest):
        return None
    return Apart(Keys.held(ask.user, ask.to, ask.digest), terms.offer_timeout_s + KEPT_APART_S, ask.frame)


def _refuse(error: ErrorCode, current: Negotiation, fate: CallFate | Literal[""] = "") -> Change[Negotiation]:
    return Change(Refused(error.name, fate, current.call))
