"""The protocol's rules for the five WEBRTC commands, in their order. Pure.

Rule 1 of docs/protocol.md#the-rules-of-the-four-webrtc-commands, the form of the message, is the gateway's;
here begin rules 2 to 7. What a frame does to the negotiation is in `negotiation`; how an offer's users are
looked at once more, in `second_look`; what becomes of an offer that is kept for somebody who is not there,
in `waking`.
"""

import functools
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

import msgspec

from presence.rules import endings, negotiation, waking
from presence.rules.change import Apart, Await, Change, Facts, LookAgain, LookAt, Step, Timer
from presence.rules.effects import Changed, Happening, Replaced, Said
from presence.rules.granting import GRANTED, granting
from presence.rules.negotiated import NO_SESSION, NOTHING, Negotiation, Remembered, WaitingOffer
from presence.rules.negotiation import CandidatePolicy, Incoming, Outcome
from presence.rules.second_look import is_being_ended, look_again
from presence.rules.standing import rooms_to_wake_in
from presence.rules.user import User, gone, share_a_room, shared_rooms
from tieline.wire.codes import ErrorCode
from tieline.wire.events import Happened
from tieline.wire.ids import NO_CALL, CallId, ConnectionId, FrameDigest, UserId
from tieline.wire.internal.answers import Done, Refused
from tieline.wire.internal.signals import Check, Delivery, Relay
from tieline.wire.limits import RETRY_WINDOW_S
from tieline.wire.replies import CallFate
from tieline.wire.subjects import Keys

_OFFER: Final = "WEBRTC_OFFER"

MIN_TIMER_S: Final = 1.0
"""The shortest time that NATS can set a timer for."""


MOST_ROOMS: Final = 4
"""Rooms that a call is said to be in: two users mostly share one or two, and each event of it names them."""

KEPT_APART_S: Final = RETRY_WINDOW_S + 15.0
"""How long a frame that lies apart is kept beyond the offer's time: until no retry can ask for it."""


class Terms(NamedTuple):
    """What operators decide of negotiations."""

    policy: CandidatePolicy
    offer_timeout_s: float
    wake_window_s: float = 0.0
    """How long an offer is kept for a member who is not there; 0: it is refused."""


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
        if current.waits_for(user) and _is_there(users.get(user)):
            if Keys.standing(user) not in facts.read:
                return LookAt((Keys.standing(user),))
            go_on = functools.partial(check, ask, terms)
            return waking.settle(peer, user, terms.offer_timeout_s, go_on, stored, users, facts)
        if endings.is_outlived(current, user, users.get(user), facts.revision):
            if users_after != facts.revision:
                again = functools.partial(check, ask, terms, users_after=facts.revision)
                return Change(Done(), then=again)
            end = endings.end_outlived(current, user, peer, users, facts)
            return msgspec.structs.replace(end, then=functools.partial(check, ask, terms))
    known = current.memory_of(ask.user, ask.digest, facts.now)
    if known is not None:
        return _repeat(ask, terms, current, known, target, facts)
    if not _is_there(target):
        step = _to_absent(ask, terms, current, sender, facts)
        if step is not None:
            return step
    if target is None or not share_a_room(sender, target):
        return _refuse(ErrorCode.NOT_IN_SAME_ROOM, current)
    if ask.cmd == _OFFER and not sender.voice:
        return _refuse(ErrorCode.NO_VOICE_PERMISSION, current)
    if not target.is_reachable:
        return _refuse(ErrorCode.TARGET_OFFLINE, current)
    missed_on = target.session.connection if target.session.status == "away" else ConnectionId("")
    is_first = ask.cmd == _OFFER and not current.is_active
    rooms = shared_rooms(sender, target, MOST_ROOMS) if is_first else ()
    incoming = Incoming(
        ask.user, ask.to, target.session.id, ask.digest, facts.now, ask.session, missed_on, rooms
    )
    return _judge(ask, terms, current, incoming, target)


def _is_there(user: User | None) -> bool:
    return user is not None and user.is_reachable


def _judge(
    ask: Check, terms: Terms, current: Negotiation, incoming: Incoming, target: User | None
) -> Change[Negotiation]:
    """Judge what may pass between these two by rules 5 to 7. A target that is None is waited for."""
    now = incoming.now
    fate = negotiation.fate_of(current, ask.call, is_offer=ask.cmd == _OFFER)
    if fate is not None:
        return _refuse(ErrorCode.NO_MATCHING_OFFER, current, fate)
    outcome = _outcome(current, ask, incoming, terms.policy)
    if isinstance(outcome, ErrorCode):
        is_answered = ask.cmd == "WEBRTC_ANSWER" and ask.call and current.established
        return _refuse(outcome, current, "answered" if is_answered else "")
    relay = _relay(ask, target, outcome)
    after = outcome.negotiation
    if ask.cmd in GRANTED and after.established:
        relay = granting(relay, ask, after, target, now)
    if after is current:
        return Change(relay)
    said = _said(ask, now, outcome.call)
    if ask.cmd == "WEBRTC_ICE_CANDIDATE":
        return Change(relay, after, said=said, apart=_apart(ask, terms, after))
    waiting = after.offer_of(ask.user) if ask.cmd == _OFFER else None
    if waiting is None:
        return Change(relay, after, said=said)
    timer = _timer(ask, terms, waiting, now)
    looks = None if current.is_active else look_again(ask, relay, waiting, incoming.session)
    older = negotiation.replaced_unheard(current, incoming)
    if older is not None:
        said = (*said, Replaced(ask.to, older, ask.digest))
    return Change(relay, after, timer=timer, said=said, look_again=looks)


def _to_absent(
    ask: Check, terms: Terms, current: Negotiation, sender: User, facts: Facts
) -> Step[Negotiation] | None:
    """Judge a signal to somebody who is not there, but is or may be waited for; None: it is refused.

    An offer may be kept if there is nothing between the two, or it is kept already. Its frame is asked for
    only then.
    """
    is_awaited = current.waits_for(ask.to)
    if ask.cmd != _OFFER:
        incoming = Incoming(ask.user, ask.to, NO_SESSION, ask.digest, facts.now, ask.session)
        return _judge(ask, _holding(terms), current, incoming, None) if is_awaited else None
    if not is_awaited and (current.is_active or not terms.wake_window_s):
        return None
    if Keys.standing(ask.to) not in facts.read:
        return LookAt((Keys.standing(ask.to),))
    rooms = rooms_to_wake_in(sender, ask.to, facts)
    if not rooms:
        return None
    if not sender.voice:
        return _refuse(ErrorCode.NO_VOICE_PERMISSION, current)
    fate = negotiation.fate_of(current, ask.call, is_offer=True)
    if fate is not None:
        return _refuse(ErrorCode.NO_MATCHING_OFFER, current, fate)
    if not ask.frame:
        return _asking_for_frame(ask, current)
    until = current.kept_until or facts.now + int(terms.wake_window_s * 1000)
    wait = Await(ask.user, ask.to, until)
    if facts.prepared != wait:
        return wait
    if not facts.is_noted:
        return _refuse(ErrorCode.TARGET_OFFLINE, current)
    incoming = Incoming(
        ask.user, ask.to, NO_SESSION, ask.digest, facts.now, ask.session, rooms=rooms[:MOST_ROOMS]
    )
    return _kept(ask, terms, negotiation.keep(current, incoming, until), facts.now)


def _holding(terms: Terms) -> Terms:
    """Hold what cannot be forwarded: whom it is for is not there."""
    return terms._replace(policy="hold") if terms.policy == "forward" else terms


def _asking_for_frame(ask: Check, current: Negotiation) -> Change[Negotiation]:
    """Refuse an offer for now: a router that knows of it asks again, with the frame."""
    wants_frame = ask.sends_frame and not ask.frame
    return Change(Refused(ErrorCode.TARGET_OFFLINE.name, call=current.call, wants_frame=wants_frame))


def _kept(ask: Check, terms: Terms, outcome: Outcome, now: int) -> Change[Negotiation]:
    """Keep an offer, with its frame apart, and look once more at whom it is for."""
    after = outcome.negotiation
    waiting = after.offer_of(ask.user)
    assert waiting is not None  # it is the one that is kept
    left_s = max(0, waiting.kept_until - now) / 1000
    return Change(
        Relay("held", (), call=outcome.call, target="away", tells=True, kept_s=left_s),
        after,
        timer=Timer(Keys.offer_timer(ask.user, ask.to, waiting.generation), max(MIN_TIMER_S, left_s)),
        apart=_frame_apart(ask, left_s + terms.offer_timeout_s) if ask.frame else None,
        said=_said(ask, waiting.at, outcome.call),
        look_again=LookAgain(
            lambda _: False,
            functools.partial(is_being_ended, (ask.user,)),
            functools.partial(waking.settle, ask.user, ask.to, terms.offer_timeout_s, waking.done),
            ask.to,
            None,
        ),
    )


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
    outcome = negotiation.replay(current, known, ask.to, facts.now)
    waiting = current.offer_of(ask.user)
    if waiting is not None and waiting.digest == ask.digest and waiting.kept_until:
        if ask.sends_frame and not ask.frame:
            return _asking_for_frame(ask, current)
        return msgspec.structs.replace(_kept(ask, terms, outcome, facts.now), record=None)
    relay = _relay(ask, target, outcome)
    said = _said(ask, known.at, known.call)
    if known.ack == "held":
        return Change(relay, said=said, apart=_apart(ask, terms, current))
    if ask.cmd in GRANTED and current.established and current.call == known.call:
        relay = granting(relay, ask, current, target, facts.now)
    if waiting is None or waiting.digest != ask.digest:
        return Change(relay, said=said)
    timer = _timer(ask, terms, waiting, facts.now)
    looks = None if target is None else look_again(ask, relay, waiting, known.session)
    return Change(relay, timer=timer, said=said, look_again=looks)


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
    if ask.cmd != _OFFER or target is None or target.session.status == "offline":
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
    return _frame_apart(ask, terms.offer_timeout_s + terms.wake_window_s)


def _frame_apart(ask: Check, wanted_s: float) -> Apart:
    """Store a frame apart until it is wanted no more, and no retry can ask for it."""
    return Apart(Keys.held(ask.user, ask.to, ask.digest), wanted_s + KEPT_APART_S, ask.frame)


def _refuse(error: ErrorCode, current: Negotiation, fate: CallFate | Literal[""] = "") -> Change[Negotiation]:
    return Change(Refused(error.name, fate, current.call))
