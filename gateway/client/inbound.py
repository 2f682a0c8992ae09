"""What one client says, a message at a time: the next one is looked at when the one before it is answered."""

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from gateway.client.host import House
from gateway.client.rate_limit import Allowance, Ruling
from gateway.client.session import AskKeys, AskPresence, AskRouter, HangUp, Say, Session
from tieline import metrics
from tieline.wire.codes import CloseCode
from tieline.wire.internal import PresenceReply, RouterReply

if TYPE_CHECKING:
    from gateway.client.connection import Connection

MAX_UNREAD: Final = 32
"""Messages of one client that may wait for their turn before its socket is not read any further."""

_log = logging.getLogger(__name__)


class Turns:
    """The messages of one session, from WELCOME to the end. `now` is for measuring, in seconds."""

    __slots__ = ("_allowance", "_asked_at", "_connection", "_house", "_now", "_session", "_unread", "is_busy")

    def __init__(
        self, connection: "Connection", session: Session, house: House, now: Callable[[], float]
    ) -> None:
        self._connection = connection
        self._session = session
        self._house = house
        self._now = now
        limit = session.terms.rate_limit
        self._allowance = Allowance(limit) if limit else None
        self._asked_at = 0.0
        self._unread: deque[bytes] = deque()
        self.is_busy = False
        """Whether a message waits for the cluster's answer."""

    def hear(self, message: bytes) -> None:
        """Take the next message: look at it now, or when it is its turn."""
        if not self.is_busy:
            self._take(message)
            return
        self._unread.append(message)
        if len(self._unread) > MAX_UNREAD:
            self._connection.pause()

    def drop_unread(self) -> None:
        """Forget what has not had its turn."""
        self._unread.clear()

    def router_answered(self, ask: AskRouter, reply: RouterReply | None) -> None:
        """Say what came of a signal, and go on to the next message."""
        metrics.RELAY_SECONDS.observe(self._now() - self._asked_at)
        self._answered(self._session.hear_router(ask, reply), len(ask.signal.frame), ask.signal.to)

    def presence_answered(self, ask: AskPresence, reply: PresenceReply | None) -> None:
        """Say what came of a room command or a newer token, and go on to the next message."""
        claims = self._session.claims
        answer = self._session.hear_presence(ask, reply)
        if self._session.claims is not claims:
            self._connection.has_newer_token()
        self._answered(answer, 0, "")

    def keys_answered(self, ask: AskKeys, is_fresh: bool) -> None:
        """Look once more at a newer token, with fresh keys if they could be had."""
        action = self._session.hear_keys(ask, is_fresh, time.time())
        if isinstance(action, AskPresence):
            self._house.ask_presence(self._connection, action)
        else:
            self._answered(action, 0, "")

    def _take(self, frame: bytes) -> None:
        """Look at one message. What it asks of the cluster is answered later."""
        self._asked_at = self._now()
        ruling = Ruling.PASS if self._allowance is None else self._allowance.rule(self._asked_at)
        if ruling is not Ruling.PASS:
            self._finish(self._session.over_limit(frame), len(frame), "")
            if ruling is Ruling.CLOSE:
                self._connection.close(CloseCode.FLOODING)
            return
        action = self._session.receive(frame, time.time())
        match action:
            case AskRouter():
                self.is_busy = True
                self._house.ask_router(self._connection, action)
            case Say():
                self._finish(action, len(frame), "")
            case AskPresence():
                self.is_busy = True
                self._house.ask_presence(self._connection, action)
            case AskKeys():
                self.is_busy = True
                self._house.ask_keys(self._connection, action)

    def _answered(self, answer: Say | HangUp, size: int, to: str) -> None:
        self.is_busy = False
        match answer:
            case Say():
                self._finish(answer, size, to)
            case HangUp(code=code):
                self._connection.close(code)
                self._unread.clear()
        while self._unread and not self.is_busy:
            self._take(self._unread.popleft())
        if not self.is_busy:
            self._connection.has_caught_up()

    def _finish(self, say: Say, size: int, to: str) -> None:
        if say.frame:
            self._connection.say(say.frame)
        metrics.signal_answered(say.cmd, say.outcome)
        if _log.isEnabledFor(logging.DEBUG):
            fields = {
                "requestId": say.request_id,
                "cmd": say.cmd,
                "from": self._session.user,
                "to": to,
                "outcome": say.outcome,
                "ms": round((self._now() - self._asked_at) * 1000, 3),
                "bytes": size,
            }
            _log.debug("signal", extra=fields)
