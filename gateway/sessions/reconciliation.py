"""Find out, after the broker was away, which connections have lost their session to another one meanwhile.

Presence says so when it happens, once (`gateway.<g>.close`). A gateway that is cut off from the broker just
then does not hear it, and the connection would stay open beside the one that has the session.
"""

import asyncio
import logging
from typing import Final

from gateway.client.session import Session
from gateway.delivery.connections import Live
from tieline.runtime.broker import Broker
from tieline.runtime.requests import NoAnswer, Requests
from tieline.wire import internal
from tieline.wire.codes import CloseCode
from tieline.wire.internal import OPERATIONS, FindReplaced, Replaced
from tieline.wire.subjects import Subjects

AT_ONCE: Final = 64
"""Connections that are asked about together: one read for presence."""

_log = logging.getLogger(__name__)


class RollCall:
    """Looks after the connections of one gateway. Tasks belong to the given group."""

    def __init__(
        self, broker: Broker, requests: Requests, subjects: Subjects, live: Live, tasks: asyncio.TaskGroup
    ) -> None:
        self._broker = broker
        self._requests = requests
        self._subject = subjects.presence(OPERATIONS[FindReplaced])
        self._live = live
        self._tasks = tasks
        self._is_due = False
        self._is_running = False
        broker.when_back(self._start)

    def _start(self) -> None:
        self._is_due = True
        if not self._is_running:
            self._is_running = True
            self._tasks.create_task(self._run())

    async def _run(self) -> None:
        """Ask about all who are here now, and once more if the broker was away meanwhile."""
        try:
            while self._is_due:
                self._is_due = False
                here = [session for connection in self._live if (session := connection.session) is not None]
                for start in range(0, len(here), AT_ONCE):
                    await self._ask(here[start : start + AT_ONCE])
        except Exception:  # a bug met here must not end the gateway, and all its clients
            _log.exception("roll call: a bug")
        finally:
            self._is_running = False

    async def _ask(self, some: list[Session]) -> None:
        """Close those of them that are replaced; ask until presence answers, or it is of no use any more."""
        ask = internal.encode(FindReplaced(tuple((one.user, one.connection) for one in some)))
        while self._broker.is_connected and len(self._live):
            try:
                answer = await self._requests.ask(self._subject, ask)
            except NoAnswer:
                _log.warning("roll call: no answer")
                continue
            reply = internal.decode_presence_reply(answer)
            if not isinstance(reply, Replaced):
                raise TypeError(f"presence answered a roll call with {type(reply).__name__}")
            for name in reply.connections:
                connection = self._live.get(name)
                if connection is not None:
                    connection.close(CloseCode.REPLACED)
            return
