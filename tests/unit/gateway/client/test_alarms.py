"""Many alarms on one timer, by a clock that a test moves."""

import functools
import logging

import pytest

from gateway.client.alarms import FEWEST_CANCELLED, MOST_AT_ONCE, Alarm, Alarms
from tests.unit.gateway.client.clock import Clock


class Calls:
    """Alarms, and what they have called."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.alarms = Alarms(self.clock.loop)
        self.names: list[str] = []

    def later(self, seconds: float, name: str) -> Alarm:
        """Have a name noted later."""
        return self.alarms.call_later(seconds, functools.partial(self.names.append, name))


@pytest.fixture
def calls() -> Calls:
    return Calls()


def test_alarms_are_called_in_the_order_in_which_they_are_due(calls: Calls) -> None:
    for name, seconds in (("c", 3.0), ("a", 1.0), ("b", 2.0), ("also a", 1.0)):
        calls.later(seconds, name)

    calls.clock.advance(1.0)
    assert calls.names == ["a", "also a"]
    calls.clock.advance(2.0)
    assert calls.names == ["a", "also a", "b", "c"]
    assert calls.alarms.kept == 0
    assert calls.clock.is_idle


def test_a_cancelled_alarm_is_not_called(calls: Calls) -> None:
    first, second, _ = (calls.later(1.0, name) for name in "abc")
    first.cancel()
    second.cancel()
    second.cancel()

    calls.clock.advance(1.0)

    assert calls.names == ["c"]


def test_an_alarm_that_was_called_is_not_cancelled_any_more(calls: Calls) -> None:
    alarm = calls.later(1.0, "a")
    calls.clock.advance(1.0)

    alarm.cancel()
    calls.later(1.0, "b")
    calls.clock.advance(1.0)

    assert calls.names == ["a", "b"]


def test_what_is_called_may_set_an_alarm(calls: Calls) -> None:
    calls.alarms.call_later(1.0, lambda: calls.later(1.0, "a"))

    calls.clock.advance(1.0)
    assert calls.names == []
    calls.clock.advance(1.0)
    assert calls.names == ["a"]


def test_a_bug_in_what_is_called_leaves_the_others(calls: Calls, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise LookupError("a bug of ours")

    calls.alarms.call_later(1.0, fail)
    calls.later(1.0, "a")
    calls.clock.advance(1.0)

    assert calls.names == ["a"]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_of_many_that_are_due_some_are_called_in_an_iteration(calls: Calls) -> None:
    for _ in range(MOST_AT_ONCE + 1):
        calls.later(1.0, "a")
    calls.clock.loop.call_later(1.0, calls.names.append, "what else is due")

    calls.clock.advance(1.0)

    assert calls.names == ["a"] * MOST_AT_ONCE + ["what else is due", "a"]


def test_cancelled_alarms_are_not_kept_until_they_are_due(calls: Calls) -> None:
    stays = [calls.later(3600.0, "a") for _ in range(FEWEST_CANCELLED)]
    for _ in range(3 * FEWEST_CANCELLED):
        calls.later(3600.0, "b").cancel()

    assert calls.alarms.kept < len(stays) + 2 * FEWEST_CANCELLED
    calls.clock.advance(3600.0)
    assert calls.names == ["a"] * len(stays)
