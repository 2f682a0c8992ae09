"""Make connections for one client: to a gateway of several, with a token of its source, up to the WELCOME."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple

from tieline.client import messages
from tieline.client.connection import Connection
from tieline.client.errors import Closed, Denied, Unreachable, Unreadable
from tieline.client.gateway_pool import Rotation
from tieline.client.messages import Reply
from tieline.wire.codes import CloseCode
from tieline.wire.replies import Welcome

ATTEMPT_TIMEOUT_S: Final = 10.0
"""For one attempt to come back, from asking for the token to the WELCOME: a gateway that hangs must leave
time for another one within the 30 s that the server usually keeps a session."""

TOKEN_TRIES: Final = 2
"""Tokens of a source that may be refused in a row: one can expire on its way, two are no accident."""

ABANDONED_S: Final = 15.0
"""For so long after an attempt that came to nothing, a gateway may yet act on it: it tries 5 s to take up a
session, and whoever it asks may be as late again."""

TokenSource = Callable[[], Awaitable[str]]
"""Called for every connection. An OSError from it, TimeoutError among them, means: try again later; any other
exception is final."""


class Link(NamedTuple):
    """A connection that is ready for use."""

    connection: Connection
    welcome: Welcome
    url: str


class Dialer:
    """Who connects, how, and where to. `query` is what every connection asks for in its URL."""

    def __init__(
        self, rotation: Rotation, token: str | TokenSource, query: Mapping[str, str], timeout_s: float
    ) -> None:
        self._rotation = rotation
        self._token = token
        self._query = query
        self._timeout_s = timeout_s
        self._refused_tokens = 0
        self.last_failure: Exception | None = None
        """What the last attempt failed of; None after one that did not."""
        self.is_attempting = False
        """An attempt is under way, and may have reached a gateway."""
        self._abandoned_at = -math.inf

    @property
    def may_get_better_token(self) -> bool:
        """Whether a token that was refused may be followed by one that is not."""
        return callable(self._token) and self._refused_tokens < TOKEN_TRIES

    @property
    def may_have_replaced(self) -> bool:
        """Whether a connection of the same client may have been replaced by an attempt of this dialer."""
        return self.is_attempting or _now() - self._abandoned_at < ABANDONED_S

    async def first(self, query: Mapping[str, str]) -> Link:
        """Connect for the first time: try each gateway once, at once.

        Raises:
            Unreachable, Denied, Closed, ValueError: see `connect`; of the last gateway that was tried.
            Exception: whatever the token source raises.
        """
        for _ in range(len(self._rotation) - 1):
            try:
                return await self._attempt(query)
            except (Unreachable, Denied, Closed) as failure:
                if not _may_pass(failure):
                    raise
                self._fail(failure)
        return await self._attempt(query)

    async def again(self, query: Callable[[], Mapping[str, str]], *, at_once: bool) -> Link | Exception:
        """Connect again, elsewhere first, and until it works; or give what is not to be tried again.

        `query` says what to ask for at the time of each attempt. With `at_once` the first does not wait.
        """
        self._rotation.leave(_now())
        wait_s = self._rotation.wait_s(_now(), at_once=at_once)
        while True:
            await asyncio.sleep(wait_s)
            outcome = await self._try(query())
            if isinstance(outcome, Link):
                return outcome
            self._fail(outcome)
            if not self._is_passing(outcome):
                return outcome
            wait_s = self._rotation.wait_s(_now())

    async def _try(self, query: Mapping[str, str]) -> Link | Exception:
        try:
            async with asyncio.timeout(ATTEMPT_TIMEOUT_S) as clock:
                return await self._attempt(query)
        except Exception as failure:
            return (
                Unreachable(f"no connection within {ATTEMPT_TIMEOUT_S:g} s") if clock.expired() else failure
            )

    async def _attempt(self, query: Mapping[str, str]) -> Link:
        token = self._token if isinstance(self._token, str) else await self._token()
        url = self._rotation.url
        self.is_attempting = True
        try:
            connection = await Connection.open(url, token, {**self._query, **query})
            try:
                welcome = await self._welcome(connection, url.partition("?")[0])
            except BaseException:
                await connection.close(CloseCode.GOING_AWAY)
                raise
        finally:
            self.is_attempting = False
        self._refused_tokens = 0
        self.last_failure = None
        self._rotation.connected(_now())
        return Link(connection, welcome, url)

    async def _welcome(self, connection: Connection, url: str) -> Welcome:
        try:
            async with asyncio.timeout(self._timeout_s):
                first = messages.decode(await connection.receive())
        except TimeoutError as error:
            raise Unreachable(f"no welcome from {url} within {self._timeout_s:g} s") from error
        if not isinstance(first, Reply) or first.cmd != "WELCOME":
            raise Unreachable(f"who answers at {url} does not begin with a welcome")
        try:
            return messages.data_of(first, Welcome)
        except Unreadable as error:
            raise Unreachable(f"the welcome from {url} cannot be read: {error}") from error

    def _fail(self, failure: Exception) -> None:
        self.last_failure = failure
        retry_after_s = failure.retry_after if isinstance(failure, Denied) else None
        self._rotation.failed(_now(), retry_after_s)
        if _is_about_token(failure):
            self._refused_tokens += 1
        if _may_have_arrived(failure):
            self._abandoned_at = _now()

    def _is_passing(self, failure: Exception) -> bool:
        return self.may_get_better_token if _is_about_token(failure) else _may_pass(failure)


def _is_about_token(failure: Exception) -> bool:
    return isinstance(failure, Denied | Closed) and failure.code in (401, CloseCode.TOKEN_EXPIRED)


def _may_have_arrived(failure: Exception) -> bool:
    """Whether a gateway may have begun to take up the session, and not said how that ended."""
    return not isinstance(failure, Denied) and not isinstance(failure.__cause__, ConnectionRefusedError)


def _may_pass(failure: Exception) -> bool:
    match failure:
        case Denied() | Closed():
            return failure.may_reconnect
        case _:
            return isinstance(failure, Unreachable | OSError)


def _now() -> float:
    return asyncio.get_running_loop().time()
