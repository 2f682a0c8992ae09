"""A line a second for what happens often."""

import logging
from collections.abc import Callable

import pytest

from tieline.runtime.tally import EVERY_S, MOST_NAMED, Tally


class Seconds:
    """A clock that goes on second by second."""

    def __init__(self) -> None:
        self._waiting: list[Callable[[], None]] = []

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        assert delay == EVERY_S
        self._waiting.append(callback)

    @property
    def is_quiet(self) -> bool:
        return not self._waiting

    def pass_one(self) -> None:
        waiting, self._waiting = self._waiting, []
        for callback in waiting:
            callback()


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def tally(seconds: Seconds, caplog: pytest.LogCaptureFixture) -> Tally:
    caplog.set_level(logging.INFO)
    return Tally(logging.getLogger("sample"), seconds.call_later)


def refused(tally: Tally, user: str, number: int = 0) -> None:
    tally.note(logging.INFO, "refused", "BAD", user, user=user, number=number)


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, int, int]]:
    """Return user, number and count of each line since the last time."""
    lines = [(r.__dict__["user"], r.__dict__["number"], r.__dict__.get("count", 0)) for r in caplog.records]
    caplog.clear()
    return lines


def test_what_happens_once_is_said_at_once(tally: Tally, caplog: pytest.LogCaptureFixture) -> None:
    refused(tally, "alice")

    assert said(caplog) == [("alice", 0, 0)]


def test_what_follows_is_counted_and_said_a_second_later(
    tally: Tally, seconds: Seconds, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(100):
        refused(tally, "alice", number)
    assert said(caplog) == [("alice", 0, 0)]

    seconds.pass_one()

    assert said(caplog) == [("alice", 99, 99)]


def test_what_goes_on_is_said_every_second_until_it_ends(
    tally: Tally, seconds: Seconds, caplog: pytest.LogCaptureFixture
) -> None:
    refused(tally, "alice")
    for _ in range(3):
        refused(tally, "alice")
        seconds.pass_one()
    assert [count for _, _, count in said(caplog)] == [0, 1, 1, 1]

    seconds.pass_one()
    seconds.pass_one()

    assert said(caplog) == []
    assert seconds.is_quiet
    refused(tally, "alice")
    assert said(caplog) == [("alice", 0, 0)]


def test_those_who_do_the_same_are_told_apart(tally: Tally, caplog: pytest.LogCaptureFixture) -> None:
    refused(tally, "alice")
    refused(tally, "bob")

    assert [user for user, _, _ in said(caplog)] == ["alice", "bob"]


def test_many_who_do_the_same_share_a_line(
    tally: Tally, seconds: Seconds, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(1000):
        refused(tally, f"user {number}")
    assert len(said(caplog)) == MOST_NAMED

    seconds.pass_one()

    assert said(caplog) == [("user 999", 0, 1000 - MOST_NAMED)]


def test_kinds_are_counted_apart(tally: Tally, caplog: pytest.LogCaptureFixture) -> None:
    refused(tally, "alice")
    tally.note(logging.INFO, "refused", "WORSE", "alice", user="alice", number=7)

    assert said(caplog) == [("alice", 0, 0), ("alice", 7, 0)]


def test_what_is_below_the_level_is_not_even_counted(
    tally: Tally, seconds: Seconds, caplog: pytest.LogCaptureFixture
) -> None:
    tally.note(logging.DEBUG, "refused", "BAD", "alice")

    assert said(caplog) == []
    assert seconds.is_quiet


def test_what_was_counted_can_be_said_before_the_second_ends(
    tally: Tally, caplog: pytest.LogCaptureFixture
) -> None:
    refused(tally, "alice")
    refused(tally, "alice")

    tally.flush()

    assert [count for _, _, count in said(caplog)] == [0, 1]


async def test_without_a_clock_of_its_own_it_takes_the_loop_s(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    refused(Tally(logging.getLogger("sample")), "alice")

    assert said(caplog) == [("alice", 0, 0)]
