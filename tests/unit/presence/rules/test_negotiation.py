import pytest

from presence.rules.negotiated import NOTHING, Negotiation, WaitingOffer
from presence.rules.negotiation import end, expire
from tests.unit.presence.rules.frames import (
    ALICE,
    BOB,
    NOW,
    PEER,
    answers,
    established,
    hangs_up,
    named,
    offers,
    to_alice,
    to_bob,
    trickles,
    waiting,
    went,
)
from tieline.wire.codes import ErrorCode
from tieline.wire.ids import UserId
from tieline.wire.subjects import token


def held_in(pair: Negotiation) -> list[bytes]:
    """List the candidates that wait for an answer."""
    return [held.frame for held in pair.held if held.released_by is None]


def test_an_offer_waits_and_goes_to_the_target() -> None:
    step = offers(ALICE, "offer")
    assert step.negotiation.offers == (WaitingOffer(ALICE, named("offer"), NOW),)
    assert step.negotiation.is_active
    assert not step.negotiation.established
    assert step.outgoing == to_bob(None)
    assert step.ack == "relayed"


def test_a_new_offer_replaces_the_waiting_one_of_the_same_sender() -> None:
    step = offers(ALICE, "offer 2", waiting(), NOW + 5)
    assert step.negotiation.offers == (WaitingOffer(ALICE, named("offer 2"), NOW + 5),)


def test_what_is_held_stays_held_when_its_offer_is_replaced() -> None:
    step = offers(ALICE, "offer 2", waiting("c1", "c2"))
    assert [held.frame for held in step.negotiation.held] == [b"c1", b"c2"]
    assert went(answers(BOB, "answer", step.negotiation)).outgoing == to_alice(None) + to_bob("c1", "c2")


def test_offers_that_cross_both_wait() -> None:
    step = offers(BOB, "offer 2", waiting())
    assert [offer.sender for offer in step.negotiation.offers] == [ALICE, BOB]
    assert step.outgoing == to_alice(None)


@pytest.mark.parametrize("answerer", [ALICE, BOB])
def test_of_crossing_offers_one_is_answered_and_the_other_waits_on(
    answerer: UserId,
) -> None:
    crossed = offers(BOB, "offer 2", waiting()).negotiation
    other = PEER[answerer]
    step = went(answers(answerer, "answer", crossed))
    assert step.negotiation.established
    assert [offer.sender for offer in step.negotiation.offers] == [answerer]
    assert went(answers(other, "answer 2", step.negotiation)).negotiation.offers == ()


def test_a_new_offer_leaves_an_established_pair_established() -> None:
    step = offers(ALICE, "offer 2", established())
    assert step.negotiation.established
    assert step.outgoing == to_bob(None)
    assert went(trickles(BOB, "c1", step.negotiation)).outgoing == to_alice(None)
    assert went(answers(BOB, "answer 2", step.negotiation)).outgoing == to_alice(None)


def test_an_answer_to_a_waiting_offer_establishes_the_pair() -> None:
    step = went(answers(BOB, "answer", waiting()))
    assert step.negotiation.established
    assert step.negotiation.offers == ()
    assert step.outgoing == to_alice(None)


@pytest.mark.parametrize("pair", [NOTHING, established()], ids=["nothing", "answered already"])
def test_an_answer_without_an_offer_is_refused(pair: Negotiation) -> None:
    assert answers(BOB, "answer 2", pair) is ErrorCode.NO_MATCHING_OFFER


def test_nobody_answers_an_offer_of_its_own() -> None:
    assert answers(ALICE, "answer", waiting()) is ErrorCode.NO_MATCHING_OFFER


@pytest.mark.parametrize("sender", [ALICE, BOB])
@pytest.mark.parametrize(
    "pair", [waiting("c1"), established("c1"), offers(BOB, "offer 2", waiting()).negotiation]
)
def test_either_side_ends_whatever_is_negotiated(sender: UserId, pair: Negotiation) -> None:
    step = went(hangs_up(sender, "hangup", pair, NOW + 20_000))
    assert not step.negotiation.is_active
    assert held_in(step.negotiation) == []
    assert step.outgoing == (to_bob(None) if sender == ALICE else to_alice(None))


def test_there_is_nothing_to_end_where_nothing_is_negotiated() -> None:
    assert hangs_up(ALICE, "hangup", NOTHING) is ErrorCode.NO_MATCHING_OFFER


def test_after_the_end_nothing_is_left_of_the_negotiation() -> None:
    over = went(hangs_up(BOB, "hangup", established("c1"))).negotiation
    assert answers(BOB, "answer 2", over) is ErrorCode.NO_MATCHING_OFFER
    assert trickles(ALICE, "c2", over) is ErrorCode.NO_MATCHING_OFFER
    assert hangs_up(ALICE, "hangup 2", over) is ErrorCode.NO_MATCHING_OFFER


def test_after_the_end_an_offer_begins_and_candidates_wait_again() -> None:
    over = went(hangs_up(BOB, "hangup", established("c1"))).negotiation
    step = went(trickles(ALICE, "c2", offers(ALICE, "offer 2", over).negotiation))
    assert step.ack == "held"
    assert held_in(step.negotiation) == [b"c2"]


@pytest.mark.parametrize("pair", [waiting("c1"), established("c1")])
def test_the_server_ends_whatever_is_negotiated(pair: Negotiation) -> None:
    ended = end(pair)
    assert not ended.is_active
    assert held_in(ended) == []


def test_ending_what_has_ended_changes_nothing() -> None:
    ended = end(established("c1"))
    assert end(ended) is ended


def test_ending_where_nothing_was_negotiated_changes_nothing() -> None:
    assert end(NOTHING) is NOTHING


def generation_of(pair: Negotiation, sender: UserId = ALICE) -> str:
    (offer,) = (offer for offer in pair.offers if offer.sender == sender)
    return offer.generation


def test_an_offer_that_nobody_answered_ends_the_negotiation() -> None:
    pair = waiting("c1")
    expired = expire(pair, ALICE, generation_of(pair))
    assert expired is not None
    assert not expired.is_active
    assert held_in(expired) == []


def test_in_a_call_an_unanswered_offer_only_stops_waiting() -> None:
    pair = offers(ALICE, "offer 2", established("c1")).negotiation
    expired = expire(pair, ALICE, generation_of(pair))
    assert expired is not None
    assert expired.established
    assert expired.offers == ()
    assert expired.held == pair.held


def test_of_offers_that_cross_the_other_one_goes_on_waiting() -> None:
    pair = offers(BOB, "offer 2", waiting("c1")).negotiation
    expired = expire(pair, ALICE, generation_of(pair))
    assert expired is not None
    assert [offer.sender for offer in expired.offers] == [BOB]
    assert [held.frame for held in expired.held] == [b"c1"]


def test_the_timer_of_a_replaced_offer_means_nothing() -> None:
    pair = waiting()
    replaced = offers(ALICE, "offer 2", pair, NOW + 30_000).negotiation
    assert expire(replaced, ALICE, generation_of(pair)) is None


def test_the_same_frame_offered_again_later_has_another_timer() -> None:
    pair = waiting()
    again = offers(ALICE, "offer", pair, NOW + 90_000).negotiation
    assert expire(again, ALICE, generation_of(pair)) is None
    assert expire(again, ALICE, generation_of(again)) is not None


@pytest.mark.parametrize("pair", [NOTHING, established(), offers(BOB, "offer 2").negotiation])
def test_the_timer_of_an_offer_that_waits_no_more_means_nothing(pair: Negotiation) -> None:
    assert expire(pair, ALICE, generation_of(waiting())) is None


def test_a_generation_may_stand_in_a_key() -> None:
    generation = generation_of(waiting())
    assert token(generation) == generation
