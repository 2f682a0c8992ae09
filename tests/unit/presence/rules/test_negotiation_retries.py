import msgspec
import pytest

from presence.rules.negotiated import NOTHING, RETRY_MS, HeldCandidate, Negotiation, Remembered, WaitingOffer
from presence.rules.negotiation import (
    MAX_HELD,
    MAX_HELD_BYTES,
    MAX_OVER,
    MAX_RELEASED,
    MAX_RELEASED_BYTES,
    MAX_REMEMBERED,
    PRECEDED_MS,
    Outcome,
    Outgoing,
    end,
    expire,
    held_digests,
    replay,
)
from tests.unit.presence.rules.frames import (
    ALICE,
    BOB,
    CALL,
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
from tieline.wire.ids import FrameDigest, SessionId, UserId


def retries(sender: UserId, frame: str, pair: Negotiation, now: int = NOW) -> Outcome:
    """Let one of the two send a remembered frame again."""
    known = pair.memory_of(sender, named(frame), now)
    assert known is not None, f"{frame} is not remembered"
    return replay(pair, known, PEER[sender], now)


def test_a_frame_never_seen_is_not_remembered() -> None:
    assert NOTHING.memory_of(ALICE, named("offer"), NOW) is None
    assert waiting().memory_of(ALICE, named("another offer"), NOW) is None


def test_a_frame_of_the_one_is_not_remembered_of_the_other() -> None:
    assert waiting().memory_of(BOB, named("offer"), NOW) is None


@pytest.mark.parametrize(("later_ms", "is_retry"), [(0, True), (RETRY_MS - 1, True), (RETRY_MS, False)])
def test_the_same_frame_is_a_retry_for_a_minute(later_ms: int, is_retry: bool) -> None:
    assert RETRY_MS == 60_000
    assert (waiting().memory_of(ALICE, named("offer"), NOW + later_ms) is not None) is is_retry


def test_a_frame_sent_anew_after_a_minute_is_remembered_again() -> None:
    pair = offers(ALICE, "offer", waiting(), NOW + RETRY_MS).negotiation
    known = pair.memory_of(ALICE, named("offer"), NOW + 2 * RETRY_MS - 1)
    assert known is not None
    assert known.at == NOW + RETRY_MS


def test_a_retried_offer_is_delivered_again_and_changes_nothing() -> None:
    pair = waiting("c1")
    step = retries(ALICE, "offer", pair, NOW + 1000)
    assert step.negotiation is pair
    assert step == Outcome(pair, to_bob(None), "relayed", CALL)


def test_a_retried_answer_releases_again_what_it_released() -> None:
    pair = waiting("a1")
    pair = went(trickles(BOB, "b1", pair)).negotiation
    first = went(answers(BOB, "answer", pair))
    retried = retries(BOB, "answer", first.negotiation, NOW + 5000)
    assert retried.outgoing == first.outgoing == to_alice(None) + to_bob("a1") + to_alice("b1")
    assert retried.negotiation is first.negotiation


def test_a_retried_answer_releases_again_after_others_have_gone_on() -> None:
    pair = offers(ALICE, "offer 2", established("c1")).negotiation
    pair = went(answers(BOB, "answer 2", pair)).negotiation
    assert retries(BOB, "answer", pair).outgoing == to_alice(None) + to_bob("c1")
    assert retries(BOB, "answer 2", pair).outgoing == to_alice(None)


def test_a_retried_held_candidate_is_held_once() -> None:
    pair = waiting("c1")
    assert retries(ALICE, "c1", pair) == Outcome(pair, (), "held", CALL)


def test_a_held_candidate_retried_after_its_release_is_still_held() -> None:
    pair = established("c1")
    assert retries(ALICE, "c1", pair) == Outcome(pair, (), "held", CALL)


def test_a_retried_hangup_is_delivered_with_what_preceded_it() -> None:
    first = went(hangs_up(ALICE, "hangup", established("c1"), NOW + PRECEDED_MS - 1))
    retried = retries(ALICE, "hangup", first.negotiation, NOW + PRECEDED_MS + 5000)
    assert retried == Outcome(first.negotiation, first.outgoing, "relayed", CALL)
    assert retried.outgoing == to_bob("c1", None)


def test_a_retry_delivers_what_the_first_did_and_what_came_since() -> None:
    pair = offers(ALICE, "offer 2", established("c1"), NOW + PRECEDED_MS - 1).negotiation
    assert retries(ALICE, "offer 2", pair, NOW + PRECEDED_MS).outgoing == to_bob("c1", None)
    assert retries(ALICE, "offer 2", pair, NOW + RETRY_MS - 1).outgoing == to_bob("c1", None)
    assert retries(ALICE, "offer 2", pair, NOW + RETRY_MS).outgoing == to_bob(None)
    late = offers(ALICE, "offer 2", established("c1"), NOW + PRECEDED_MS).negotiation
    assert retries(ALICE, "offer 2", late, NOW + PRECEDED_MS).outgoing == to_bob(None)
    replaced = offers(ALICE, "offer 2", waiting("c1"), NOW).negotiation
    since = went(answers(BOB, "answer", replaced, NOW + PRECEDED_MS + 1)).negotiation
    assert retries(ALICE, "offer 2", since, NOW + PRECEDED_MS + 2).outgoing == to_bob("c1", None)
    assert retries(ALICE, "offer 2", since, NOW + 2 * PRECEDED_MS).outgoing == to_bob("c1", None)
    assert retries(ALICE, "offer 2", since, NOW + 2 * PRECEDED_MS + 1).outgoing == to_bob(None)


def test_what_an_answer_released_of_its_sender_follows_its_retry() -> None:
    pair = established("b1", by=BOB)
    assert retries(BOB, "answer", pair).outgoing == to_alice(None, "b1")


def expired_after_all() -> Negotiation:
    """Alice's unanswered offer has ended a negotiation in which everything had been sent."""
    begun = went(hangs_up(BOB, "hangup", established("c1"))).negotiation
    pair = offers(ALICE, "offer 2", begun).negotiation
    over = expire(pair, ALICE, pair.offers[0].generation)
    assert over is not None
    return over


@pytest.mark.parametrize(
    "over",
    [
        went(hangs_up(ALICE, "hangup", established("c1"))).negotiation,
        end(established("c1")),
        expired_after_all(),
        offers(ALICE, "offer 3", expired_after_all()).negotiation,
    ],
    ids=["hung up", "ended by the server", "expired", "followed by another"],
)
@pytest.mark.parametrize(
    ("frame", "sender", "outgoing"),
    [
        ("offer", ALICE, to_bob("c1", None)),
        ("answer", BOB, to_alice(None) + to_bob("c1")),
        ("c1", ALICE, ()),
    ],
    ids=["offer", "answer", "held candidate"],
)
def test_a_frame_retried_after_the_end_is_delivered_as_before(
    over: Negotiation, frame: str, sender: UserId, outgoing: tuple[Outgoing, ...]
) -> None:
    step = retries(sender, frame, over)
    assert step == Outcome(over, outgoing, "relayed" if outgoing else "held", CALL)
    assert step.negotiation is over


def test_what_was_still_held_at_the_end_is_delivered_to_nobody() -> None:
    over = went(hangs_up(ALICE, "hangup", waiting("c1"))).negotiation
    assert retries(ALICE, "c1", over) == Outcome(over, (), "held", CALL)
    assert retries(ALICE, "hangup", over).outgoing == to_bob(None)
    anew = offers(ALICE, "offer 2", over).negotiation
    assert went(answers(BOB, "answer 2", anew)).outgoing == to_alice(None, call=anew.call)


def test_the_next_call_does_not_overtake_what_the_last_released() -> None:
    over = went(hangs_up(BOB, "hangup", established("c1"))).negotiation
    anew = offers(ALICE, "offer 2", over)
    assert anew.outgoing == to_bob("c1") + to_bob(None, call=anew.call)
    assert anew.call != CALL


def test_what_no_retry_can_ask_for_any_more_is_forgotten() -> None:
    pair = offers(ALICE, "offer 2", waiting("c1"), NOW + RETRY_MS).negotiation
    assert [known.digest for known in pair.remembered] == [named("offer 2")]


def test_too_many_frames_in_a_minute_make_it_forget_the_oldest() -> None:
    pair = NOTHING
    for number in range(MAX_REMEMBERED + 1):
        pair = offers(ALICE, f"offer {number}", pair).negotiation
    assert len(pair.remembered) == MAX_REMEMBERED
    assert pair.memory_of(ALICE, named("offer 0"), NOW) is None
    assert pair.memory_of(ALICE, named("offer 1"), NOW) is not None


@pytest.mark.parametrize("size", [32, MAX_HELD_BYTES])
def test_of_what_was_released_no_more_is_kept_than_of_two_calls(size: int) -> None:
    pair = NOTHING
    kept: list[FrameDigest] = []
    many = min(MAX_HELD, MAX_HELD_BYTES // size)
    for number in range(4):
        pair = offers(ALICE, f"offer {number}", pair).negotiation
        for held in range(many):
            frame = f"{number} {held}".ljust(size, ".")
            pair = went(trickles(ALICE, frame, pair)).negotiation
            kept.append(named(frame))
        pair = went(answers(BOB, f"answer {number}", pair)).negotiation
        pair = went(hangs_up(BOB, f"hangup {number}", pair)).negotiation
    assert [held.digest for held in pair.held] == kept[2 * many :]
    assert sum(held.size for held in pair.held) <= MAX_RELEASED_BYTES


def test_a_record_stays_well_below_what_nats_lets_through() -> None:
    longest = UserId("a" * 128)
    session = SessionId("5" * 24)
    frame = named("frame")
    pair = Negotiation(
        offers=(WaitingOffer(longest, frame, NOW),) * 2,
        held=(
            *[HeldCandidate(longest, frame, b"." * 1024, session, frame, NOW, call=CALL)] * MAX_RELEASED,
            *[HeldCandidate(longest, frame, b"." * 1024, session, call=CALL)] * MAX_HELD,
        ),
        remembered=(Remembered(longest, frame, "relayed", NOW, session, CALL),) * MAX_REMEMBERED,
        over=(CALL,) * MAX_OVER,
    )
    assert sum(len(held.frame) for held in pair.held) == MAX_HELD_BYTES + MAX_RELEASED_BYTES
    assert len(msgspec.msgpack.encode(pair)) < 512 * 1024


def test_a_candidate_that_passes_at_once_is_not_remembered() -> None:
    assert went(trickles(ALICE, "c1", established())).negotiation.memory_of(ALICE, named("c1"), NOW) is None


def test_only_the_senders_own_recent_retries_are_to_be_told_held() -> None:
    pair = went(trickles(BOB, "b1", waiting("a1"))).negotiation
    pair = went(trickles(ALICE, "a2", pair, NOW + 10)).negotiation
    pair = went(answers(BOB, "answer", pair, NOW + 20)).negotiation
    assert held_digests(pair, ALICE, NOW + 30) == (named("a1"), named("a2"))
    assert held_digests(pair, BOB, NOW + 30) == (named("b1"),)
    assert held_digests(pair, ALICE, NOW + RETRY_MS) == (named("a2"),)
    assert held_digests(NOTHING, ALICE, NOW) == ()
