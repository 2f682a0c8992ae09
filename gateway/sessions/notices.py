"""What the gateway itself has to tell its clients: that a token expires, that they should reconnect.

Only routers and presence may write to users, so presence is asked to, and the event comes back the way that
those from others come. A client that names it when it resumes has had everything before it.
"""

import asyncio
import logging
from typing import Final

from gateway.client.session import Session
from gateway.sessions.presence import Presence
from tieline.runtime.guard import bug_guard
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.internal.sessions import Tell

TELLING_PATIENCE_S: Final = 2.0
"""For presence to pass an event on: a gateway that stops has 10 s beside its drain."""


_log = logging.getLogger(__name__)


class Notices:
    """The events of one gateway's own that presence has not answered yet."""

    def __init__(self, presence: Presence) -> None:
        self._presence = presence
        self._under_way = 0
        self._all_sent = asyncio.Event()
        self._all_sent.set()

    def send(self, session: Session, event: bytes) -> None:
        """Have an event stored for a session. If presence does not answer, the client may not get it."""
        self._under_way += 1
        self._all_sent.clear()
        tell = Tell(session.user, session.connection, event)
        with bug_guard(_log, "event not sent: a bug", lambda: self._answered(None), session=session.session):
            self._presence.begin(tell, self._answered, TELLING_PATIENCE_S)

    async def all_sent(self) -> None:
        """Return when every event is stored, or was given up."""
        await self._all_sent.wait()

    def _answered(self, _reply: PresenceReply | None) -> None:
        self._under_way -= 1
        if not self._under_way:
            self._all_sent.set()
