"""What Tieline tells: which calls there were, and whom to push.

Events come at least once, and those of one call in their order, except for dead letters that are told again
days later. So each is kept once, and no call goes back to an earlier stage.
"""

import sqlite3
import time
from typing import Final

from examples.chat.push import Push
from tieline.api import Event

STAGES: Final = {
    "call.offered": 1,
    "call.waking": 2,
    "call.ringing": 3,
    "call.answered": 4,
    "call.established": 5,
    "call.ended": 6,
    "call.unanswered": 6,
    "call.refused": 6,
}

MISSED: Final = (
    ("call.refused", "target_offline"),
    ("call.unanswered", "timeout"),
    ("call.unanswered", "cancelled"),
)
"""Kinds and reasons of what a callee finds who was not there."""

REMEMBERED_S: Final = 2 * 86_400.0
"""How long an event is known as told: Tieline tells it for a day, and whoever replays older ones by hand
changes nothing that is there."""

KEEP_CALL: Final = """
INSERT INTO calls (call, caller, callee, began, stage, state, reason, answer_s, duration_s)
VALUES (:call, :caller, :callee, :began, :stage, :state, :reason, :answer_s, :duration_s)
ON CONFLICT (call) DO UPDATE SET
    stage = excluded.stage, state = excluded.state, reason = excluded.reason,
    answer_s = coalesce(excluded.answer_s, calls.answer_s),
    duration_s = coalesce(excluded.duration_s, calls.duration_s)
WHERE excluded.stage > calls.stage
"""


def keep(database: sqlite3.Connection, event: Event) -> bool:
    """Keep an event in a transaction of the caller's; returns whether it is told for the first time."""
    now = time.time()
    database.execute("DELETE FROM heard WHERE at < ?", (now - REMEMBERED_S,))
    if not database.execute("INSERT OR IGNORE INTO heard VALUES (?, ?)", (event.id, now)).rowcount:
        return False
    if event.kind in STAGES:
        told = event.data
        row = {
            "call": told.call or event.id,  # an offer that was refused has begun no call
            "caller": told.caller,
            "callee": told.callee,
            "began": event.time,
            "stage": STAGES[event.kind],
            "state": event.kind.removeprefix("call."),
            "reason": told.reason or None,
            "answer_s": told.answer_seconds if told.answered_at else None,
            "duration_s": told.duration_seconds if event.kind == "call.ended" else None,
        }
        database.execute(KEEP_CALL, row)
    return True


def push_for(event: Event) -> Push | None:
    """Say whom an event concerns who may have no connection; None: nobody."""
    told = event.data
    if event.kind == "call.waking":
        return Push(told.callee, "wake", told.caller, told.call, told.until)
    if (event.kind, told.reason) in MISSED:
        return Push(told.callee, "missed", told.caller, told.call or event.id)
    return None
