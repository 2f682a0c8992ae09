"""Judge upgrade requests: by the token and what comes with it, then by whether clients can be let in now."""

import asyncio
import logging
import time
from collections.abc import Callable

from websockets.http11 import Request, Response

from gateway.admission.handshake import Admission, Admitted, Now, Pending
from gateway.client.connection import Connection
from gateway.delivery.connections import Connections
from gateway.sessions.arrivals import Arrivals
from gateway.sessions.departures import Departures
from tieline.runtime.guard import bug_guard
from tieline.wire.codes import HandshakeError

_log = logging.getLogger(__name__)


class Upgrades:
    """Decides which clients of one gateway `arrivals` may let in. Tasks belong to the given group."""

    def __init__(
        self,
        *,
        admission: Admission,
        arrivals: Arrivals,
        departures: Departures,
        connections: Connections,
        has_broker: Callable[[], bool],
        max_connections: int,
        tasks: asyncio.TaskGroup,
    ) -> None:
        """Take also the most clients that may be here, 0 for any number, and what tells of the broker."""
        self._admission = admission
        self._arrivals = arrivals
        self._departures = departures
        self._connections = connections
        self._has_broker = has_broker
        self._max_connections = max_connections
        self._tasks = tasks

    def on_request(self, connection: Connection, request: Request, response: Response) -> None:
        """Deny an upgrade request, or begin to let the client in, now or when its key has been fetched."""
        verdict = self._admission.judge(request, response, connection.peer, _now())
        if isinstance(verdict, Pending):
            self._tasks.create_task(self._settle(connection, request, response))
        else:
            self._decide(connection, response, verdict)

    async def _settle(self, connection: Connection, request: Request, response: Response) -> None:
        with bug_guard(_log, "upgrade not decided: a bug"):  # the client is then cut by `HANDSHAKE_S`
            verdict = await self._admission.settle(request, response, connection.peer, _now)
            self._decide(connection, response, verdict)

    def _decide(self, connection: Connection, response: Response, verdict: Admitted | HandshakeError) -> None:
        if isinstance(verdict, HandshakeError):
            _log.debug("connection refused", extra={"reason": verdict.reason, "peer": connection.peer})
            connection.deny(verdict)
        elif self._departures.draining:
            connection.deny(HandshakeError.DRAINING)
        elif self._is_full():
            connection.deny(HandshakeError.FULL)
        elif not self._has_broker():
            connection.deny(HandshakeError.BROKER_UNAVAILABLE)
        else:
            self._tasks.create_task(self._arrivals.let_in(connection, response, verdict))

    def _is_full(self) -> bool:
        here = len(self._connections) + self._arrivals.under_way
        return 0 < self._max_connections <= here


def _now() -> Now:
    return Now(time.time(), time.monotonic())
