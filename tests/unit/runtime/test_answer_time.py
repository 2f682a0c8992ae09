"""How long is waited for an answer, by what answers have taken."""

import pytest

from tieline.runtime.answer_time import LEAST_S, MOST_S, AnswerTime


def after(*took_s: float) -> float:
    """Return how long is waited after answers that took so long."""
    time = AnswerTime()
    for each in took_s:
        time.note(each)
    return time.enough_s


def test_at_first_and_after_quick_answers_it_is_the_least() -> None:
    assert after() == after(*[0.001] * 100) == LEAST_S


def test_it_grows_with_what_answers_take() -> None:
    assert after(*[0.2] * 50) == pytest.approx(0.8, rel=0.01)
    assert after(*[0.3] * 50) == pytest.approx(1.2, rel=0.01)


def test_slow_answers_soon_count() -> None:
    taken = [after(*[0.001] * 1_000, *[0.4] * slow) for slow in range(12)]
    assert taken == sorted(taken)
    assert taken[1] == LEAST_S, "one by itself changes little"
    assert taken[-1] > 2 * LEAST_S


def test_it_is_never_more_than_the_most() -> None:
    assert after(*[60.0] * 50) == MOST_S


def test_it_comes_back_when_answers_are_quick_again() -> None:
    assert after(*[0.4] * 50, *[0.001] * 20) == LEAST_S


def test_bounds_may_be_others() -> None:
    time = AnswerTime(1.0, 2.0)
    assert time.enough_s == 1.0
    time.note(100.0)
    assert time.enough_s == 2.0
