"""Let clients go: tell presence that a connection has ended, and empty the gateway before it stops."""

import asyncio
import contextlib
import logging
from typing import Final, NamedTuple, Protocol

from gateway.client.connection import Connection
from gateway.client.session import Session
from gateway.delivery.connections import Connections
from gateway.sessions.notices import Notices
from gateway.sessions.presence import Presence
from tieline import metrics
from tieline.runtime.broker import BrokerAway
from tieline.runtime.guard import bug_guard
from tieline.runtime.requests import PATIENCE_S, NoAnswer
from tieline.wire.codes import CloseCode
from tieline.wire.ids import ConnectionId

ENDING_RETRY_S: Final = 1.0
"""Between attempts to tell presence that a connection has ended. They go on for as long as this gateway runs:
as long as it keeps its lease, no other process tells presence."""

DRAINING_PATIENCE_S: Final = 2.0
"""For presence to answer that it knows of an end while this gateway drains: less than usual, for a process
that stops has 10 s in all beside its drain. What presence was not told, it learns when the lease runs out."""

_log = logging.getLogger(__name__)


class Drain(NamedTuple):
    """How a gateway is emptied, in seconds."""

    balancer_s: float
    """For the balancer to see that this gateway is not ready, before any client is sent away."""
    spread_s: float
    """For the clients to leave by themselves, each at its own moment; those that stay are then closed, spread
    over as long again."""


class Delivering(Protocol):
    """What departures need of `delivery`."""

    async def settled(self) -> None:
        """Return when what was stored before has been pushed."""
        ...

    async def drop(self, session: Session) -> None:
        """Deliver nothing more to a session; nothing if it is not followed."""
        ...


class Departures:
    """Ends what `arrivals` began. Tasks belong to the given group."""

    def __init__(
        self,
        presence: Presence,
        connections: Connections,
        delivery: Delivering,
        notices: Notices,
        tasks: asyncio.TaskGroup,
        retry_s: float = ENDING_RETRY_S,
    ) -> None:
        self._presence = presence
        self._connections = connections
        self._delivery = delivery
        self._notices = notices
        self._tasks = tasks
        self._retry_s = retry_s
        self._expected: set[ConnectionId] = set()
        self._ended: dict[ConnectionId, CloseCode] = {}
        self.draining = False

    def expect(self, session: Session) -> None:
        """Take note that a session is about to begin: from now on presence may end it again."""
        self._expected.add(session.connection)

    def note_ended(self, connection: ConnectionId, code: CloseCode) -> None:
        """Take note that presence itself has ended a connection, if it is one that is expected or here."""
        if connection in self._expected:
            self._ended[connection] = code

    def ended_with(self, session: Session) -> CloseCode | None:
        """Why presence has ended this connection already, or None."""
        return self._ended.get(session.connection)

    def on_gone(self, connection: Connection) -> None:
        """Take note that a connection has ended and everything it said is answered."""
        session = connection.session
        if session is None:
            return
        self._connections.remove(session)
        metrics.session_closed(connection.close_code)
        _log.info(
            "session ended",
            extra={
                "user": session.user,
                "session": session.session,
                "code": connection.close_code,
                "seconds": round(connection.seconds_open, 3),
            },
        )
        self._tasks.create_task(self.depart(session, connection.close_code))

    async def forget(self, session: Session) -> CloseCode | None:
        """Deliver nothing more to a session, and expect nothing; returns why presence ended it, if it did."""
        self._expected.discard(session.connection)
        await self._delivery.drop(session)
        return self._ended.pop(session.connection, None)

    async def depart(self, session: Session, close_code: int) -> None:
        """Forget a session, and tell presence until it has answered."""
        if await self.forget(session) is CloseCode.REPLACED:
            return  # another connection has the user; otherwise this one may have been registered since
        ending = session.ending(close_code)
        while True:
            with (
                bug_guard(_log, "session end untold: a bug", session=session.session),
                contextlib.suppress(NoAnswer),
            ):
                await self._presence.ask(ending, DRAINING_PATIENCE_S if self.draining else PATIENCE_S)
                return
            if self.draining:  # and the lease, not renewed any more, ends what is left
                _log.warning("session end untold: no answer", extra={"session": session.session})
                return
            await asyncio.sleep(self._retry_s)

    async def drain(self, how: Drain) -> None:
        """Send every client away, as gently as time allows: first the advice, then the close, spread out.

        Returns when no client is connected any more.
        """
        self.draining = True
        metrics.DRAINING.set(1)
        await asyncio.sleep(how.balancer_s)
        _log.info("draining", extra={"connections": len(self._connections)})
        told = len(self._connections)
        spread_ms = int(how.spread_s * 1000)
        for connection in self._connections:
            if connection.session is not None:
                advice = connection.session.reconnecting(after_ms=0, jitter_ms=spread_ms)
                self._notices.send(connection.session, advice)
        await self._notices.all_sent()
        with contextlib.suppress(BrokerAway, NoAnswer):
            await self._delivery.settled()  # what was stored just now has been pushed then
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(how.spread_s):
                await self._connections.emptied()
        staying = list(self._connections)
        metrics.DRAINED.labels("left").inc(max(0, told - len(staying)))
        for connection in staying:
            connection.close(CloseCode.SERVICE_RESTART)
            metrics.DRAINED.labels("closed").inc()
            await asyncio.sleep(how.spread_s / len(staying))
        await self._connections.emptied()
