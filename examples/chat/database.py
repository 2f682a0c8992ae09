"""The chat's tables: whose chats there are, who is banned, which calls there were, and what is to be done.

One connection for one event loop. A transaction is a `with database:` that awaits nothing, so that no other
request comes in between; with a database on another machine its own driver sees to that.
"""

import sqlite3
import time
from typing import Final

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS chats (chat TEXT PRIMARY KEY, owner TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS members (
    chat TEXT NOT NULL REFERENCES chats ON DELETE CASCADE, user TEXT NOT NULL, PRIMARY KEY (chat, user)
);
CREATE TABLE IF NOT EXISTS restricted (
    user TEXT PRIMARY KEY, is_silent INTEGER NOT NULL DEFAULT 0, banned_until REAL NOT NULL DEFAULT 0
);

CREATE TABLE IF NOT EXISTS calls (
    call TEXT PRIMARY KEY, caller TEXT NOT NULL, callee TEXT NOT NULL, began TEXT NOT NULL,
    stage INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT, answer_s REAL, duration_s REAL
);
CREATE TABLE IF NOT EXISTS heard (event TEXT PRIMARY KEY, at REAL NOT NULL);

CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, lane TEXT NOT NULL, once TEXT NOT NULL, task TEXT NOT NULL
);
"""


def open_database(path: str) -> sqlite3.Connection:
    """Open the database, and make its tables if they are not there."""
    database = sqlite3.connect(path)
    database.row_factory = sqlite3.Row
    database.execute("PRAGMA foreign_keys = ON")
    database.executescript(SCHEMA)
    return database


def members_of(database: sqlite3.Connection, chat: str) -> set[str]:
    """List who is a member of a chat; nobody is of one that is not there."""
    rows = database.execute("SELECT user FROM members WHERE chat = ?", (chat,))
    return {str(user) for (user,) in rows}


def silence(database: sqlite3.Connection, user: str, is_silent: bool) -> None:
    """Note that a user may start no calls, or that it may again."""
    database.execute(
        "INSERT INTO restricted (user, is_silent) VALUES (?, ?)"
        " ON CONFLICT (user) DO UPDATE SET is_silent = excluded.is_silent",
        (user, is_silent),
    )


def ban_until(database: sqlite3.Connection, user: str, until: float) -> None:
    """Note that a user is banned up to then, in Unix seconds."""
    database.execute(
        "INSERT INTO restricted (user, banned_until) VALUES (?, ?)"
        " ON CONFLICT (user) DO UPDATE SET banned_until = excluded.banned_until",
        (user, until),
    )


def restrictions(database: sqlite3.Connection, user: str) -> tuple[bool, float]:
    """Say whether a user may start no calls, and for how many more seconds it is banned; 0: it is not."""
    row = database.execute("SELECT * FROM restricted WHERE user = ?", (user,)).fetchone()
    return (bool(row["is_silent"]), max(0.0, row["banned_until"] - time.time())) if row else (False, 0.0)
