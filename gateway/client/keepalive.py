"""What time alone does to a connection: pings that must be answered, a token that expires, a last delay.

All of it calls back into the connection, and none of it touches the socket.
"""

import time
from collections.abc import Callable
from typing import Final, Protocol

from gateway.client.events import expiring
from gateway.client.host import Host
from gateway.client.session import Session
from gateway.client.terms import Pace
from tieline.wire.codes import CloseCode

WARNING_S: Final = 30.0
"""How long before its token expires a client is told."""


class TimedClient(Protocol):
    """What the timers need of a connection."""

    @property
    def is_reading(self) -> bool:
        """Whether what the client sent is being read; while it is not, its pong may wait unread."""
        ...

    def ping(self, payload: bytes) -> None:
        """Send a ping; nothing once the connection is closing."""
        ...

    def close(self, code: CloseCode) -> None:
        """Close the connection; nothing once it is closing."""
        ...


class Timer(Protocol):
    """Something that is to be called later."""

    def cancel(self) -> None:
        """Do not call it; nothing if it was called already."""
        ...


class Clock(Protocol):
    """What calls later: an event loop, or `gateway.client.alarms.Alarms`, which takes less memory."""

    def time(self) -> float:
        """Return the time, in seconds."""
        ...

    def call_later(self, seconds: float, callback: Callable[[], object], /) -> Timer:
        """Call once, so many seconds from now."""
        ...


class Keepalive:
    """Pings one client and closes with 4001 when it does not answer."""

    __slots__ = ("_awaited", "_client", "_loop", "_pace", "_timer")

    def __init__(self, client: TimedClient, pace: Pace, loop: Clock) -> None:
        self._client = client
        self._pace = pace
        self._loop = loop
        self._awaited = b""
        self._timer = loop.call_later(pace.ping_interval_s, self._ping)

    def on_pong(self, payload: bytes) -> None:
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


class TokenExpiry:
    """Warns a client before its token expires, and closes with 4501 when it does."""

    __slots__ = ("_client", "_host", "_is_stopped", "_loop", "_session", "_timer")

    def __init__(self, client: TimedClient, session: Session, host: Host, loop: Clock) -> None:
        self._client = client
        self._session = session
        self._host = host
        self._loop = loop
        self._is_stopped = False
        self._timer = loop.call_later(max(0.0, self._left() - WARNING_S), self._warn)

    def reset(self) -> None:
        """Go by the session's newer token from now on; nothing after `stop`."""
        if not self._is_stopped:
            self._timer.cancel()
            self._timer = self._loop.call_later(max(0.0, self._left() - WARNING_S), self._warn)

    def stop(self) -> None:
        """Do nothing more."""
        self._is_stopped = True
        self._timer.cancel()

    def _left(self) -> float:
        return self._session.claims.exp - time.time()

    def _warn(self) -> None:
        self._host.tell(self._session, expiring(self._session))
        self._timer = self._loop.call_later(max(0.0, self._left()), self._expire)

    def _expire(self) -> None:
        self._client.close(CloseCode.TOKEN_EXPIRED)


class Timers:
    """All timers of one connection, to be stopped together."""

    __slots__ = ("_delayed", "_keepalive", "_loop", "_token_expiry")

    def __init__(self, loop: Clock) -> None:
        self._loop = loop
        self._delayed: Timer | None = None
        self._keepalive: Keepalive | None = None
        self._token_expiry: TokenExpiry | None = None

    def begin(self, client: TimedClient, session: Session, host: Host) -> None:
        """Ping the client of a session, and watch its token, instead of what was timed before."""
        self.stop()
        self._keepalive = Keepalive(client, session.terms.pace, self._loop)
        self._token_expiry = TokenExpiry(client, session, host, self._loop)

    def call_after(self, seconds: float, callback: Callable[[], object]) -> None:
        """Call once, instead of what was timed before."""
        self.stop()
        self._delayed = self._loop.call_later(seconds, callback)

    def on_pong(self, payload: bytes) -> None:
        """Take note of a pong of the client."""
        if self._keepalive is not None:
            self._keepalive.on_pong(payload)

    def on_newer_token(self) -> None:
        """Go by the session's newer token from now on."""
        if self._token_expiry is not None:
            self._token_expiry.reset()

    def stop(self) -> None:
        """Do nothing more."""
        for timer in (self._keepalive, self._token_expiry):
            if timer is not None:
                timer.stop()
        if self._delayed is not None:
            self._delayed.cancel()
        self._keepalive = self._token_expiry = self._delayed = None  # they refer to the connection
