import logging

import pytest

from tieline.runtime import metrics
from tieline.runtime.clock_watch import ClockWatch

NOW_S = 1_700_000_000.0


def test_how_far_the_clock_is_ahead_is_measured() -> None:
    watch = ClockWatch(lambda: NOW_S)
    for broker_s, ahead_s in ((NOW_S - 2.25, 2.0), (NOW_S + 1.75, -2.0)):
        watch.compare(broker_s, round_trip_s=0.5)
        assert metrics.CLOCK_AHEAD._value.get() == ahead_s


def test_a_slow_answer_says_nothing() -> None:
    metrics.CLOCK_AHEAD.set(1.5)
    ClockWatch(lambda: NOW_S).compare(NOW_S, round_trip_s=3.0)
    assert metrics.CLOCK_AHEAD._value.get() == 1.5


def test_clocks_that_differ_are_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    watch = ClockWatch(lambda: NOW_S)
    for ahead_s in (0.5, 150.0, 150.1, -150.0, 0.5):
        watch.compare(NOW_S - ahead_s, round_trip_s=0.0)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "the clock differs from the broker's"),
        ("INFO", "the clock agrees with the broker's"),
    ]
