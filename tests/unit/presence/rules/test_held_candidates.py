from typing import Final

import msgspec
import pytest

from presence.rules.negotiated import NOTHING, RETRY_MS, Negotiation, apart, lies_apart
from presence.rules.negotiation import (
    MAX_HELD,
    MAX_HELD_BYTES,
    MAX_INLINE_BYTES,
    PRECEDED_MS,
    kept_apart,
    replay,
)
from tests.unit.presence.rules.frames import (
    ALICE,
    BOB,
    NOW,
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
from tieline.wire.ids import FrameDigest, UserId


@pytest.mark.parametrize("sender", [ALICE, BOB])
def test_a_candidate_of_either_side_is_held_before_the_answer(sender: UserId) -> None:
    step = went(trickles(sender, "c1", waiting()))
    assert step.ack == "held"
    assert step.outgoing == ()
    assert [(held.sender, held.frame) for held in step.negotiation.held] == [(sender, b"c1")]


def test_a_candidate_without_an_offer_is_refused() -> None:
    assert trickles(ALICE, "c1", NOTHING) is ErrorCode.NO_MATCHING_OFFER


def test_in_an_established_pair_a_candidate_passes_unrecorded() -> None:
    pair = established()
    step = went(trickles(ALICE, "c1", pair))
    assert step.negotiation is pair
    assert step.outgoing == to_bob(None)
    assert step.ack == "relayed"


def test_forwarded_candidates_pass_before_the_answer_unrecorded() -> None:
    pair = waiting()
    step = went(trickles(ALICE, "c1", pair, policy="forward"))
    assert step.negotiation is pair
    assert step.outgoing == to_bob(None)
    assert step.ack == "relayed"
    assert trickles(ALICE, "c1", NOTHING, policy="forward") is ErrorCode.NO_MATCHING_OFFER


def test_rejected_candidates_pass_after_the_answer_only() -> None:
    assert trickles(ALICE, "c1", waiting(), policy="reject") is ErrorCode.NO_MATCHING_OFFER
    assert went(trickles(ALICE, "c1", established(), policy="reject")).outgoing == to_bob(None)


def test_as_many_are_held_as_the_protocol_says_and_no_more() -> None:
    pair = waiting(*(f"c{number}" for number in range(MAX_HELD)))
    assert MAX_HELD == 64
    assert trickles(ALICE, "one more", pair) is ErrorCode.TOO_MANY_CANDIDATES
    assert trickles(BOB, "one of the other side", pair) is ErrorCode.TOO_MANY_CANDIDATES


def test_as_many_bytes_are_held_as_the_protocol_says_and_no_more() -> None:
    assert MAX_HELD_BYTES == 64 * 1024
    half = MAX_HELD_BYTES // 2
    pair = went(trickles(BOB, "b" * half, waiting("a" * half))).negotiation
    assert trickles(ALICE, "c", pair) is ErrorCode.TOO_MANY_CANDIDATES
    assert trickles(ALICE, "c" * (half + 1), waiting("a" * half)) is ErrorCode.TOO_MANY_CANDIDATES


def test_what_was_released_leaves_room_for_others() -> None:
    pair = established(*(f"c{number}" for number in range(MAX_HELD)))
    over = went(hangs_up(ALICE, "hangup", pair)).negotiation
    step = went(trickles(ALICE, "c", offers(ALICE, "offer 2", over).negotiation))
    assert step.ack == "held"


def test_the_answer_releases_everything_in_order_after_itself() -> None:
    step = went(answers(BOB, "answer", waiting("c1", "c2", "c3")))
    assert step.outgoing == to_alice(None) + to_bob("c1", "c2", "c3")


def test_the_answer_releases_both_sides_each_to_the_other() -> None:
    pair = waiting()
    for sender, frame in ((ALICE, "a1"), (BOB, "b1"), (ALICE, "a2"), (BOB, "b2")):
        pair = went(trickles(sender, frame, pair)).negotiation
    step = went(answers(BOB, "answer", pair))
    assert step.outgoing == to_alice(None) + to_bob("a1") + to_alice("b1") + to_bob("a2") + to_alice("b2")


def test_a_later_answer_does_not_release_them_again() -> None:
    renegotiating = offers(ALICE, "offer 2", established("c1"), NOW + 20_000).negotiation
    assert went(answers(BOB, "answer 2", renegotiating, NOW + 20_000)).outgoing == to_alice(None)


def test_the_next_candidate_comes_after_those_released_before_it() -> None:
    pair = established("c1", "c2")
    assert went(trickles(ALICE, "c3", pair)).outgoing == to_bob("c1", "c2", None)


def test_no_frame_overtakes_the_released_candidates_of_its_sender() -> None:
    pair = established("c1", "c2")
    assert offers(ALICE, "offer 2", pair).outgoing == to_bob("c1", "c2", None)
    assert went(hangs_up(ALICE, "hangup", pair)).outgoing == to_bob("c1", "c2", None)
    crossed = offers(BOB, "offer 2", pair).negotiation
    assert went(answers(ALICE, "answer 2", crossed)).outgoing == to_bob("c1", "c2", None)


def test_what_the_other_side_says_brings_nothing_along() -> None:
    pair = established("c1", "c2", by=ALICE)
    assert went(trickles(BOB, "c3", pair)).outgoing == to_alice(None)
    assert offers(BOB, "offer 2", pair).outgoing == to_alice(None)
    assert went(hangs_up(BOB, "hangup", pair)).outgoing == to_alice(None)


@pytest.mark.parametrize(
    ("later_ms", "brought_along"), [(PRECEDED_MS - 1, ("c1", None)), (PRECEDED_MS, (None,))]
)
def test_released_candidates_are_brought_along_for_a_while_only(
    later_ms: int, brought_along: tuple[str | None, ...]
) -> None:
    pair = established("c1")
    assert went(trickles(ALICE, "c2", pair, NOW + later_ms)).outgoing == to_bob(*brought_along)
    assert offers(ALICE, "offer 2", pair, NOW + later_ms).outgoing == to_bob(*brought_along)


def test_what_is_still_held_is_not_brought_along() -> None:
    pair = waiting("c1")
    assert offers(ALICE, "offer 2", pair).outgoing == to_bob(None)
    assert went(hangs_up(ALICE, "hangup", pair)).outgoing == to_bob(None)


@pytest.mark.parametrize(("later_ms", "kept"), [(RETRY_MS - 1, 1), (RETRY_MS, 0)])
def test_released_candidates_go_when_no_retry_can_ask_for_them(later_ms: int, kept: int) -> None:
    pair = established("c1")
    assert len(offers(BOB, "offer 2", pair, NOW + later_ms).negotiation.held) == kept


def test_what_is_still_held_is_kept_however_long_it_takes() -> None:
    pair: Negotiation = offers(ALICE, "offer 2", waiting("c1"), NOW + RETRY_MS + 1).negotiation
    assert [held.frame for held in pair.held] == [b"c1"]


def digests(pair: Negotiation) -> list[FrameDigest]:
    return [held.digest for held in pair.held if held.released_by is None]


def test_candidates_of_a_replaced_offer_give_way_to_newer_ones() -> None:
    pair = waiting(*(f"old {number}" for number in range(MAX_HELD)))
    pair = offers(ALICE, "offer 2", pair).negotiation
    for number in range(3):
        pair = went(trickles(ALICE, f"new {number}", pair)).negotiation
    expected = [f"old {number}" for number in range(3, MAX_HELD)] + [f"new {number}" for number in range(3)]
    assert digests(pair) == [named(frame) for frame in expected]


def test_the_offer_that_counts_gets_all_its_candidates() -> None:
    pair = NOTHING
    for offer in range(5):
        pair = offers(ALICE, f"offer {offer}", pair).negotiation
        for number in range(40):
            pair = went(trickles(ALICE, f"{offer} {number}", pair)).negotiation
    assert digests(pair)[-40:] == [named(f"4 {number}") for number in range(40)]
    assert len(digests(pair)) == MAX_HELD


def test_as_many_bytes_give_way_as_are_needed() -> None:
    pair = waiting("small", "a" * (MAX_HELD_BYTES // 2), "b" * (MAX_HELD_BYTES // 4))
    pair = offers(ALICE, "offer 2", pair).negotiation
    pair = went(trickles(ALICE, "c" * (MAX_HELD_BYTES // 2), pair)).negotiation
    assert digests(pair) == [named("b" * (MAX_HELD_BYTES // 4)), named("c" * (MAX_HELD_BYTES // 2))]


def test_the_other_side_s_candidates_never_give_way() -> None:
    pair = waiting(*(f"bob's {number}" for number in range(MAX_HELD)), by=BOB)
    pair = offers(ALICE, "offer 2", pair).negotiation
    assert trickles(ALICE, "new", pair) is ErrorCode.TOO_MANY_CANDIDATES


def test_candidates_of_the_offer_that_counts_do_not_give_way() -> None:
    pair = offers(ALICE, "offer 2", waiting("old")).negotiation
    for number in range(MAX_HELD):
        pair = went(trickles(ALICE, f"new {number}", pair)).negotiation
    assert named("old") not in digests(pair)
    assert trickles(ALICE, "one more", pair) is ErrorCode.TOO_MANY_CANDIDATES


def test_one_that_has_given_way_is_a_retry_all_the_same() -> None:
    pair = waiting(*(f"old {number}" for number in range(MAX_HELD)))
    pair = offers(ALICE, "offer 2", pair).negotiation
    pair = went(trickles(ALICE, "new", pair)).negotiation
    assert pair.memory_of(ALICE, named("old 0"), NOW) is not None


def test_what_does_not_fit_into_the_record_lies_apart() -> None:
    half = MAX_INLINE_BYTES // 2
    pair = waiting("a" * half, "b" * half, "c", "d" * half)
    assert [lies_apart(held.frame) for held in pair.held] == [None, None, named("c"), named("d" * half)]
    assert [held.size for held in pair.held] == [half, half, 1, half]
    assert sum(len(held.frame) for held in pair.held) <= MAX_INLINE_BYTES + 2 * len(apart(named("c")))
    assert kept_apart(pair, ALICE, named("c"))
    assert not kept_apart(pair, BOB, named("c"))
    assert not kept_apart(pair, ALICE, named("a" * half))


def test_a_released_frame_that_lies_apart_is_named_in_its_place() -> None:
    large = "b" * MAX_INLINE_BYTES
    step = went(answers(BOB, "answer", waiting("a", large, "c")))
    assert [sent.frame for sent in step.outgoing] == [None, b"a", apart(named(large)), b"c"]
    assert not kept_apart(step.negotiation, ALICE, named(large))


def test_a_retry_of_one_apart_comes_behind_those_before_it() -> None:
    large = ["b" * MAX_INLINE_BYTES, "c" * MAX_INLINE_BYTES, "d" * MAX_INLINE_BYTES]
    pair = went(trickles(BOB, "bob's", waiting("a", *large[:1]))).negotiation
    for frame in large[1:]:
        pair = went(trickles(ALICE, frame, pair)).negotiation
    released = went(answers(BOB, "answer", pair)).negotiation
    known = released.memory_of(ALICE, named(large[1]), NOW)
    assert known is not None

    step = replay(released, known, BOB, NOW)

    assert [sent.frame for sent in step.outgoing] == [b"a", apart(named(large[0])), None]
    assert {sent.to for sent in step.outgoing} == {BOB}
    assert step.negotiation is released


def test_what_stands_for_a_frame_apart_is_a_message_to_be_overlooked() -> None:
    said = msgspec.json.decode(apart(named("c")))
    assert said == {"requestId": named("c").hex(), "module": "ROOM", "cmd": "LIES_APART", "data": None}


APART: Final = b'{"requestId":"%b","module":"ROOM","cmd":"%b","data":null}'


@pytest.mark.parametrize(
    "frame",
    [
        None,
        b"",
        b"{}",
        b' {"requestId":"1"}',
        APART % (b"0" * 32, b'LIES_APART","cmd":"WEBRTC_ICE_CANDIDATE'),
        APART % (b"g" * 32, b"LIES_APART"),
        APART % (b"0" * 34, b"LIES_APART"),
        b" " + APART % (b"0" * 32, b"LIES_APART"),
    ],
)
def test_a_frame_of_a_client_lies_where_it_is(frame: bytes | None) -> None:
    assert lies_apart(frame) is None
