"""The example's history of calls, and whom it pushes: of events that come twice, late, or are unknown."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from examples.chat.database import SCHEMA, open_database
from examples.chat.history import KEEP_CALL, REMEMBERED_S, keep, push_for
from examples.chat.push import Push, StandIn
from tests.support.pages import blocks_of
from tieline.api import Event
from tieline.api.bodies import EventData

AT = "2026-03-01T12:00:00.000Z"


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    with closing(open_database(":memory:")) as opened:
        yield opened


def event(kind: str, *, number: int = 1, **told: Any) -> Event:
    """Make an event of a call of ada's."""
    data = EventData(caller="ada", callee="bo", **{"call": "c1", **told})
    return Event(id=f"{kind}-{number}", type=f"tieline.{kind}", subject="call/c1", time=AT, data=data)


def told(database: sqlite3.Connection, *events: Event) -> list[bool]:
    with database:
        return [keep(database, each) for each in events]


def calls(database: sqlite3.Connection) -> list[tuple[Any, ...]]:
    rows = database.execute("SELECT call, state, reason, answer_s, duration_s FROM calls ORDER BY rowid")
    return [tuple(row) for row in rows]


ANSWER: dict[str, Any] = {"answered_at": 1, "answer_seconds": 2.0}
ANSWERED = event("call.answered", **ANSWER)
ENDED = event("call.ended", reason="hangup", duration_seconds=7.5, **ANSWER)


def test_a_call_is_one_row_from_its_offer_to_its_end(database: sqlite3.Connection) -> None:
    told(database, event("call.offered"), event("call.waking", until=20_000), event("call.ringing"))
    assert calls(database) == [("c1", "ringing", None, None, None)]
    told(database, ANSWERED, event("call.established", **ANSWER))
    assert calls(database) == [("c1", "established", None, 2.0, None)]
    told(database, ENDED)
    assert calls(database) == [("c1", "ended", "hangup", 2.0, 7.5)]


def test_what_is_told_again_is_not_new(database: sqlite3.Connection) -> None:
    assert told(database, ENDED, ENDED) == [True, False]
    assert told(database, ENDED) == [False]


def test_no_call_goes_back_when_a_dead_letter_comes_late(database: sqlite3.Connection) -> None:
    told(database, ENDED, event("call.offered"), ANSWERED, event("call.unanswered", reason="timeout"))
    assert calls(database) == [("c1", "ended", "hangup", 2.0, 7.5)]


def test_an_offer_that_was_refused_is_a_call_of_its_own(database: sqlite3.Connection) -> None:
    for number in (1, 2):
        told(database, event("call.refused", number=number, call="", reason="target_offline"))
    assert [row[:3] for row in calls(database)] == [
        ("call.refused-1", "refused", "target_offline"),
        ("call.refused-2", "refused", "target_offline"),
    ]


def test_what_is_no_call_is_only_remembered(database: sqlite3.Connection) -> None:
    later = Event(id="1", type="tieline.poll.closed", subject="poll/1", time=AT)
    parked = event("call.parked")
    assert told(database, later, parked) == [True, True]
    assert calls(database) == []
    assert push_for(later) is None


def test_ids_are_forgotten_when_nobody_tells_them_any_more(database: sqlite3.Connection) -> None:
    told(database, event("call.offered"))
    with database:
        database.execute("UPDATE heard SET at = at - ?", (REMEMBERED_S + 1,))
    told(database, ANSWERED)
    assert [row["event"] for row in database.execute("SELECT event FROM heard")] == [ANSWERED.id]


@pytest.mark.parametrize(
    ("kind", "reason", "what"),
    [
        ("call.refused", "target_offline", "missed"),
        ("call.refused", "no_voice_permission", None),
        ("call.unanswered", "timeout", "missed"),
        ("call.unanswered", "cancelled", "missed"),
        ("call.unanswered", "declined", None),
        ("call.offered", "", None),
        ("call.ended", "hangup", None),
    ],
)
def test_whose_phone_is_told(kind: str, reason: str, what: str | None) -> None:
    push = push_for(event(kind, reason=reason))
    assert (push and push.what) == what
    assert push is None or (push.user, push.caller, push.call) == ("bo", "ada", "c1")


def test_a_phone_is_woken_up_to_the_end_of_the_window() -> None:
    assert push_for(event("call.waking", until=20_000)) == Push("bo", "wake", "ada", "c1", 20_000)


async def test_a_push_that_comes_twice_is_shown_once() -> None:
    phones = StandIn()
    for _ in range(2):
        await phones.send(Push("bo", "missed", "ada", "c1"))
    assert phones.sent["bo"] == [Push("bo", "missed", "ada", "c1")]


def test_the_page_for_backends_prints_what_is_run() -> None:
    (printed,) = blocks_of("sql", "backends.md")
    table, _, statement = printed.partition("INSERT")
    assert table.strip() in SCHEMA
    assert f"INSERT{statement}".strip().rstrip(";") == KEEP_CALL.strip()
