"""A rate with a burst, of which one number is kept."""

from gateway.limits.rate import NEVER_USED, UNLIMITED, rate

TWO = rate(2, 10)
"""Two a second, ten at once."""


def test_as_much_as_it_holds_may_be_taken_at_once() -> None:
    full_at = NEVER_USED
    for _ in range(10):
        full_at = TWO.full_at(full_at, 1, now=100.0)
        assert TWO.wait_s(full_at, 100.0) == 0
    assert TWO.wait_s(TWO.full_at(full_at, 1, 100.0), 100.0) == 0.5


def test_what_was_taken_comes_back_at_the_rate() -> None:
    full_at = TWO.full_at(NEVER_USED, 14, now=100.0)
    assert TWO.wait_s(full_at, 101.5) == 0.5
    assert TWO.wait_s(full_at, 102.0) == 0


def test_silence_saves_no_more_than_it_holds() -> None:
    full_at = TWO.full_at(TWO.full_at(NEVER_USED, 1, now=100.0), 10, now=5000.0)
    assert TWO.wait_s(full_at, 5000.0) == 0
    assert TWO.wait_s(TWO.full_at(full_at, 1, 5000.0), 5000.0) == 0.5


def test_of_no_limit_any_number_may_be_taken() -> None:
    assert rate(0, 0) == UNLIMITED
    assert UNLIMITED.wait_s(UNLIMITED.full_at(NEVER_USED, 1e9, 100.0), 100.0) == 0
