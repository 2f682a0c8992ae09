"""Find out, after the broker was away, which connections have lost their session to another one meanwhile.

Presence says so when it happens, once (`gateway.<g>.close`). A gateway that is cut off from the broker just
then does not hear it, and the connection would stay open beside the one that has the session.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from gateway.client.session import Session
from gateway.delivery.connections import Connections
from gateway.sessions.presence import Presence
from tieline.runtime.guard import bug_guard
from tieline.runtime.requests import NoAnswer
from tieline.runtime.single_flight import SingleFlight
from tieline.wire.codes import CloseCode
from tieline.wire.internal.sessions import FindReplaced, Replaced

AT_ONCE: Final = 64
"""Connections that are asked about together: one read for presence."""

_log = logging.getLogger(__name__)


class Reconciliation:
    """Compares the connections of one gateway with what presence knows. Tasks belong to the given group."""

    def __init__(
        self,
        presence: Presence,
        connections: Connections,
        has_broker: Callable[[], bool],
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._presence = presence
        self._connections = connections
        self._has_broker = has_broker
        self._asking = SingleFlight(tasks, self._ask_about_all)
        self._is_due = False

    def start(self) -> None:
        """Ask about all connections that are here; to be called each time the broker is back."""
        self._is_due = True
        self._asking.start()

    async def _ask_about_all(self) -> None:
        """Ask about all connections that are here now, and once more if the broker was away meanwhile."""
        with bug_guard(_log, "reconciliation: a bug"):
            while self._is_due:
                self._is_due = False
                here = [one.session for one in self._connections if one.session is not None]
                for start in range(0, len(here), AT_ONCE):
                    await self._ask_about(here[start : start + AT_ONCE])

    async def _ask_about(self, some: list[Session]) -> None:
        """Close those of them that are replaced; ask until presence answers, or it is of no use any more."""
        question = FindReplaced(tuple((one.user, one.connection) for one in some))
        while self._has_broker() and len(self._connections):
            try:
                reply = await self._presence.ask(question)
            except NoAnswer:
                _log.warning("reconciliation: no answer")
                continue
            if not isinstance(reply, Replaced):
                raise TypeError(f"presence answered {type(question).__name__} with {type(reply).__name__}")
            for name in reply.connections:
                connection = self._connections.get(name)
                if connection is not None:
                    connection.close(CloseCode.REPLACED)
            return
