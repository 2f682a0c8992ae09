"""What a router need not publish again."""

import pytest

from router.stored import CONFIRMED_S, MAX_NAMES, MAX_PAIRS, SENT_S, Stored
from tieline.wire.ids import FrameDigest, UserId

ALICE, BOB = UserId("alice"), UserId("bob")
PAIR = frozenset((ALICE, BOB))
FOR_ALICE, FOR_BOB = (ALICE, FrameDigest(b"answer")), (BOB, FrameDigest(b"answer"))


@pytest.mark.parametrize(("confirmed", "for_s"), [(True, CONFIRMED_S), (False, SENT_S)])
def test_what_was_published_is_known_for_a_while(confirmed: bool, for_s: float) -> None:
    stored = Stored()
    stored.note("a", 100.0, confirmed=confirmed)
    assert stored.has("a", 100.0 + for_s - 0.1)
    assert not stored.has("a", 100.0 + for_s)
    assert not stored.has("b", 100.0)


def test_what_is_confirmed_stays_so_when_it_is_sent_again() -> None:
    stored = Stored()
    stored.note("a", 100.0, confirmed=True)
    stored.note("a", 101.0, confirmed=False)
    assert stored.has("a", 100.0 + CONFIRMED_S - 0.1)


def test_the_oldest_are_forgotten_first() -> None:
    stored = Stored()
    for number in range(MAX_NAMES + 1):
        stored.note(str(number), 100.0, confirmed=True)
    assert len(stored) == MAX_NAMES
    assert not stored.has("0", 100.0)
    assert stored.has("1", 100.0)
    assert stored.has(str(MAX_NAMES), 100.0)


def test_after_the_broker_was_away_nothing_is_known() -> None:
    stored = Stored()
    stored.note("a", 100.0, confirmed=True)
    stored.forget_all()
    assert not stored.has("a", 100.0)


@pytest.mark.parametrize(("confirmed", "for_s"), [(True, CONFIRMED_S), (False, SENT_S)])
def test_what_an_answer_released_is_known_for_a_while(confirmed: bool, for_s: float) -> None:
    stored = Stored()
    stored.note_releases(PAIR, [FOR_ALICE, FOR_BOB], 100.0, confirmed=confirmed)
    assert stored.releases(PAIR, 100.0 + for_s - 0.1) == (FOR_ALICE, FOR_BOB)
    assert stored.releases(PAIR, 100.0 + for_s) == ()
    assert stored.releases(frozenset((ALICE, UserId("carol"))), 100.0) == ()


def test_releases_that_are_confirmed_stay_so_and_old_ones_go() -> None:
    stored = Stored()
    stored.note_releases(PAIR, [FOR_ALICE], 100.0, confirmed=True)
    stored.note_releases(PAIR, [FOR_ALICE], 101.0, confirmed=False)
    assert stored.releases(PAIR, 100.0 + CONFIRMED_S - 0.1) == (FOR_ALICE,)
    stored.note_releases(PAIR, [FOR_BOB], 101.0 + CONFIRMED_S, confirmed=True)
    assert stored.releases(PAIR, 101.0 + CONFIRMED_S) == (FOR_BOB,)


def test_the_oldest_pairs_are_forgotten_first() -> None:
    stored = Stored()
    pairs = [frozenset((ALICE, UserId(str(number)))) for number in range(MAX_PAIRS + 1)]
    for pair in pairs:
        stored.note_releases(pair, [FOR_ALICE], 100.0, confirmed=True)
    assert stored.releases(pairs[0], 100.0) == ()
    assert stored.releases(pairs[1], 100.0) == (FOR_ALICE,)


def test_after_a_loss_nothing_is_known() -> None:
    stored = Stored()
    stored.note("a", 100.0, confirmed=True)
    stored.note_releases(PAIR, [FOR_ALICE], 100.0, confirmed=True)
    stored.note_releases(frozenset((ALICE,)), [], 100.0, confirmed=True)
    stored.forget_all()
    assert not stored.has("a", 100.0)
    assert stored.releases(PAIR, 100.0) == ()
