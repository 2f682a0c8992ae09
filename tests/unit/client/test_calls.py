"""Which call is meant with a user, and for how long one rings."""

import pytest

from tieline.client.calls import MAX_SEEN, MAX_USERS, RING_MARGIN_S, Calls
from tieline.client.events import Answer, Candidate, Hangup, Offer
from tieline.wire.ids import NO_CALL, CallId, UserId

BOB, CAT = UserId("bob"), UserId("cat")
FIRST, SECOND, THIRD = (CallId(name) for name in ("first", "second", "third"))
OFFER, ANSWER, CANDIDATE, HANGUP = (
    f"WEBRTC_{name}" for name in ("OFFER", "ANSWER", "ICE_CANDIDATE", "HANGUP")
)
WAITS_S = 60.0


@pytest.fixture
def calls() -> Calls:
    """Nothing is known yet."""
    return Calls(WAITS_S)


def offered(call: CallId) -> Offer:
    """Bob's offer of a call."""
    return Offer(BOB, "sdp", "r", call)


def ended(call: CallId) -> Hangup:
    """Bob's hangup of a call."""
    return Hangup(BOB, "hangup", server=False, call=call)


def hear_and_read(calls: Calls, *events: Offer | Answer | Candidate | Hangup) -> None:
    """Let the application read each event as it comes."""
    for event in events:
        calls.heard(event, 0)
        calls.read(event)


def test_nothing_is_meant_before_anything_was_said(calls: Calls) -> None:
    assert calls.named(BOB) == NO_CALL


def test_the_call_is_meant_whose_offer_was_read(calls: Calls) -> None:
    hear_and_read(calls, offered(FIRST))
    assert (calls.named(BOB), calls.named(CAT)) == (FIRST, NO_CALL)


def test_a_call_that_was_not_read_of_is_not_meant(calls: Calls) -> None:
    hear_and_read(calls, offered(FIRST))
    for event in (ended(FIRST), offered(SECOND)):
        calls.heard(event, 0)
    assert calls.named(BOB) == FIRST
    calls.read(ended(FIRST))
    assert calls.named(BOB) == FIRST
    calls.read(offered(SECOND))
    assert calls.named(BOB) == SECOND


def test_the_call_is_meant_whose_offer_was_acknowledged(calls: Calls) -> None:
    hear_and_read(calls, offered(FIRST))
    calls.offering(BOB)
    assert calls.named(BOB) == NO_CALL
    calls.acknowledged(BOB, OFFER, SECOND, 0)
    assert calls.named(BOB) == SECOND


def test_what_is_read_late_of_an_older_call_does_not_count(calls: Calls) -> None:
    calls.heard(offered(FIRST), 0)
    calls.heard(ended(FIRST), 0)
    calls.offering(BOB)
    calls.read(offered(FIRST))
    assert calls.named(BOB) == NO_CALL
    calls.acknowledged(BOB, OFFER, SECOND, 0)
    calls.read(ended(FIRST))
    assert calls.named(BOB) == SECOND


def test_an_answer_is_of_the_call_of_the_offer_that_was_read(calls: Calls) -> None:
    assert calls.answered(BOB) == NO_CALL
    calls.offering(BOB)
    hear_and_read(calls, offered(FIRST), ended(FIRST))
    calls.acknowledged(BOB, OFFER, SECOND, 0)
    assert (calls.answered(BOB), calls.named(BOB)) == (FIRST, SECOND)
    hear_and_read(calls, offered(SECOND))
    assert calls.answered(BOB) == SECOND


def test_an_answer_to_a_nameless_offer_is_of_the_call_meant(calls: Calls) -> None:
    hear_and_read(calls, offered(NO_CALL))
    calls.acknowledged(BOB, OFFER, FIRST, 0)
    assert calls.answered(BOB) == FIRST


def test_an_offer_within_a_call_is_of_that_call_when_acknowledged(calls: Calls) -> None:
    hear_and_read(calls, offered(FIRST))
    calls.acknowledged(BOB, ANSWER, FIRST, 0)
    calls.offering(BOB)
    calls.acknowledged(BOB, OFFER, FIRST, 0)
    assert calls.named(BOB) == FIRST


def test_a_late_ack_of_an_older_call_changes_nothing(calls: Calls) -> None:
    hear_and_read(calls, offered(FIRST), offered(SECOND))
    calls.acknowledged(BOB, HANGUP, FIRST, 0)
    assert calls.named(BOB) == SECOND


def test_the_oldest_calls_are_forgotten(calls: Calls) -> None:
    hear_and_read(calls, *(offered(CallId(f"{number}")) for number in range(MAX_SEEN + 1)))
    calls.read(offered(CallId("0")))
    assert calls.named(BOB) == str(MAX_SEEN)


def test_the_users_of_long_ago_are_forgotten(calls: Calls) -> None:
    hear_and_read(calls, offered(FIRST))
    for number in range(MAX_USERS - 1):
        calls.offering(f"{number}")
    calls.heard(offered(SECOND), 0)
    calls.offering("one more")
    assert calls.named(BOB) == FIRST
    for number in range(MAX_USERS):
        calls.offering(f"{number}")
    assert calls.named(BOB) == NO_CALL


def test_a_new_call_rings_a_while_longer_than_its_offer_waits(calls: Calls) -> None:
    assert calls.heard(offered(FIRST), 5)
    assert calls.rings_until(BOB, FIRST) == 5 + WAITS_S + RING_MARGIN_S
    assert calls.acknowledged(CAT, OFFER, SECOND, 7)
    assert calls.rings_until(CAT, SECOND) == 7 + WAITS_S + RING_MARGIN_S


def test_who_is_being_woken_is_waited_for_and_then_rung(calls: Calls) -> None:
    assert calls.acknowledged(BOB, OFFER, FIRST, 7, 45)
    assert calls.rings_until(BOB, FIRST) == 7 + 45 + WAITS_S + RING_MARGIN_S
    assert calls.live() == []  # who is in no room yet has not gone from one
    calls.acknowledged(BOB, CANDIDATE, FIRST, 8)
    assert calls.live() == []
    calls.heard(Candidate(BOB, "c", "r", FIRST), 9)
    assert calls.live() == [(BOB, FIRST)]


def test_a_newer_offer_to_who_is_there_by_now_is_not_waited_for(calls: Calls) -> None:
    calls.acknowledged(BOB, OFFER, FIRST, 7, 45)
    calls.acknowledged(BOB, OFFER, FIRST, 8)
    assert calls.live() == [(BOB, FIRST)]
    assert calls.rings_until(BOB, FIRST) == 8 + WAITS_S + RING_MARGIN_S


def test_a_newer_offer_of_the_same_call_lets_it_ring_longer(calls: Calls) -> None:
    assert calls.heard(offered(FIRST), 0)
    assert not calls.heard(offered(FIRST), 30)
    assert calls.rings_until(BOB, FIRST) == 30 + WAITS_S + RING_MARGIN_S


@pytest.mark.parametrize("kind", [ANSWER, HANGUP])
def test_ones_own_answer_or_hangup_ends_the_ringing(calls: Calls, kind: str) -> None:
    calls.heard(offered(FIRST), 0)
    calls.acknowledged(BOB, CANDIDATE, FIRST, 1)
    assert calls.rings_until(BOB, FIRST) is not None
    assert not calls.acknowledged(BOB, kind, FIRST, 1)
    assert calls.rings_until(BOB, FIRST) is None


@pytest.mark.parametrize("event", [Answer(BOB, "sdp", "r", FIRST), ended(FIRST)])
def test_the_others_answer_or_hangup_ends_the_ringing(calls: Calls, event: Answer | Hangup) -> None:
    calls.acknowledged(BOB, OFFER, FIRST, 0)
    calls.heard(Candidate(BOB, "c", "r", FIRST), 1)
    assert calls.rings_until(BOB, FIRST) is not None
    assert not calls.heard(event, 1)
    assert calls.rings_until(BOB, FIRST) is None
    assert not calls.heard(offered(FIRST), 2)  # negotiates anew
    assert calls.rings_until(BOB, FIRST) is None


def test_what_comes_late_of_an_older_call_ends_no_ringing(calls: Calls) -> None:
    calls.acknowledged(BOB, OFFER, FIRST, 0)
    calls.acknowledged(BOB, OFFER, SECOND, 1)
    for late in (Answer(BOB, "sdp", "r", FIRST), ended(FIRST)):
        calls.heard(late, 2)
    assert calls.rings_until(BOB, FIRST) is None
    assert calls.rings_until(BOB, SECOND) is not None


def test_what_is_given_up_rings_no_more(calls: Calls) -> None:
    calls.heard(offered(FIRST), 0)
    calls.give_up(BOB, THIRD)
    calls.give_up(CAT, FIRST)
    assert calls.rings_until(BOB, FIRST) is not None
    calls.give_up(BOB, FIRST)
    assert calls.rings_until(BOB, FIRST) is None


def test_a_call_lives_from_its_offer_to_its_end(calls: Calls) -> None:
    assert calls.live() == []
    hear_and_read(calls, offered(FIRST))
    calls.acknowledged(CAT, OFFER, SECOND, 0)
    calls.acknowledged(BOB, ANSWER, FIRST, 0)
    assert sorted(calls.live()) == [(BOB, FIRST), (CAT, SECOND)]
    calls.acknowledged(CAT, HANGUP, SECOND, 0)
    hear_and_read(calls, ended(SECOND))  # of another call
    assert calls.live() == [(BOB, FIRST)]
    calls.give_up(BOB, SECOND)
    assert calls.live() == [(BOB, FIRST)]
    calls.give_up(BOB, FIRST)
    assert calls.live() == []


def test_the_newest_call_lives_whatever_is_said_of_older_ones(calls: Calls) -> None:
    hear_and_read(calls, offered(FIRST), ended(FIRST), offered(SECOND), offered(FIRST))
    assert calls.live() == [(BOB, SECOND)]
