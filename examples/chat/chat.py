"""What the chat consists of while it runs: its tables, its way to Tieline, its outbox, and phones."""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from typing import Any, Final, NamedTuple

import msgspec

from examples.chat.database import members_of, open_database, restrictions
from examples.chat.outbox import Changes, Outbox
from examples.chat.push import Push, StandIn
from tieline.api import Backend, Refused, Unavailable

MENDED_EVERY_S: Final = 300.0
"""Between two looks at what Tieline knows: rarely does anything differ, and calls go on meanwhile."""

_log = logging.getLogger(__name__)


class Settings(NamedTuple):
    """What the chat must be told."""

    api_url: str
    api_key: str
    gateway_url: str
    """Where its users' clients connect."""
    webhook_secrets: tuple[str, ...]
    """By one of which deliveries are signed: two while they are changed."""
    database: str = ":memory:"


class Chat(NamedTuple):
    """The chat while it runs."""

    settings: Settings
    database: sqlite3.Connection
    backend: Backend
    changes: Changes
    pushes: Outbox
    phones: StandIn


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Chat]:
    """Open what the chat consists of, for as long as the block runs. Its owner has it work (`work`)."""
    phones = StandIn()

    async def push(task: Sequence[Any], _once: str) -> None:
        await phones.send(msgspec.convert(task[0], Push))

    async with Backend(settings.api_url, settings.api_key) as backend:
        with closing(open_database(settings.database)) as database:
            changes, pushes = Changes(database, backend), Outbox(database, "push", push)
            yield Chat(settings, database, backend, changes, pushes, phones)


async def work(chat: Chat) -> None:
    """Do what goes on beside requests; never returns. If one of these fails, so does the process."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(chat.changes.run())
        tasks.create_task(chat.pushes.run())
        tasks.create_task(mend_now_and_then(chat))


async def mend(chat: Chat) -> None:
    """Tell Tieline again what it should know of chats and users, and does not.

    Our tables are the truth. What Tieline knows outlives its processes, but not the disks of all its brokers.
    """
    for (name,) in chat.database.execute("SELECT chat FROM chats").fetchall():
        known = {member.user async for member in chat.backend.members(name) if member.given}
        wanted = members_of(chat.database, name)
        with chat.database:
            for user in wanted - known:
                chat.changes.make(Backend.add_member, name, user)
            for user in known - wanted:
                chat.changes.make(Backend.remove_member, name, user)
    for (name,) in chat.database.execute("SELECT user FROM restricted").fetchall():
        now = await chat.backend.user(name)
        is_silent, banned_s = restrictions(chat.database, name)
        with chat.database:
            if is_silent != now.voice_revoked:
                chat.changes.make(Backend.set_voice, name, not is_silent)
            if banned_s and not now.banned_until:
                chat.changes.make(Backend.ban_user, name, banned_s)


async def mend_now_and_then(chat: Chat) -> None:
    """Mend what is to be mended; never returns."""
    while True:
        try:
            await mend(chat)
        except (Unavailable, Refused) as problem:
            _log.warning("what Tieline knows cannot be looked at: %s", problem)
        await asyncio.sleep(MENDED_EVERY_S)
