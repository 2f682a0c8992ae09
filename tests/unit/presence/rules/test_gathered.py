"""Signals that are judged in one change: what comes of them is what comes of one after the other."""

import functools
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from presence.rules import signals
from presence.rules.change import Change, Facts, Gathered, Prepare, Reply, Rule
from presence.rules.gathered import gathered
from presence.rules.negotiated import NOTHING, Negotiation
from presence.rules.negotiation import MAX_INLINE_BYTES
from presence.rules.signals import Terms
from tests.support.examples import scaled
from tests.unit.presence.rules.frames import ALICE, BOB, NOW, PEER, SESSIONS, established, named, waiting
from tests.unit.presence.rules.people import followed, online
from tieline.wire.ids import RoomId, SessionId, UserId
from tieline.wire.internal.answers import Done, Refused
from tieline.wire.internal.signals import Check, Relay

IN_HALL: Final = {user: online(SESSIONS[user], [RoomId("hall")]) for user in (ALICE, BOB)}
TERMS: Final = Terms("hold", 60.0)
FACTS: Final = Facts(NOW, revision=7)

Signal = tuple[UserId, str, str]
"""Who says what, and the name of the frame."""


def rule(user: UserId, cmd: str, frame: str) -> Rule[Negotiation]:
    """The rule that judges one signal."""
    body = frame.encode() if cmd == "ICE_CANDIDATE" else b""
    ask = Check(user, SESSIONS[user], PEER[user], f"WEBRTC_{cmd}", named(frame), body)
    return functools.partial(signals.check, ask, TERMS)


def judges(pair: Negotiation, *said: Signal) -> Change[Negotiation]:
    """Judge these together, as far as that goes."""
    step = gathered([rule(*signal) for signal in said])(pair, IN_HALL, FACTS)
    assert isinstance(step, Change)
    return step


def replies_in(step: Change[Negotiation]) -> list[Reply]:
    """List the replies of a change."""
    return list(step.reply.replies) if isinstance(step.reply, Gathered) else [step.reply]


some_signals: Final = st.lists(
    st.tuples(
        st.sampled_from((ALICE, BOB)),
        st.sampled_from(("OFFER", "ANSWER", "ICE_CANDIDATE", "ICE_CANDIDATE", "ICE_CANDIDATE", "HANGUP")),
        st.sampled_from(("one", "two", "three", "o" * MAX_INLINE_BYTES)),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=scaled(200))
@given(said=some_signals, pair=st.sampled_from((NOTHING, waiting("held"), established("released"))))
def test_together_is_what_one_after_the_other_is(said: list[Signal], pair: Negotiation) -> None:
    left, now, replies, seen = list(said), pair, list[Reply](), list[object]()
    while left:
        step = judges(now, *left)
        judged = replies_in(step)
        step, after = followed(step, now, IN_HALL, FACTS)
        replies += judged
        seen += [*step.passed, *([step.record] if step.record is not None else [])]
        now = step.record or after or now
        del left[: len(judged)]
    expected, alone, steps = list[Reply](), pair, list[object]()
    for signal in said:
        one, after = followed(rule(*signal)(alone, IN_HALL, FACTS), alone, IN_HALL, FACTS)
        expected.append(one.reply)
        if one.record is not None:
            alone = one.record
            steps.append(alone)
    assert replies == expected
    assert now == alone
    assert seen == steps


def test_an_offer_and_its_candidates_are_one_write() -> None:
    step = judges(
        NOTHING, (ALICE, "OFFER", "o"), (ALICE, "ICE_CANDIDATE", "1"), (ALICE, "ICE_CANDIDATE", "2")
    )
    assert isinstance(step.reply, Gathered)
    assert [reply.ack for reply in step.reply.replies if isinstance(reply, Relay)] == [
        "relayed",
        "held",
        "held",
    ]
    assert step.record is not None
    assert [held.frame for held in step.record.held] == [b"1", b"2"]
    assert step.timer is not None
    assert (step.look_again is not None, step.reply.looks) == (True, 0)
    assert len(step.said) == 1
    assert len(step.passed) == 2


def test_the_reply_to_the_offer_is_named_wherever_it_stands() -> None:
    step = judges(waiting(), (ALICE, "HANGUP", "h"), (ALICE, "OFFER", "another"))
    assert isinstance(step.reply, Gathered)
    assert step.look_again is not None
    assert step.reply.looks == 1


def test_a_refusal_among_others_changes_nothing_for_them() -> None:
    wrong, right = (ALICE, "ANSWER", "of her own"), (ALICE, "ICE_CANDIDATE", "1")
    for said in ((right, wrong), (wrong, right)):
        step = judges(waiting(), *said)
        replies = dict(zip(said, replies_in(step), strict=True))
        assert replies[right] == Relay("held", (), call=waiting().call)
        assert isinstance(replies[wrong], Refused)
        assert step.record == judges(waiting(), right).record
        assert step.passed == ()


def test_a_second_timer_is_set_by_itself() -> None:
    step = judges(NOTHING, (ALICE, "OFFER", "one"), (BOB, "OFFER", "another"), (ALICE, "OFFER", "a third"))
    assert len(replies_in(step)) == 1
    assert step.timer is not None


def test_a_second_frame_lies_apart_by_itself() -> None:
    large = ["x" * MAX_INLINE_BYTES, "y" * MAX_INLINE_BYTES, "z" * MAX_INLINE_BYTES]
    step = judges(waiting(), *((ALICE, "ICE_CANDIDATE", frame) for frame in large))
    assert len(replies_in(step)) == 2
    assert step.apart is not None
    assert step.apart.value == large[1].encode()


def test_what_must_be_prepared_or_decided_again_is_judged_by_itself() -> None:
    prepare = Prepare(SessionId("s"))
    again: Change[Negotiation] = Change(Done(), then=rule(ALICE, "OFFER", "o"))
    with_its_frame: Change[Negotiation] = Change(Refused("TARGET_OFFLINE", wants_frame=True))
    for step in (prepare, again, with_its_frame):
        assert (
            gathered([lambda *_, step=step: step, rule(ALICE, "OFFER", "o")])(NOTHING, IN_HALL, FACTS) is step
        )
        second = gathered([rule(ALICE, "OFFER", "o"), lambda *_, step=step: step])(NOTHING, IN_HALL, FACTS)
        assert isinstance(second, Change)
        assert isinstance(second.reply, Relay)


@pytest.mark.parametrize("cmd", ["OFFER", "HANGUP"])
def test_one_by_itself_is_judged_by_its_own_rule(cmd: str) -> None:
    alone = rule(ALICE, cmd, "frame")
    assert gathered([alone]) is alone
