"""What those who are refused are told follows from how many were let in just before."""

import pytest

from gateway.sessions.arrival_pace import (
    LEAST_MEASURED_S,
    LET_IN_A_SECOND,
    LONGEST_SPREAD_S,
    MEASURED_S,
    MEASURED_SHORTEST_S,
    MOST_A_SECOND,
    SHARE,
    SHORTEST_SPREAD_S,
    ArrivalPace,
)

FAST = 600


def measured(a_second: int, seconds: float = MEASURED_S) -> ArrivalPace:
    """Make a pace by which so many were let in a second, evenly until `seconds`."""
    pace = ArrivalPace()
    for number in range(int(a_second * seconds)):
        pace.let_in(number / a_second)
    return pace


def test_without_a_measured_pace_a_slow_one_is_reckoned_with() -> None:
    pace = ArrivalPace()
    assert pace.a_second(0.0) == 0
    assert pace.spread_s(0.0, 0) == SHORTEST_SPREAD_S
    assert pace.spread_s(0.0, 7 * LET_IN_A_SECOND) == 7
    assert pace.spread_s(0.0, 1000 * LET_IN_A_SECOND) == LONGEST_SPREAD_S


def test_where_many_are_let_in_the_refused_are_back_soon() -> None:
    pace = measured(FAST)
    assert pace.a_second(MEASURED_S) == pytest.approx(FAST)
    assert pace.spread_s(MEASURED_S, 100) == MEASURED_SHORTEST_S
    assert pace.spread_s(MEASURED_S, int(4 * SHARE * FAST)) == 4
    assert pace.spread_s(MEASURED_S, 100 * FAST) == LONGEST_SPREAD_S


def test_those_who_were_asked_back_are_let_in_before() -> None:
    pace, now = ArrivalPace(), 100.0
    for _ in range(5 * LET_IN_A_SECOND):
        pace.asked_back(now, 2)
    assert pace.spread_s(now, 2 * LET_IN_A_SECOND) == 7
    assert pace.spread_s(now + 2, 2 * LET_IN_A_SECOND) == 7
    assert pace.spread_s(now + 2.5, 4 * LET_IN_A_SECOND) == 4


def test_who_was_asked_back_counts_until_it_is_due() -> None:
    pace, now = ArrivalPace(), 100.9
    for _ in range(5 * LET_IN_A_SECOND):
        pace.asked_back(now, 1)
    assert pace.spread_s(now + 0.9, 2 * LET_IN_A_SECOND) == 7
    assert pace.spread_s(now + 2, 4 * LET_IN_A_SECOND) == 4


def test_a_pace_is_forgotten_when_nobody_is_let_in_any_more() -> None:
    pace = measured(FAST)
    assert pace.a_second(1.5 * MEASURED_S) == pytest.approx(FAST / 2, rel=0.01)
    assert pace.a_second(3 * MEASURED_S) == 0


def test_a_few_at_once_are_no_pace_and_no_pace_is_endless() -> None:
    pace = ArrivalPace()
    for _ in range(10):
        pace.let_in(1.0)
    assert pace.a_second(1.0) == 10 / LEAST_MEASURED_S
    assert measured(10 * MOST_A_SECOND).a_second(MEASURED_S) == MOST_A_SECOND


def test_a_slow_pace_counts_no_less_than_the_least() -> None:
    pace = measured(10)
    assert pace.spread_s(MEASURED_S, 7 * LET_IN_A_SECOND) == 7
