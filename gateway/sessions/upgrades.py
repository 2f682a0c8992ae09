"""Judge upgrade requests: by the token and what comes with it, then by whether clients can be let in now.

What one user or address may do is asked of `gateway/limits/`; who is let in first is up to `arrivals`.
"""

import asyncio
import logging
import math
import random
import time
from collections.abc import Callable
from typing import Final, Protocol

from websockets.http11 import Request, Response

from gateway.admission.addresses import is_private
from gateway.admission.handshake import Admission, Admitted, Now, Pending
from gateway.client.connection import Connection
from gateway.delivery.connections import Connections
from gateway.limits.addresses import Addresses
from gateway.limits.connects import Wait
from gateway.sessions.arrivals import Arrivals
from gateway.sessions.attempts import Attempt, Attempts
from gateway.sessions.departures import Departures
from tieline.runtime.guard import bug_guard
from tieline.wire.codes import HandshakeError
from tieline.wire.ids import UserId

MOST_SETTLING: Final = 1_000
"""Requests that wait for a fetch of keys: it takes 3 s at most, and anybody may name a key that is not
known."""

SPREAD_S: Final = 5.0
"""Over which those come back who were refused for the same reason at the same moment. It is no more for those
who have to wait for long: who is kept out for ten minutes is one user."""

ADDRESS_CONNECTS: Final = "address_connects"
"""What a refusal names as the limit, beside those of a user (`Limit`): its address connects too often."""
UPGRADES: Final = "upgrades"
"""The same: newer attempts of its user are under way."""

ROOM_S: Final = 10.0
"""Until an address may have room for one more connection: nobody knows when one of them ends."""

NEWER_S: Final = 1.0
"""Until a user may try again whose newer attempts are under way."""

_log = logging.getLogger(__name__)


class Users(Protocol):
    """What is known of how often users have connected."""

    def may_connect(self, user: UserId, resumes: bool, now: float, /) -> Wait | None:
        """Count an attempt of a user to connect, or to resume, unless it has to wait; None: it need not."""
        ...


class Upgrades:
    """Decides which clients of one gateway `arrivals` may let in. Tasks belong to the given group."""

    def __init__(
        self,
        *,
        admission: Admission,
        arrivals: Arrivals,
        departures: Departures,
        connections: Connections,
        users: Users,
        addresses: Addresses,
        has_broker: Callable[[], bool],
        max_connections: int,
        tasks: asyncio.TaskGroup,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Take also the most clients that may be here, 0 for any number, and what tells of the broker."""
        self._admission = admission
        self._arrivals = arrivals
        self._departures = departures
        self._connections = connections
        self._users = users
        self._addresses = addresses
        self._has_broker = has_broker
        self._max_connections = max_connections
        self._tasks = tasks
        self._jitter = jitter
        self._settling = 0
        self._attempts = Attempts()

    def on_request(self, connection: Connection, request: Request, response: Response) -> None:
        """Deny an upgrade request, or begin to let the client in, now or when its key has been fetched."""
        visit = connection.visit
        visit.address = self._admission.address_of(request, connection.peer)
        verdict = self._admission.judge(request, response, connection.peer, _now(), visit.explain)
        if not isinstance(verdict, Pending):
            self._decide(connection, response, verdict)
        elif self._settling >= MOST_SETTLING:
            connection.deny(HandshakeError.KEYS_UNAVAILABLE)
        else:
            self._settling += 1
            self._tasks.create_task(self._settle(connection, request, response))

    async def _settle(self, connection: Connection, request: Request, response: Response) -> None:
        try:
            with bug_guard(_log, "upgrade not decided: a bug"):  # the client is then cut by `HANDSHAKE_S`
                verdict = await self._admission.settle(
                    request, response, connection.peer, _now, connection.visit.explain
                )
                if not connection.is_closing:
                    self._decide(connection, response, verdict)
        finally:
            self._settling -= 1

    def _decide(self, connection: Connection, response: Response, verdict: Admitted | HandshakeError) -> None:
        if isinstance(verdict, HandshakeError):
            connection.deny(verdict)
            return
        connection.visit.user = verdict.claims.user
        if self._departures.draining:
            connection.deny(HandshakeError.DRAINING)
        elif self._is_full():
            connection.deny(HandshakeError.FULL)
        elif not self._has_broker():
            connection.deny(HandshakeError.BROKER_UNAVAILABLE)
        elif not self._is_over_limit(connection, verdict):
            self._begin(Attempt(connection, response, verdict))

    def _is_over_limit(self, connection: Connection, admitted: Admitted) -> bool:
        """Count an attempt, or deny it for what its user or its address has done within the last minute."""
        now, address = time.monotonic(), admitted.address
        is_counted = not is_private(connection.peer)
        if is_counted and not self._addresses.has_room(address):
            connection.deny(HandshakeError.TOO_MANY_CONNECTIONS, self._retry_after_s(ROOM_S))
            return True
        wait = self._users.may_connect(admitted.claims.user, bool(admitted.resume), now)
        if wait is not None:
            self._limit(connection, wait.limit.value, wait.seconds)
            return True
        if is_counted and (wait_s := self._addresses.may_connect(address, now)):
            self._limit(connection, ADDRESS_CONNECTS, wait_s)
            return True
        if is_counted:
            self._addresses.enter(address)
            connection.visit.counted(lambda: self._addresses.leave(address))
        return False

    def _begin(self, attempt: Attempt) -> None:
        """Let a client in; if its user has enough attempts under way, the newest of the others waits."""
        if self._attempts.begin(attempt):
            self._tasks.create_task(self._let_in(attempt))
        elif (outdated := self._attempts.wait(attempt)) is not None:
            self._limit(outdated.connection, UPGRADES, NEWER_S)

    async def _let_in(self, attempt: Attempt) -> None:
        with bug_guard(_log, "client not let in: a bug"):  # it is then cut by `HANDSHAKE_S`
            await self._arrivals.let_in(attempt.connection, attempt.response, attempt.admitted)
        following = self._attempts.done(attempt)
        if following is not None:
            self._tasks.create_task(self._let_in(following))

    def _limit(self, connection: Connection, limit: str, wait_s: float) -> None:
        connection.deny(HandshakeError.RATE_LIMITED, self._retry_after_s(wait_s), limit)

    def _retry_after_s(self, wait_s: float) -> int:
        """Say when to come back: not before `wait_s`, and each at a moment of its own, but soon after it."""
        return math.ceil(wait_s + self._jitter() * SPREAD_S)

    def _is_full(self) -> bool:
        here = len(self._connections) + self._arrivals.under_way + self._attempts.waiting
        return 0 < self._max_connections <= here


def _now() -> Now:
    return Now(time.time(), time.monotonic())
