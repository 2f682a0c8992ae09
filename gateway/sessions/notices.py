"""What the gateway itself has to tell its clients: that a token expires, that they should reconnect.

Only routers and presence may write to users, so presence is asked to, and the event comes back the way that
those from others come. A client that names it when it resumes has had everything before it.
"""

import asyncio
import functools
import logging
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from gateway.client.session import Session
from gateway.sessions.presence import Presence
from tieline.runtime.guard import bug_guard
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.internal.sessions import Tell

TELLING_PATIENCE_S: Final = 2.0
"""For presence to pass an event on: a gateway that stops has 10 s beside its drain."""

AT_ONCE: Final = 32
"""Events that presence is asked to pass on side by side: a gateway that drains, and tokens that were all made
at one moment, have thousands, and what others ask of presence meanwhile must not wait behind them."""


_log = logging.getLogger(__name__)


RETRY_S: Final = 1.0
"""Before presence is asked once more to pass on what a client has to know."""


class _Notice(NamedTuple):
    """An event that waits for its turn."""

    session: Session
    event: bytes
    is_wanted: Callable[[], bool]
    """Whether presence is asked again that has not answered."""


def _never() -> bool:
    """Have presence asked once: the event is of no use later."""
    return False


class Notices:
    """The events of one gateway's own that presence has not answered yet."""

    def __init__(self, presence: Presence, retry_s: float = RETRY_S) -> None:
        self._presence = presence
        self._retry_s = retry_s
        self._waiting: deque[_Notice] = deque()
        self._under_way = 0
        self._all_sent = asyncio.Event()
        self._all_sent.set()

    def send(self, session: Session, event: bytes, is_wanted: Callable[[], bool] = _never) -> None:
        """Have an event stored for a session.

        If presence does not answer, the client may not get it; while it `is_wanted`, presence is asked again.
        """
        self._send(_Notice(session, event, is_wanted))

    def _send(self, notice: _Notice) -> None:
        self._all_sent.clear()
        self._waiting.append(notice)
        self._send_next()

    async def all_sent(self) -> None:
        """Return when every event is stored, or was given up."""
        await self._all_sent.wait()

    def _send_next(self) -> None:
        """Send what waits, as far as there are places."""
        while self._waiting and self._under_way < AT_ONCE:
            notice = self._waiting.popleft()
            session = notice.session
            self._under_way += 1
            tell = Tell(session.user, session.connection, notice.event)
            with bug_guard(_log, "event not sent: a bug", self._note_answered, session=session.session):
                self._presence.begin(tell, functools.partial(self._answered, notice), TELLING_PATIENCE_S)

    def _answered(self, notice: _Notice, reply: PresenceReply | None) -> None:
        if reply is None and notice.is_wanted():
            asyncio.get_running_loop().call_later(self._retry_s, self._send_again, notice)
        self._note_answered()
        self._send_next()

    def _send_again(self, notice: _Notice) -> None:
        if notice.is_wanted():
            self._send(notice)

    def _note_answered(self) -> None:
        self._under_way -= 1
        if not self._under_way and not self._waiting:
            self._all_sent.set()
