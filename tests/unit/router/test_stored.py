"""What a router need not publish again."""

import pytest

from router.stored import CONFIRMED_S, MAX_NAMES, SENT_S, Stored


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
