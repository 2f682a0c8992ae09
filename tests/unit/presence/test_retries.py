import pytest

from presence.negotiation import (
    EARLIER_MS,
    MAX_REMEMBERED,
    NOTHING,
    RETRY_MS,
    Pair,
    Step,
    again,
    end,
    expire,
    held_digests,
)
from tests.unit.presence.frames import (
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
from tieline.wire.ids import UserId


def retries(sender: UserId, frame: str, pair: Pair, now: int = NOW) -> Step:
    """Let one of the two send a remembered frame again."""
    known = pair.memory_of(sender, named(frame), now)
    assert known is not None, f"{frame} is not remembered"
    return again(pair, known, PEER[sender], now)


def test_a_frame_never_seen_is_not_remembered() -> None:
    assert NOTHING.memory_of(ALICE, named("offer"), NOW) is None
    assert waiting().memory_of(ALICE, named("another offer"), NOW) is None


def test_a_frame_of_the_one_is_not_remembered_of_the_other() -> None:
    assert waiting().memory_of(BOB, named("offer"), NOW) is None


@pytest.mark.parametrize(("later_ms", "is_retry"), [(0, True), (RETRY_MS - 1, True), (RETRY_MS, False)])
def test_the_same_frame_is_a_retry_for_a_minute(later_ms: int, is_retry: bool) -> None:
    assert RETRY_MS == 60_000
    assert (waiting().memory_of(ALICE, named("offer"), NOW + later_ms) is not None) is is_retry


def test_a_frame_sent_anew_after_its_minute_is_remembered_for_another_one() -> None:
    pair = offers(ALICE, "offer", waiting(), NOW + RETRY_MS).pair
    known = pair.memory_of(ALICE, named("offer"), NOW + 2 * RETRY_MS - 1)
    assert known is not None
    assert known.at == NOW + RETRY_MS


def test_a_retried_offer_is_delivered_again_and_changes_nothing() -> None:
    pair = waiting("c1")
    step = retries(ALICE, "offer", pair, NOW + 1000)
    assert step.pair is pair
    assert step == Step(pair, to_bob(None), "relayed")


def test_a_retried_answer_releases_again_what_it_released() -> None:
    pair = waiting("a1")
    pair = went(trickles(BOB, "b1", pair)).pair
    first = went(answers(BOB, "answer", pair))
    retried = retries(BOB, "answer", first.pair, NOW + 5000)
    assert retried.outgoing == first.outgoing == to_alice(None) + to_bob("a1") + to_alice("b1")
    assert retried.pair is first.pair


def test_a_retried_answer_releases_again_after_the_others_have_gone_on() -> None:
    pair = offers(ALICE, "offer 2", established("c1")).pair
    pair = went(answers(BOB, "answer 2", pair)).pair
    assert retries(BOB, "answer", pair).outgoing == to_alice(None) + to_bob("c1")
    assert retries(BOB, "answer 2", pair).outgoing == to_alice(None)


def test_a_retried_held_candidate_is_acknowledged_as_held_and_not_held_twice() -> None:
    pair = waiting("c1")
    assert retries(ALICE, "c1", pair) == Step(pair, (), "held")


def test_a_held_candidate_retried_after_its_release_is_acknowledged_as_held_and_not_delivered() -> None:
    pair = established("c1")
    assert retries(ALICE, "c1", pair) == Step(pair, (), "held")


def test_a_retried_hangup_is_delivered_again() -> None:
    pair = went(hangs_up(ALICE, "hangup", established("c1"))).pair
    assert retries(ALICE, "hangup", pair) == Step(pair, to_bob(None), "relayed")


def test_a_retry_does_not_overtake_the_senders_released_candidates_either() -> None:
    pair = offers(ALICE, "offer 2", established("c1")).pair
    assert retries(ALICE, "offer 2", pair, NOW + EARLIER_MS - 1).outgoing == to_bob("c1", None)
    assert retries(ALICE, "offer 2", pair, NOW + EARLIER_MS).outgoing == to_bob(None)


def test_what_an_answer_released_of_the_answerer_follows_its_retry_and_does_not_precede_it() -> None:
    pair = established("b1", by=BOB)
    assert retries(BOB, "answer", pair).outgoing == to_alice(None, "b1")


# After the end. ---------------------------------------------------------------------------------------

EVERYTHING_SENT = ((ALICE, "offer"), (ALICE, "c1"), (BOB, "answer"))


def expired_after_all() -> Pair:
    """Alice's unanswered offer has ended a negotiation in which everything had been sent."""
    begun = went(hangs_up(BOB, "hangup", established("c1"))).pair
    pair = offers(ALICE, "offer 2", begun).pair
    over = expire(pair, ALICE, pair.offers[0].generation)
    assert over is not None
    return over


@pytest.mark.parametrize(
    "over",
    [
        went(hangs_up(ALICE, "hangup", established("c1"))).pair,
        end(established("c1"), "session s-1"),
        expired_after_all(),
    ],
    ids=["hung up", "ended by the server", "expired"],
)
@pytest.mark.parametrize(("sender", "frame"), EVERYTHING_SENT)
def test_a_frame_retried_after_the_end_is_acknowledged_as_before_and_delivered_to_nobody(
    over: Pair, sender: UserId, frame: str
) -> None:
    step = retries(sender, frame, over)
    assert step.outgoing == ()
    assert step.ack == ("held" if frame == "c1" else "relayed")
    assert step.pair is over


def test_a_hangup_retried_after_the_session_has_ended_is_delivered_to_nobody() -> None:
    over = end(went(hangs_up(ALICE, "hangup", established())).pair, "session s-1")
    assert retries(ALICE, "hangup", over) == Step(over, (), "relayed")


def test_in_the_next_negotiation_the_frames_of_the_last_one_stay_silent() -> None:
    over = went(hangs_up(BOB, "hangup", established("c1"))).pair
    pair = offers(ALICE, "offer 2", over).pair
    for sender, frame in EVERYTHING_SENT:
        assert retries(sender, frame, pair).outgoing == ()
    assert retries(ALICE, "offer 2", pair).outgoing == to_bob(None)


# How much is remembered. ------------------------------------------------------------------------------


def test_what_no_retry_can_ask_for_any_more_is_forgotten() -> None:
    pair = offers(ALICE, "offer 2", waiting("c1"), NOW + RETRY_MS).pair
    assert [known.digest for known in pair.remembered] == [named("offer 2")]


def test_too_many_frames_in_a_minute_make_it_forget_the_oldest() -> None:
    pair = NOTHING
    for number in range(MAX_REMEMBERED + 1):
        pair = offers(ALICE, f"offer {number}", pair).pair
    assert len(pair.remembered) == MAX_REMEMBERED
    assert pair.memory_of(ALICE, named("offer 0"), NOW) is None
    assert pair.memory_of(ALICE, named("offer 1"), NOW) is not None


def test_a_candidate_that_passes_at_once_is_not_remembered() -> None:
    assert went(trickles(ALICE, "c1", established())).pair.memory_of(ALICE, named("c1"), NOW) is None


def test_the_retries_to_be_told_held_are_the_senders_own_of_the_last_minute() -> None:
    pair = went(trickles(BOB, "b1", waiting("a1"))).pair
    pair = went(trickles(ALICE, "a2", pair, NOW + 10)).pair
    pair = went(answers(BOB, "answer", pair, NOW + 20)).pair
    assert held_digests(pair, ALICE, NOW + 30) == (named("a1"), named("a2"))
    assert held_digests(pair, BOB, NOW + 30) == (named("b1"),)
    assert held_digests(pair, ALICE, NOW + RETRY_MS) == (named("a2"),)
    assert held_digests(NOTHING, ALICE, NOW) == ()
