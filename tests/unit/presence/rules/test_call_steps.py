"""The steps of a call, as operators count them: each call begins once and ends once."""

import msgspec
import pytest

from presence.rules import negotiation
from presence.rules.call_steps import Candidates, answered_offer_at, candidates, keeping, step
from presence.rules.negotiated import NOTHING, Negotiation
from presence.rules.negotiation import Outcome
from tests.unit.presence.rules.frames import ALICE, BOB, NOW, answers, hangs_up, offers, trickles
from tieline.wire.codes import ErrorCode


def after(step_or_refusal: Outcome | ErrorCode) -> Negotiation:
    assert isinstance(step_or_refusal, Outcome)
    return step_or_refusal.negotiation


def offered(pair: Negotiation = NOTHING, name: str = "offer") -> Negotiation:
    return after(offers(ALICE, name, pair))


def held(pair: Negotiation, name: str) -> Negotiation:
    return after(trickles(ALICE, name, pair))


def answered(pair: Negotiation) -> Negotiation:
    return after(answers(BOB, "answer", pair))


def hung_up(pair: Negotiation) -> Negotiation:
    return after(hangs_up(ALICE, "hangup", pair))


WAITING = offered()
ESTABLISHED = answered(WAITING)


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (NOTHING, WAITING, "begun"),
        (WAITING, ESTABLISHED, "established"),
        (WAITING, hung_up(WAITING), "abandoned"),
        (ESTABLISHED, hung_up(ESTABLISHED), "ended"),
        (ESTABLISHED, negotiation.end(ESTABLISHED), "ended"),
        (WAITING, negotiation.end(WAITING), "abandoned"),
        (WAITING, offered(WAITING, "again"), None),
        (ESTABLISHED, offered(ESTABLISHED, "renegotiation"), None),
        (WAITING, held(WAITING, "candidate"), None),
        (NOTHING, NOTHING, None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_change_is_at_most_one_step(before: Negotiation, now: Negotiation, expected: str | None) -> None:
    assert step(before, now) == expected


def test_an_offer_is_kept_then_delivered_or_over() -> None:
    kept = msgspec.structs.replace(
        WAITING, offers=(msgspec.structs.replace(WAITING.offers[0], kept_until=1),)
    )
    assert keeping(NOTHING, kept) == "kept"
    assert keeping(kept, WAITING) == "delivered"
    assert keeping(kept, hung_up(kept)) == "ended"
    assert keeping(kept, held(kept, "candidate")) is None
    assert keeping(NOTHING, WAITING) is None


def test_only_an_offer_whose_time_is_up_counts_as_unanswered() -> None:
    assert step(WAITING, NOTHING, timed_out=True) == "unanswered"
    assert step(WAITING, NOTHING) == "abandoned"


def test_an_offer_that_times_out_in_an_established_call_is_no_step() -> None:
    assert step(offered(ESTABLISHED, "renegotiation"), ESTABLISHED, timed_out=True) is None


def test_candidates_are_held_and_then_released_or_discarded() -> None:
    two = held(held(WAITING, "one"), "two")
    assert candidates(WAITING, two) == Candidates(held=2)
    assert candidates(two, answered(two)) == Candidates(released=2)
    assert candidates(two, hung_up(two)) == Candidates(discarded=2)
    assert candidates(answered(two), hung_up(answered(two))) == Candidates()


def test_the_offer_that_an_answer_establishes_is_found() -> None:
    assert answered_offer_at(WAITING, ESTABLISHED) == NOW
    crossed = offers(BOB, "offer of bob", WAITING, NOW + 5).negotiation
    assert answered_offer_at(crossed, answered(crossed)) == NOW
    assert answered_offer_at(crossed, after(answers(ALICE, "answer of alice", crossed))) == NOW + 5


@pytest.mark.parametrize(
    ("before", "now"),
    [(NOTHING, WAITING), (WAITING, hung_up(WAITING)), (offered(ESTABLISHED, "renegotiation"), ESTABLISHED)],
    ids=["offered", "hung up", "in an established call"],
)
def test_nothing_else_answers_an_offer_that_counts(before: Negotiation, now: Negotiation) -> None:
    assert answered_offer_at(before, now) is None
