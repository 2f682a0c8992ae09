from typing import Literal

import msgspec
import pytest

from presence.negotiation import (
    EARLIER_MS,
    MAX_HELD,
    MAX_HELD_BYTES,
    MAX_RELEASED,
    MAX_RELEASED_BYTES,
    MAX_REMEMBERED,
    NOTHING,
    RETRY_MS,
    HeldCandidate,
    Outgoing,
    Pair,
    Remembered,
    Step,
    WaitingOffer,
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
    without_sessions,
)
from tieline.wire.ids import FrameDigest, SessionId, UserId


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


def test_a_retried_hangup_is_delivered_again_with_what_it_brought_along() -> None:
    first = went(hangs_up(ALICE, "hangup", established("c1"), NOW + EARLIER_MS - 1))
    retried = retries(ALICE, "hangup", first.pair, NOW + EARLIER_MS + 5000)
    assert retried == Step(first.pair, first.outgoing, "relayed")
    assert retried.outgoing == to_bob("c1", None)


def test_a_retry_brings_along_what_the_first_attempt_did_and_what_was_released_since() -> None:
    pair = offers(ALICE, "offer 2", established("c1"), NOW + EARLIER_MS - 1).pair
    assert retries(ALICE, "offer 2", pair, NOW + EARLIER_MS).outgoing == to_bob("c1", None)
    assert retries(ALICE, "offer 2", pair, NOW + RETRY_MS - 1).outgoing == to_bob("c1", None)
    assert retries(ALICE, "offer 2", pair, NOW + RETRY_MS).outgoing == to_bob(None)
    late = offers(ALICE, "offer 2", established("c1"), NOW + EARLIER_MS).pair
    assert retries(ALICE, "offer 2", late, NOW + EARLIER_MS).outgoing == to_bob(None)
    replaced = offers(ALICE, "offer 2", waiting("c1"), NOW).pair
    since = went(answers(BOB, "answer", replaced, NOW + EARLIER_MS + 1)).pair
    assert retries(ALICE, "offer 2", since, NOW + EARLIER_MS + 2).outgoing == to_bob("c1", None)
    assert retries(ALICE, "offer 2", since, NOW + 2 * EARLIER_MS).outgoing == to_bob("c1", None)
    assert retries(ALICE, "offer 2", since, NOW + 2 * EARLIER_MS + 1).outgoing == to_bob(None)


def test_what_an_answer_released_of_the_answerer_follows_its_retry_and_does_not_precede_it() -> None:
    pair = established("b1", by=BOB)
    assert retries(BOB, "answer", pair).outgoing == to_alice(None, "b1")


# After the end. ---------------------------------------------------------------------------------------


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
        offers(ALICE, "offer 3", expired_after_all()).pair,
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
def test_a_frame_retried_after_the_end_is_acknowledged_and_delivered_as_before(
    over: Pair, frame: str, sender: UserId, outgoing: tuple[Outgoing, ...]
) -> None:
    step = retries(sender, frame, over)
    assert step == Step(over, outgoing, "relayed" if outgoing else "held")
    assert step.pair is over


def test_what_was_still_held_at_the_end_is_delivered_to_nobody() -> None:
    over = went(hangs_up(ALICE, "hangup", waiting("c1"))).pair
    assert retries(ALICE, "c1", over) == Step(over, (), "held")
    assert retries(ALICE, "hangup", over).outgoing == to_bob(None)
    anew = offers(ALICE, "offer 2", over).pair
    assert went(answers(BOB, "answer 2", anew)).outgoing == to_alice(None)


def test_the_first_words_of_the_next_negotiation_do_not_overtake_what_the_last_one_released() -> None:
    over = went(hangs_up(BOB, "hangup", established("c1"))).pair
    assert offers(ALICE, "offer 2", over).outgoing == to_bob("c1", None)


def test_what_was_remembered_as_over_before_sessions_were_noted_stays_silent() -> None:
    pair = established()
    silent = tuple(msgspec.structs.replace(known, deliver=False) for known in pair.remembered)
    over = msgspec.structs.replace(pair, remembered=silent)
    assert retries(BOB, "answer", over) == Step(over, (), "relayed")


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


def full(size: int) -> Pair:
    """As many candidates of so many bytes are held as can be."""
    many = min(MAX_HELD, MAX_HELD_BYTES // size)
    return waiting(*(f"c{number}".ljust(size, ".") for number in range(many)))


@pytest.mark.parametrize("size", [32, MAX_HELD_BYTES])
def test_of_what_was_released_no_more_is_kept_than_of_two_calls(size: int) -> None:
    pair = NOTHING
    for number in range(4):
        pair = offers(ALICE, f"offer {number}", pair).pair
        for held in full(size).held:
            frame = f"{number}{held.frame.decode()[1:]}"
            pair = went(trickles(ALICE, frame, pair)).pair
        pair = went(answers(BOB, f"answer {number}", pair)).pair
        pair = went(hangs_up(BOB, f"hangup {number}", pair)).pair
    assert {held.frame[:1] for held in pair.held} == {b"2", b"3"}
    assert len(pair.held) == 2 * len(full(size).held)
    assert sum(len(held.frame) for held in pair.held) <= MAX_RELEASED_BYTES


def test_a_record_stays_well_below_what_nats_lets_through() -> None:
    longest = UserId("a" * 128)
    session = SessionId("5" * 24)
    frame = named("frame")
    pair = Pair(
        offers=(WaitingOffer(longest, frame, NOW),) * 2,
        held=(
            *[HeldCandidate(longest, frame, b"." * 1024, frame, NOW, session)] * MAX_RELEASED,
            *[HeldCandidate(longest, frame, b"." * 1024, session=session)] * MAX_HELD,
        ),
        remembered=(Remembered(longest, frame, "relayed", NOW, True, session),) * MAX_REMEMBERED,
    )
    assert sum(len(held.frame) for held in pair.held) == MAX_HELD_BYTES + MAX_RELEASED_BYTES
    assert len(msgspec.msgpack.encode(pair)) < 512 * 1024


# Records of other versions. ---------------------------------------------------------------------------


class OldHeldCandidate(msgspec.Struct, frozen=True, array_like=True):
    """As it was before sessions were noted; so are the next two."""

    sender: UserId
    digest: FrameDigest
    frame: bytes
    released_by: FrameDigest | None = None
    released_at: int = 0


class OldRemembered(msgspec.Struct, frozen=True, array_like=True):
    sender: UserId
    digest: FrameDigest
    ack: Literal["relayed", "held"]
    at: int
    deliver: bool


class OldPair(msgspec.Struct, frozen=True, array_like=True):
    established: bool = False
    offers: tuple[WaitingOffer, ...] = ()
    held: tuple[OldHeldCandidate, ...] = ()
    remembered: tuple[OldRemembered, ...] = ()
    ended_by: str = ""


def test_a_record_without_sessions_is_read_and_so_is_a_new_one_by_who_knows_none() -> None:
    over = went(hangs_up(BOB, "hangup", established("c1"))).pair
    pair = went(trickles(BOB, "b2", offers(ALICE, "offer 2", over).pair)).pair
    old = msgspec.msgpack.decode(msgspec.msgpack.encode(pair), type=OldPair)
    assert len(old.held) == 2
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(old), type=Pair) == without_sessions(pair)


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
