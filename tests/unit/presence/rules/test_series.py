"""Candidates that go together: judged as if one came after the other, answered by one reply."""

import functools

import msgspec
import pytest

from presence.rules.change import Apart, Change, Facts, Gathered
from presence.rules.gathered import gathered
from presence.rules.granting import GRANT_S
from presence.rules.negotiated import NOTHING, Negotiation
from presence.rules.negotiation import MAX_HELD, MAX_INLINE_BYTES
from presence.rules.series import answered, one_by_one
from presence.rules.signals import Terms, check
from presence.rules.user import User
from tests.unit.presence.rules.frames import (
    ALICE,
    BOB,
    NOW,
    SESSIONS,
    answers,
    established,
    named,
    offers,
    waiting,
    went,
)
from tests.unit.presence.rules.people import online
from tieline.wire.codes import ErrorCode
from tieline.wire.ids import RoomId, SessionId, UserId
from tieline.wire.internal.answers import Refused, SessionGone
from tieline.wire.internal.signals import Check, Delivery, Relay, Verdict

TERMS = Terms("hold", 60.0)
HALL = RoomId("hall")
IN_HALL = {name: online(SESSIONS[name], [HALL]) for name in (ALICE, BOB)}
FACTS = Facts(NOW)
CANDIDATE = "WEBRTC_ICE_CANDIDATE"


def series(*frames: str, cmd: str = CANDIDATE, sender: UserId = ALICE) -> Check:
    """What a router asks about these frames."""
    first, *then = (frame.encode() for frame in frames)
    to = BOB if sender == ALICE else ALICE
    frame = first if cmd == CANDIDATE else b""
    return Check(sender, SESSIONS[sender], to, cmd, named(frames[0]), frame, then=tuple(then))


def judged(
    ask: Check, pair: Negotiation, users: dict[UserId, User] = IN_HALL, facts: Facts = FACTS
) -> Change[Negotiation]:
    """Judge the candidates of a series, as far as that goes in one change."""
    rules = [functools.partial(check, one, TERMS) for one in one_by_one(ask)]
    step = gathered(rules)(pair, users, facts)
    assert isinstance(step, Change)
    return step


def verdicts(step: Change[Negotiation]) -> tuple[Verdict, ...]:
    """List what the router is answered about each of them."""
    return answered(step.reply.replies if isinstance(step.reply, Gathered) else [step.reply]).verdicts


def each_alone(ask: Check, pair: Negotiation) -> tuple[list[Verdict], Negotiation]:
    """Judge each candidate by itself, after what those before it have made of the pair."""
    found: list[Verdict] = []
    for frame in (ask.frame, *ask.then):
        one = msgspec.structs.replace(ask, digest=named(frame.decode()), frame=frame, then=())
        step = check(one, TERMS, pair, IN_HALL, FACTS)
        assert isinstance(step, Change)
        assert isinstance(step.reply, Relay | Refused | SessionGone)
        found.append(step.reply)
        pair = step.record or pair
    return found, pair


def test_a_signal_that_came_alone_is_judged_as_it_is() -> None:
    ask = series("c1")

    assert one_by_one(ask) == [ask]


@pytest.mark.parametrize("cmd", ["WEBRTC_ANSWER", "WEBRTC_HANGUP"])
def test_what_follows_another_message_is_not_judged_with_it(cmd: str) -> None:
    assert len(one_by_one(series("frame", "c1", cmd=cmd))) == 1


@pytest.mark.parametrize("pair", [NOTHING, waiting(), waiting("c0"), established("c0"), established()])
@pytest.mark.parametrize("frames", [("c1", "c2", "c3"), ("c1", "c1"), ("c0", "c1")])
def test_a_series_leaves_what_its_candidates_leave_one_by_one(
    pair: Negotiation, frames: tuple[str, ...]
) -> None:
    ask = series(*frames)
    expected, after = each_alone(ask, pair)

    step = judged(ask, pair)

    assert [type(verdict) for verdict in verdicts(step)] == [type(verdict) for verdict in expected]
    assert (step.record or pair) == after
    assert step.effects == step.said == ()


def test_candidates_before_the_answer_are_held_in_their_order() -> None:
    step = judged(series("c1", "c2", "c3"), waiting("c0"))

    assert all(isinstance(verdict, Relay) and verdict.ack == "held" for verdict in verdicts(step))
    assert step.record is not None
    assert [held.frame for held in step.record.held] == [b"c0", b"c1", b"c2", b"c3"]


def test_candidates_after_the_answer_pass_and_change_nothing() -> None:
    step = judged(series("c1", "c2"), established())

    assert step.record is None
    for verdict in verdicts(step):
        assert isinstance(verdict, Relay)
        assert verdict.deliveries == (Delivery(BOB, SESSIONS[BOB], None),)
        assert verdict.grant_seconds == GRANT_S


def test_what_precedes_a_series_is_delivered_once() -> None:
    pair = went(answers(BOB, "answer", waiting("held 1", "held 2"))).negotiation

    first, *others = verdicts(judged(series("c1", "c2", "c3"), pair))

    assert isinstance(first, Relay)
    assert [each.frame for each in first.deliveries] == [b"held 1", b"held 2", None]
    assert len(first.releases) == 1
    for verdict in others:
        assert isinstance(verdict, Relay)
        assert [each.frame for each in verdict.deliveries] == [None]
        assert verdict.releases == ()


def test_candidates_are_judged_with_their_offer() -> None:
    ask = series("offer", "c1", "c2", cmd="WEBRTC_OFFER")

    step = judged(ask, NOTHING)

    relayed, *held = verdicts(step)
    assert isinstance(relayed, Relay)
    assert relayed.deliveries == (Delivery(BOB, SESSIONS[BOB], None),)
    assert [verdict.ack for verdict in held if isinstance(verdict, Relay)] == ["held", "held"]
    assert step.record is not None
    assert [held.frame for held in step.record.held] == [b"c1", b"c2"]
    assert step.timer is not None
    assert step.look_again is not None
    assert isinstance(step.reply, Gathered)
    assert step.reply.looks == 0


def test_candidates_of_an_offer_in_a_call_pass_behind_it() -> None:
    step = judged(series("offer", "c1", cmd="WEBRTC_OFFER"), established())

    offer, candidate = verdicts(step)
    assert isinstance(offer, Relay)
    assert isinstance(candidate, Relay)
    assert (offer.ack, candidate.ack) == ("relayed", "relayed")
    assert candidate.deliveries == (Delivery(BOB, SESSIONS[BOB], None),)
    assert candidate.grant_seconds == GRANT_S


def test_candidates_of_a_refused_offer_are_judged_by_themselves() -> None:
    mute = msgspec.structs.replace(IN_HALL[ALICE], voice=False)

    offer, candidate = verdicts(
        judged(series("offer", "c1", cmd="WEBRTC_OFFER"), NOTHING, {**IN_HALL, ALICE: mute})
    )

    assert offer == Refused(ErrorCode.NO_VOICE_PERMISSION.name)
    assert candidate == Refused(ErrorCode.NO_MATCHING_OFFER.name)


def test_each_candidate_that_is_refused_is_refused_by_itself() -> None:
    full = waiting(*(f"held {number}" for number in range(MAX_HELD - 1)))

    first, *others = verdicts(judged(series("c1", "c2", "c3"), full))

    assert isinstance(first, Relay)
    assert [verdict.reason for verdict in others if isinstance(verdict, Refused)] == [
        ErrorCode.TOO_MANY_CANDIDATES.name
    ] * 2


def test_a_series_ends_before_a_second_candidate_that_lies_apart() -> None:
    long, longer = "x" * MAX_INLINE_BYTES, "y" * (MAX_INLINE_BYTES + 1)

    step = judged(series("c1", long, longer, "c4"), waiting("held"))

    assert len(verdicts(step)) == 2
    assert isinstance(step.apart, Apart)
    assert step.apart.value == long.encode()
    assert step.record is not None
    assert [held.digest for held in step.record.held] == [named("held"), named("c1"), named(long)]


def test_what_outlived_a_session_ends_before_a_series_is_judged() -> None:
    newer = online(SessionId("newer session of bob"), [HALL])
    pair = went(offers(ALICE, "offer")).negotiation
    record = msgspec.structs.replace(pair, sessions=((ALICE, SESSIONS[ALICE]), (BOB, SESSIONS[BOB])))

    step = judged(series("c1", "c2"), record, {**IN_HALL, BOB: newer}, Facts(NOW, revision=7))

    assert not isinstance(step.reply, Gathered)
    assert step.then is not None
