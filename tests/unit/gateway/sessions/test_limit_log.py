"""Who meets a limit, or ends in an unusual way, stands in one line of the log."""

import logging

import pytest

from gateway.limits.connects import Wait
from gateway.limits.limit import Limit
from gateway.sessions import limit_log as module
from gateway.sessions.limit_log import LimitLog
from tests.unit.gateway.client.harness import Harness, connected, session
from tieline import metrics
from tieline.wire.codes import CloseCode
from tieline.wire.ids import UserId

ALICE = UserId("alice")
Lines = list[tuple[str, dict[str, object]]]


class Clock:
    """The time, as a test wants it."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    """What was logged since, each line with what is said in it."""
    keys = ("user", "limit", "code", "address", "connection")
    found = [
        (one.message, {key: vars(one)[key] for key in keys if key in vars(one)}) for one in caplog.records
    ]
    caplog.clear()
    return found


def counted(limit: Limit) -> float:
    """How often a limit was met."""
    return float(metrics.LIMITED.labels(limit.value)._value.get())


def ended(code: CloseCode) -> Harness:
    """A connection that the gateway has closed."""
    harness = connected(session())
    harness.connection.close(code)
    return harness


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(clock: Clock, caplog: pytest.LogCaptureFixture) -> LimitLog:
    caplog.set_level(logging.WARNING)
    return LimitLog(clock)


def test_a_line_says_who_met_which_limit_and_where(log: LimitLog, caplog: pytest.LogCaptureFixture) -> None:
    harness = connected(session())
    here = harness.connection.session
    assert here is not None
    before = counted(Limit.PAIR)
    log.watch(here, harness.connection)
    here.budget.on_limited(Limit.PAIR)
    assert lines(caplog) == [
        (
            "user limited",
            {
                "user": ALICE,
                "limit": "pair",
                "address": harness.connection.peer,
                "connection": here.connection,
            },
        )
    ]
    assert counted(Limit.PAIR) == before + 1


def test_there_is_one_line_a_user_and_minute(
    log: LimitLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    before = counted(Limit.CONNECTS)
    for _ in range(3):
        log.limited(ALICE, Limit.CONNECTS)
    assert lines(caplog) == [("user limited", {"user": ALICE, "limit": "connects"})]
    clock.now += 60.0
    log.limited(ALICE, Limit.CONNECTS)
    assert len(lines(caplog)) == 1
    assert counted(Limit.CONNECTS) == before + 4


def test_many_users_do_not_flood_the_log(
    log: LimitLog, clock: Clock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_TOLD", 10)
    for number in range(100):
        log.limited(UserId(f"user{number}"), Limit.RATE)
    assert len(lines(caplog)) == 30
    clock.now += 2.0
    for number in range(100):
        log.limited(UserId(f"user{number}"), Limit.RATE)
    assert len(lines(caplog)) == 2


@pytest.mark.parametrize("code", [CloseCode.FLOODING, CloseCode.PROTOCOL_VIOLATION, CloseCode.SLOW_CONSUMER])
def test_an_unusual_end_makes_a_line(
    log: LimitLog, code: CloseCode, caplog: pytest.LogCaptureFixture
) -> None:
    harness = ended(code)
    assert harness.connection.session is not None
    log.closed(harness.connection.session, harness.connection)
    ((what, said),) = lines(caplog)
    assert what == "client closed for what it did"
    assert (said["user"], said["code"]) == (ALICE, code)


def test_a_usual_end_makes_none(log: LimitLog, caplog: pytest.LogCaptureFixture) -> None:
    harness = ended(CloseCode.SERVICE_RESTART)
    assert harness.connection.session is not None
    log.closed(harness.connection.session, harness.connection)
    assert lines(caplog) == []


def test_who_is_closed_for_flooding_is_kept_out(log: LimitLog, clock: Clock) -> None:
    harness = ended(CloseCode.FLOODING)
    assert harness.connection.session is not None
    budget = harness.connection.session.budget
    log.closed(harness.connection.session, harness.connection)
    assert budget.connect(resumes=False, now=clock.now) == Wait(Limit.FLOODING, 30.0)
