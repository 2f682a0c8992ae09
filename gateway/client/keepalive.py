"""What time alone does to a connection: pings that must be answered, and a token that ends.

Both call back into the connection; neither touches the socket.
"""

import asyncio
import time
from typing import Final, NamedTuple, Protocol

from gateway.client.session import Session
from tieline.wire.codes import CloseCode

WARNING_S: Final = 30.0
"""How long before its token ends a client is told."""


class Pace(NamedTuple):
    """How often a client is asked whether it lives, in seconds."""

    ping_interval_s: float = 25.0
    """Below the 30 s after which mobile networks and some balancers forget a silent connection."""
    pong_timeout_s: float = 8.0
    """For the answer: long enough for a phone that changes networks."""


class Clocked(Protocol):
    """What the clocks need of a connection."""

    @property
    def is_reading(self) -> bool:
        """Whether what the client sent is being read; while it is not, its pong may wait unread."""
        ...

    def ping(self, payload: bytes) -> None:
        """Send a ping; nothing once the connection is closing."""
        ...

    def tell(self, event: bytes) -> None:
        """Send an event of the gateway's own, which a client may name when it resumes."""
        ...

    def close(self, code: CloseCode) -> None:
        """Close the connection; nothing once it is closing."""
        ...


class Keepalive:
    """Pings one client and closes with 4001 when it does not answer."""

    __slots__ = ("_awaited", "_client", "_loop", "_pace", "_timer")

    def __init__(self, client: Clocked, pace: Pace, loop: asyncio.AbstractEventLoop) -> None:
        self._client = client
        self._pace = pace
        self._loop = loop
        self._awaited = b""
        self._timer = loop.call_later(pace.ping_interval_s, self._ping)

    def heard(self, payload: bytes) -> None:
        """Take note of a pong; only the one to the last ping counts."""
        if payload == self._awaited:
            self._awaited = b""

    def stop(self) -> None:
        """Ping no more."""
        self._timer.cancel()

    def _ping(self) -> None:
        self._awaited = self._loop.time().hex().encode()
        self._client.ping(self._awaited)
        self._timer = self._loop.call_later(self._pace.pong_timeout_s, self._pong_due)

    def _pong_due(self) -> None:
        if not self._awaited:
            rest = max(0.0, self._pace.ping_interval_s - self._pace.pong_timeout_s)
            self._timer = self._loop.call_later(rest, self._ping)
        elif not self._client.is_reading:
            self._timer = self._loop.call_later(self._pace.pong_timeout_s, self._pong_due)
        else:
            self._client.close(CloseCode.PONG_TIMEOUT)


class TokenClock:
    """Warns a client before its token expires, and closes with 4501 when it does."""

    __slots__ = ("_client", "_loop", "_session", "_timer")

    def __init__(self, client: Clocked, session: Session, loop: asyncio.AbstractEventLoop) -> None:
        self._client = client
        self._session = session
        self._loop = loop
        self._timer = loop.call_later(max(0.0, self._left() - WARNING_S), self._warn)

    def reset(self) -> None:
        """Go by the session's newer token from now on; nothing after `stop`."""
        if not self._timer.cancelled():
            self._timer.cancel()
            self._timer = self._loop.call_later(max(0.0, self._left() - WARNING_S), self._warn)

    def stop(self) -> None:
        """Do nothing more."""
        self._timer.cancel()

    def _left(self) -> float:
        return self._session.claims.exp - time.time()

    def _warn(self) -> None:
        self._client.tell(self._session.expiring())
        self._timer = self._loop.call_later(max(0.0, self._left()), self._expire)

    def _expire(self) -> None:
        self._client.close(CloseCode.TOKEN_EXPIRED)
