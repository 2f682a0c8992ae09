"""Say in the log who meets a limit, is closed for flooding, or ends in an unusual way: one line each.

One line of each kind a user and minute, and so many lines in all: a flood must not become one of log lines.
What stands in none is counted by `tieline_limited_total` and `tieline_sessions_closed_total`. What comes
before a session is in `gateway/admission/`.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from gateway.client.connection import Connection
from gateway.client.session import Session
from gateway.limits.limit import Limit
from gateway.limits.rate import NEVER_USED, rate
from tieline import metrics
from tieline.wire.codes import CloseCode
from tieline.wire.ids import ConnectionId, UserId

A_USER_S: Final = 60.0
"""Between two lines about one user."""

LINES: Final = rate(1, 30)
"""In all: what a person can read, and a burst that shows who they are."""

MOST_TOLD: Final = 10_000
"""Users about whom a line was written; the oldest are forgotten first."""

UNUSUAL: Final = frozenset(
    (
        CloseCode.PROTOCOL_ERROR,
        CloseCode.BINARY_FRAME,
        CloseCode.NOT_UTF8,
        CloseCode.TOO_BIG,
        CloseCode.SLOW_CONSUMER,
        CloseCode.FLOODING,
        CloseCode.PROTOCOL_VIOLATION,
    )
)
"""Close codes of clients that do what no browser does."""

_log = logging.getLogger(__name__)


class LimitLog:
    """Counts the limits that the users of one gateway meet, and logs some. `now` is monotonic, in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._told: OrderedDict[tuple[str, UserId], float] = OrderedDict()
        self._lines = NEVER_USED

    def watch(self, session: Session, connection: Connection) -> None:
        """Say from now on which connection of a user it is that meets a limit."""
        session.budget.on_limited = _Watched(self, session.user, connection.peer, session.connection)

    def limited(self, user: UserId, limit: Limit) -> None:
        """Count that a user met a limit who may have no connection."""
        self._limited(user, limit)

    def closed(self, session: Session, connection: Connection) -> None:
        """Take note of how a connection has ended."""
        code = connection.close_code
        if code == CloseCode.FLOODING:
            session.budget.closed_for_flooding(self._now())
        if code in UNUSUAL:
            said = {"code": code, "address": connection.peer, "connection": session.connection}
            self._say("client closed for what it did", session.user, said)

    def limited_on(self, connection: ConnectionId, address: str, user: UserId, limit: Limit) -> None:
        """Count that a user met a limit on a connection."""
        self._limited(user, limit, address=address, connection=connection)

    def _limited(self, user: UserId, limit: Limit, **who: str) -> None:
        metrics.LIMITED.labels(limit.value).inc()
        self._say("user limited", user, {"limit": limit.value, **who})

    def _say(self, what: str, user: UserId, said: dict[str, object]) -> None:
        now = self._now()
        if self._told.get((what, user), now) > now:
            return
        if LINES.wait_s(self._lines + LINES.each_s, now):
            return
        self._lines = LINES.full_at(self._lines, 1, now)
        self._told[what, user] = now + A_USER_S
        self._told.move_to_end((what, user))
        while len(self._told) > MOST_TOLD:
            self._told.popitem(last=False)
        _log.warning(what, extra={"user": user, **said})


class _Watched:
    """What is told that a user meets a limit on a connection; small, because there is one for each client."""

    __slots__ = ("_address", "_connection", "_log", "_user")

    def __init__(self, log: LimitLog, user: UserId, address: str, connection: ConnectionId) -> None:
        self._log = log
        self._user = user
        self._address = address
        self._connection = connection

    def __call__(self, limit: Limit) -> None:
        self._log.limited_on(self._connection, self._address, self._user, limit)
