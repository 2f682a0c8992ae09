"""`tieline.load.schedule`: what is due, and from when its time counts."""

import pytest

from tieline.load.schedule import Schedule


def test_moments_come_at_an_even_rate() -> None:
    schedule = Schedule(4, 100)
    assert schedule.due(100.5, 10) == [100, 100.25, 100.5]
    assert schedule.next == 100.75
    assert schedule.due(100.6, 10) == []


def test_one_who_is_late_gets_the_moments_that_it_missed() -> None:
    schedule = Schedule(10, 0)
    schedule.due(0, 10)
    assert schedule.due(0.35, 10) == pytest.approx([0.1, 0.2, 0.3])


def test_no_more_are_taken_at_once_than_is_asked_for() -> None:
    schedule = Schedule(1000, 0)
    assert len(schedule.due(1, 3)) == 3
    assert schedule.due(1, 1) == [0.003]


def test_moments_do_not_drift() -> None:
    schedule = Schedule(3, 0)
    taken = [moment for tick in range(100_000) for moment in schedule.due(tick / 10, 1000)]
    assert taken[-1] == len(taken[:-1]) / 3
