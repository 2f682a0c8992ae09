"""Make connections for one client: to one gateway of several, with a token, up to the WELCOME.

It decides which failures are worth another attempt. When one is needed is for `reconnector`; which gateway
and after what wait is `gateway_pool`; one WebSocket is `connection`.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple

from tieline.client import messages
from tieline.client.connection import Connection
from tieline.client.errors import Closed, Denied, Unreachable, Unreadable, UnusableToken
from tieline.client.gateway_pool import GatewayPool
from tieline.client.messages import Reply
from tieline.wire.codes import CloseCode
from tieline.wire.replies import Welcome

ATTEMPT_TIMEOUT_S: Final = 10.0
"""For one attempt to reconnect, from asking for the token to the WELCOME: a gateway that hangs must leave
time for another one within the 30 s that the server usually keeps a session."""

TOKEN_TRIES: Final = 2
"""Tokens of a source that may be refused in a row: one can expire on its way, two are no accident."""

ABANDONED_S: Final = 15.0
"""For so long after an attempt failed, a gateway may still act on it: it tries for 5 s to take up a session,
and the services that it asks may be as late again."""

_UNAUTHORIZED: Final = 401
"""The HTTP status of a gateway that does not accept the token."""

TokenSource = Callable[[], Awaitable[str]]
"""Called for every connection. What it raises the first time is raised by `connect`. Later, whatever it
raises, or gives that is no token, means: try again; so does taking longer than an attempt may."""


class Established(NamedTuple):
    """A connection over which the WELCOME has come."""

    connection: Connection
    welcome: Welcome
    url: str
    place: str | None = None
    """Of the WELCOME; None: the server names no places."""


class Connector:
    """Makes the connections of one client, one at a time.

    `query` is what every connection asks for in its URL; `timeout_s` is for the WELCOME.
    """

    def __init__(
        self, gateways: GatewayPool, token: str | TokenSource, query: Mapping[str, str], timeout_s: float
    ) -> None:
        self._gateways = gateways
        self._token = token
        self._query = query
        self._timeout_s = timeout_s
        self._refused_tokens = 0
        self._source_failure: Exception | None = None
        """What the token source raised last."""
        self.last_failure: Exception | None = None
        """Why the last attempt failed; None if it did not."""
        self.is_attempting = False
        """An attempt is under way, and may have reached a gateway."""
        self._abandoned_at = -math.inf

    @property
    def may_get_better_token(self) -> bool:
        """Whether the token that was refused may be followed by one that is not."""
        return callable(self._token) and self._refused_tokens < TOKEN_TRIES

    @property
    def may_have_replaced(self) -> bool:
        """Whether a connection of this client may have been replaced by an attempt of this connector."""
        return self.is_attempting or _now() - self._abandoned_at < ABANDONED_S

    async def connect_first(self, query: Mapping[str, str]) -> Established:
        """Connect for the first time: try each gateway once, without waiting.

        Raises:
            Unreachable, Denied, Closed, UnusableToken: as `connect` does; of the last gateway that was tried.
            Exception: whatever the token source raises.
        """
        for _ in range(len(self._gateways) - 1):
            try:
                return await self._attempt(query)
            except (Unreachable, Denied, Closed) as failure:
                if not _is_temporary(failure):
                    raise
                self._record(failure)
        return await self._attempt(query)

    async def reconnect(
        self, query: Callable[[], Mapping[str, str]], *, at_once: bool
    ) -> Established | Exception:
        """Connect again, to another gateway first, until it works; or return the failure that is final.

        `query` is called before each attempt and says what to ask for. With `at_once` the first attempt does
        not wait.
        """
        self._gateways.leave(_now())
        wait_s = self._gateways.wait_s(_now(), at_once=at_once)
        while True:
            await asyncio.sleep(wait_s)
            outcome = await self._try(query())
            if isinstance(outcome, Established):
                return outcome
            self._record(outcome)
            if not self._is_worth_another(outcome):
                return outcome
            wait_s = self._gateways.wait_s(_now())

    async def _try(self, query: Mapping[str, str]) -> Established | Exception:
        try:
            async with asyncio.timeout(ATTEMPT_TIMEOUT_S) as timer:
                return await self._attempt(query)
        except Exception as failure:
            return (
                Unreachable(f"no connection within {ATTEMPT_TIMEOUT_S:g} s") if timer.expired() else failure
            )

    async def _attempt(self, query: Mapping[str, str]) -> Established:
        token = self._token if isinstance(self._token, str) else await self._ask(self._token)
        url = self._gateways.url
        self.is_attempting = True
        try:
            connection = await Connection.open(url, token, {**self._query, **query})
            try:
                welcome, place = await self._welcome(connection, url.partition("?")[0])
            except BaseException:
                await connection.close(CloseCode.GOING_AWAY)
                raise
        except BaseException as failure:
            if _may_have_arrived(failure):
                self._abandoned_at = _now()
            raise
        finally:
            self.is_attempting = False
        self._refused_tokens = 0
        self.last_failure = None
        self._gateways.connected(_now())
        return Established(connection, welcome, url, place)

    async def _ask(self, source: TokenSource) -> str:
        """Ask the application for a token. Whatever goes wrong there is raised as an `Exception`."""
        try:
            token: object = await source()
            if not isinstance(token, str):
                raise UnusableToken(f"the token source gave {type(token).__name__}, not a text")
        except asyncio.CancelledError as cancelled:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise  # it is this client that does not wait any more
            self._source_failure = UnusableToken("what the token source waited for was cancelled")
            raise self._source_failure from cancelled
        except Exception as failure:
            self._source_failure = failure
            raise
        return token

    async def _welcome(self, connection: Connection, url: str) -> tuple[Welcome, str | None]:
        try:
            async with asyncio.timeout(self._timeout_s):
                first = messages.decode(await connection.receive())
        except TimeoutError as error:
            raise Unreachable(f"no welcome from {url} within {self._timeout_s:g} s") from error
        if not isinstance(first, Reply) or first.cmd != "WELCOME":
            raise Unreachable(f"the server at {url} does not begin with a welcome")
        try:
            return messages.data_of(first, Welcome), first.place
        except Unreadable as error:
            raise Unreachable(f"the welcome from {url} cannot be read: {error}") from error

    def _record(self, failure: Exception) -> None:
        self.last_failure = failure
        retry_after_s = failure.retry_after if isinstance(failure, Denied) else None
        self._gateways.failed(_now(), retry_after_s)
        if _is_about_token(failure):
            self._refused_tokens += 1

    def _is_worth_another(self, failure: Exception) -> bool:
        if _is_about_token(failure):
            return self.may_get_better_token
        if isinstance(failure, UnusableToken):
            return callable(self._token)
        return failure is self._source_failure or _is_temporary(failure)


def _is_about_token(failure: Exception) -> bool:
    return isinstance(failure, Denied | Closed) and failure.code in (_UNAUTHORIZED, CloseCode.TOKEN_EXPIRED)


def _may_have_arrived(failure: BaseException) -> bool:
    """Whether a gateway may have begun to take up the session, and not said how that ended."""
    return not isinstance(failure, Denied) and not isinstance(failure.__cause__, ConnectionRefusedError)


def _is_temporary(failure: Exception) -> bool:
    match failure:
        case Denied() | Closed():
            return failure.may_reconnect
        case _:
            return isinstance(failure, Unreachable | OSError)


def _now() -> float:
    return asyncio.get_running_loop().time()
