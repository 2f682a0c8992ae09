"""The protocol's rules for the four WEBRTC commands, in their order (PROTOCOL, "The rules").

Rule 1, the form of the message, is the gateway's; here begin rules 2 to 7. Pure: what is known and what is
asked go in, the verdict and the changed pair come out. The shell around it is `pairs`.
"""

from typing import Final, NamedTuple

from presence import negotiation
from presence.member import User, share_a_room
from presence.negotiation import ANY_SESSION, CandidatePolicy, Pair, Said, Step, WaitingOffer
from tieline.wire.codes import ErrorCode
from tieline.wire.internal import Check, Delivery, Refused, Relay, SessionGone, Verdict

LEASE_S: Final = 5.0
"""How long a router may relay an established pair's candidates unasked; `changed.<u>` ends it early."""


class Situation(NamedTuple):
    """What is known when a signal arrives."""

    sender: User | None
    target: User | None
    pair: Pair


class Judgement(NamedTuple):
    """What to answer, and what to write first."""

    verdict: Verdict
    pair: Pair | None = None
    """The pair as it must be committed before the verdict counts; None: nothing changed."""
    waiting: WaitingOffer | None = None
    """The offer whose timer must run; it may be running already."""


def decide(situation: Situation, check: Check, now: int, policy: CandidatePolicy) -> Judgement:
    """Judge one signal. `now` is Unix milliseconds."""
    sender, target, pair = situation
    if sender is None or not sender.has_live(check.session):
        return Judgement(SessionGone(replaced=sender is not None and sender.is_reachable))
    known = pair.memory_of(check.user, check.digest, now)
    if known is not None:
        return _repeat(check, target, negotiation.again(pair, known, check.to, now))
    if target is None or not share_a_room(sender, target):
        return _refuse(ErrorCode.NOT_IN_SAME_ROOM)
    if check.cmd == "WEBRTC_OFFER" and not sender.voice:
        return _refuse(ErrorCode.NO_VOICE_PERMISSION)
    if not target.is_reachable:
        return _refuse(ErrorCode.TARGET_OFFLINE)
    said = Said(check.user, check.to, target.session, check.digest, now)
    step = _step(pair, check, said, policy)
    if isinstance(step, ErrorCode):
        return _refuse(step)
    verdict = _relay(check, target, step)
    if check.cmd == "WEBRTC_ICE_CANDIDATE" and step.pair.established:
        held = negotiation.held_digests(pair, check.user, now)
        verdict = Relay(verdict.ack, verdict.deliveries, LEASE_S, held)
    return Judgement(
        verdict,
        None if step.pair is pair else step.pair,
        step.pair.offer_of(check.user) if check.cmd == "WEBRTC_OFFER" else None,
    )


def _step(pair: Pair, check: Check, said: Said, policy: CandidatePolicy) -> Step | ErrorCode:
    match check.cmd:
        case "WEBRTC_OFFER":
            return negotiation.offer(pair, said)
        case "WEBRTC_ANSWER":
            return negotiation.answer(pair, said)
        case "WEBRTC_ICE_CANDIDATE":
            return negotiation.candidate(pair, said, check.frame, policy)
        case "WEBRTC_HANGUP":
            return negotiation.hangup(pair, said)
        case _:
            return ErrorCode.UNKNOWN_COMMAND


def _repeat(check: Check, target: User | None, step: Step) -> Judgement:
    """Answer a retry as before, and deliver again. Its timer must run, too."""
    waiting = step.pair.offer_of(check.user)
    mine = waiting if waiting is not None and waiting.digest == check.digest else None
    return Judgement(_relay(check, target, step), waiting=mine)


def _relay(check: Check, target: User | None, step: Step) -> Relay:
    """Deliver to the sessions for which it was accepted, as far as they live."""
    live = {check.user: check.session}
    if target is not None and target.is_reachable:
        live[check.to] = target.session
    deliveries = tuple(
        Delivery(line.to, live[line.to], line.frame)
        for line in step.outgoing
        if line.to in live and line.session in (live[line.to], ANY_SESSION)
    )
    return Relay(step.ack, deliveries)


def _refuse(refusal: ErrorCode) -> Judgement:
    return Judgement(Refused(refusal.name))
