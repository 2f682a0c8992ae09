"""What a transaction wants done elsewhere, once it stands: the transactional outbox.

A task is written in the transaction that it belongs to, and done afterwards, in order, again and again until
it is done. So nothing is lost if the process dies in between, and nothing is done that was rolled back. What
is done twice must change nothing: that is what the name `once` is for.
"""

import asyncio
import logging
import secrets
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any, Concatenate, Final, ParamSpec

import msgspec

from tieline.api import Backend, Refused, Unavailable
from tieline.api.bodies import Changed

P = ParamSpec("P")

AGAIN_S: Final = 1.0
"""After a task that could not be done. `Backend` itself has asked for ten seconds by then."""

_log = logging.getLogger(__name__)


class NotNow(Exception):
    """A task cannot be done now, for a reason that will pass."""


class Outbox:
    """One lane of it: its tasks are done one after the other, by `do`, which may raise NotNow."""

    def __init__(
        self, database: sqlite3.Connection, lane: str, do: Callable[[Sequence[Any], str], Awaitable[None]]
    ) -> None:
        self._database = database
        self._lane = lane
        self._do = do
        self._done = 0
        self._changed = asyncio.Condition()
        self._new = asyncio.Event()

    def put(self, *task: object) -> int:
        """Write a task down in a transaction of the caller's; returns its number."""
        row = (self._lane, secrets.token_hex(16), msgspec.json.encode(task).decode())
        added = self._database.execute("INSERT INTO outbox (lane, once, task) VALUES (?, ?, ?)", row)
        self._new.set()  # `run` goes on when the caller awaits something: behind its transaction
        return int(added.lastrowid or 0)

    async def done(self, number: int, within_s: float) -> bool:
        """Wait until a task is done; returns whether it is, within this time."""
        try:
            async with asyncio.timeout(within_s), self._changed:
                return await self._changed.wait_for(lambda: self._done >= number)
        except TimeoutError:
            return False

    async def run(self) -> None:
        """Do what there is to do, first what an earlier process has left; never returns."""
        oldest = "SELECT id, once, task FROM outbox WHERE lane = ? ORDER BY id LIMIT 1"
        while True:
            self._new.clear()
            while row := self._database.execute(oldest, (self._lane,)).fetchone():
                try:
                    await self._do(msgspec.json.decode(row["task"]), row["once"])
                except NotNow as problem:
                    _log.warning("%s %s will be tried again: %s", self._lane, row["task"], problem)
                    await asyncio.sleep(AGAIN_S)
                    continue
                with self._database:
                    self._database.execute("DELETE FROM outbox WHERE id = ?", (row["id"],))
                async with self._changed:
                    self._done = row["id"]
                    self._changed.notify_all()
            await self._new.wait()


class Changes(Outbox):
    """The lane of what Tieline must know: methods of `Backend`, and their arguments."""

    def __init__(self, database: sqlite3.Connection, backend: Backend) -> None:
        super().__init__(database, "tieline", self._ask)
        self._backend = backend

    def make(
        self,
        method: Callable[Concatenate[Backend, P], Awaitable[Changed]],
        *arguments: P.args,
        **_: P.kwargs,
    ) -> int:
        """Write a change down, such as `make(Backend.add_member, chat, user)`; returns its number."""
        return self.put(method.__name__, *arguments)

    async def _ask(self, task: Sequence[Any], once: str) -> None:
        method, *arguments = task
        try:
            await getattr(self._backend, method)(*arguments, once=once)
        except Unavailable as problem:
            raise NotNow(str(problem)) from problem
        except Refused as refused:
            status = refused.problem.status
            has_no_key = status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)  # somebody gives us one
            if has_no_key or status >= HTTPStatus.INTERNAL_SERVER_ERROR:  # whether it is made nobody knows
                raise NotNow(str(refused)) from refused
            _log.warning("%s is refused, now and for good: %s", task, refused)
