"""Let clients go: tell presence that a connection has ended, and empty the gateway before it stops.

A connection that was lost, and may be resumed, is told of only when nobody has resumed it for a while: then a
client that is back within seconds was never away, for presence as for the others in its rooms.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

from gateway.client.connection import Connection
from gateway.client.events import reconnecting
from gateway.client.session import Session
from gateway.delivery.connections import Connections
from gateway.limits.users import Users
from gateway.sessions.connection_names import KEY_BYTES, ConnectionNames
from gateway.sessions.endings import Endings
from gateway.sessions.notices import Notices
from gateway.sessions.presence import Presence
from tieline import metrics
from tieline.runtime.broker import BrokerAway
from tieline.runtime.guard import bug_guard
from tieline.runtime.message import Message
from tieline.runtime.patience import PATIENCE_S
from tieline.runtime.requests import NoAnswer
from tieline.wire.checks import UNREADABLE
from tieline.wire.codes import CloseCode
from tieline.wire.ids import ConnectionId
from tieline.wire.internal import codec
from tieline.wire.internal.sessions import EndSession, Opened

ENDING_RETRY_S: Final = 1.0
"""Between attempts to tell presence that a connection has ended. They go on for as long as this gateway runs:
as long as it keeps its lease, no other process tells presence."""

DRAINING_PATIENCE_S: Final = 2.0
"""For presence to answer that it knows of an end while this gateway drains: less than usual, for a process
that stops has 10 s in all beside its drain. What presence was not told, it learns when the lease runs out."""

ADVISING_S: Final = 2.5
"""For the advice to reach the clients while this gateway drains; without an answer it has not."""

EMPTYING_S: Final = 4.5
"""For those who were closed to be gone, while this gateway drains: the closing handshake takes 3 s at most,
and what they asked last up to 5 s. Together with the two above that leaves a second of the 10 s."""

CLOSED_AT_ONCE: Final = 32
"""Clients that a drain closes in one iteration of the loop at most, when it is behind its time: one in each
takes thousands of them longer than the spread, and the process has only so much time to end."""

LONGEST_DELAY: Final = 5
"""Times the delay at most, before presence is told of a lost connection while crowds come back: half the
resume window, of which the delay is a tenth at most."""

_log = logging.getLogger(__name__)


OnClosed = Callable[[Session, Connection], None]


UNTOLD_DEBT_S: Final = 5.0
"""Seconds of a user's budget that may be used up without presence being told at once: a page that is reloaded
in the middle of a call has used up less. Who has used up more owes it on every gateway without delay."""


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
        on_closed: OnClosed = lambda _session, _connection: None,
        away_delay_s: float = 0.0,
        users: Users | None = None,
        names: ConnectionNames | None = None,
    ) -> None:
        """Take also what is told of each connection that had a session and has ended, and what keeps budgets.

        A lost connection may be resumed for `away_delay_s` before presence is told that it is lost.
        """
        self._on_closed = on_closed
        self.names = names or ConnectionNames(secrets.token_bytes(KEY_BYTES))
        self._users = users
        self._endings = Endings(presence, tasks)
        self._away_delay_s = away_delay_s
        self._hurry = asyncio.Event()
        self._expects_until = 0.0
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

    def expect_others(self, within_s: float) -> None:
        """Take note that clients which could not be let in now may come back within so many seconds.

        Until then lost connections are not told: the others would hear that those have gone who are on their
        way back, each of them of hundreds, which would be in their way.
        """
        self._expects_until = max(self._expects_until, asyncio.get_running_loop().time() + within_s)

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
        self._on_closed(session, connection)
        if self._users is not None:  # or who was here for long would find nothing used up when it is back
            self._users.keep(session.budget, asyncio.get_running_loop().time())
        _log.info(
            "session ended",
            extra={
                "user": session.user,
                "address": connection.peer,
                "session": session.session,
                "code": connection.close_code,
                "seconds": round(connection.seconds_open, 3),
            },
        )
        self.begin_departure(session, connection.close_code)

    def on_late_answer(self, message: Message) -> None:
        """End a connection that presence has begun so late that it is not known here any more.

        It has no end yet, and nobody else would tell presence of one.
        """
        if not codec.is_opened(message.data):
            return
        try:
            opened = codec.decode_presence_reply(message.data)
        except UNREADABLE:  # nobody waits for it
            return
        if not isinstance(opened, Opened) or not opened.asked:
            return
        connection = self.names.of(opened.asked)
        if connection not in self._expected:
            _log.warning("a session began too late, and is ended", extra={"session": opened.session})
            ending = EndSession(opened.user, connection, resumable=opened.resumed, asked=opened.revision)
            self._tasks.create_task(self._undo(ending))

    async def _undo(self, ending: EndSession) -> None:
        while not self.draining:
            with contextlib.suppress(NoAnswer):
                await self._endings.tell(ending, PATIENCE_S)
                return
            await asyncio.sleep(self._retry_s)

    def begin_departure(self, session: Session, close_code: int) -> None:
        """Have a session `depart`: nobody waits for presence to be told, which may take any time."""
        self._tasks.create_task(self.depart(session, close_code))

    async def forget(self, session: Session) -> CloseCode | None:
        """Deliver nothing more to a session, and expect nothing; returns why presence ended it, if it did."""
        await self._delivery.drop(session)
        return self._unexpect(session)

    def _unexpect(self, session: Session) -> CloseCode | None:
        self._expected.discard(session.connection)
        return self._ended.pop(session.connection, None)

    async def depart(self, session: Session, close_code: int) -> None:
        """Forget a session, and tell presence until it has answered.

        Of a session that another connection has, presence is told only what its user has used up.
        """
        lost_at = asyncio.get_running_loop().time()
        ending = session.ending(close_code, lost_at)
        waits = ending.resumable and self._away_delay_s > 0 and ending.owed_s <= UNTOLD_DEBT_S
        with bug_guard(_log, "delivery not ended: a bug", session=session.session):
            await self._delivery.drop(session)
        if waits:
            await self._linger(lost_at)
        try:
            await self._tell(session, ending, lost_at if waits else None)
        finally:
            self._unexpect(session)

    async def _linger(self, lost_at: float) -> None:
        """Give a client that was lost at this time a while to come back, unless this gateway drains."""
        now = asyncio.get_running_loop().time
        due, latest = lost_at + self._away_delay_s, lost_at + LONGEST_DELAY * self._away_delay_s
        while now() < due:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._hurry.wait()
                    return
            due = min(self._expects_until, latest)

    async def _tell(self, session: Session, ending: EndSession, lost_at: float | None) -> None:
        """Tell presence until it has answered.

        Of a session that another connection has, presence is told only what its user has used up. What
        presence itself has ended otherwise may have been registered since, and is told.
        """

        def is_due() -> bool:
            return ending.spent_s > 0 or self._ended.get(session.connection) is not CloseCode.REPLACED

        while is_due():
            if lost_at is not None:
                lost_for_s = asyncio.get_running_loop().time() - lost_at
                ending = msgspec.structs.replace(ending, lost_for_s=lost_for_s)
            with (
                bug_guard(_log, "session end untold: a bug", session=session.session),
                contextlib.suppress(NoAnswer),
            ):
                patience_s = DRAINING_PATIENCE_S if self.draining else PATIENCE_S
                await self._endings.tell(ending, patience_s, is_due)
                return
            if self.draining:  # and the lease, not renewed any more, ends what is left
                _log.warning("session end untold: no answer", extra={"session": session.session})
                return
            await asyncio.sleep(self._retry_s)

    async def drain(self, how: Drain) -> None:
        """Send every client away, as gently as time allows: first the advice, then the close, spread out.

        Returns when no client is connected any more, or those that are will have no answer.
        """
        self.draining = True
        self._hurry.set()
        metrics.DRAINING.set(1)
        await asyncio.sleep(how.balancer_s)
        _log.info("draining", extra={"connections": len(self._connections)})
        told = len(self._connections)
        spread_ms = int(how.spread_s * 1000)
        for connection in self._connections:
            if connection.session is not None:
                advice = reconnecting(connection.session, after_ms=0, jitter_ms=spread_ms)
                self._notices.send(connection.session, advice)
        with (
            bug_guard(_log, "drain goes on: a bug"),
            contextlib.suppress(BrokerAway, NoAnswer, TimeoutError),
        ):
            async with asyncio.timeout(ADVISING_S):
                await self._notices.all_sent()
                await self._delivery.settled()  # what was stored just now has been pushed then
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(how.spread_s):
                await self._connections.emptied()
        staying = list(self._connections)
        metrics.DRAINED.labels("left").inc(max(0, told - len(staying)))
        await self._close(staying, how.spread_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(EMPTYING_S):
                await self._connections.emptied()

    async def _close(self, staying: Sequence[Connection], spread_s: float) -> None:
        """Close these, spread over so many seconds; several at a time if they would take longer."""
        time = asyncio.get_running_loop().time
        began = time()
        for number, connection in enumerate(staying, 1):
            connection.close(CloseCode.SERVICE_RESTART)
            metrics.DRAINED.labels("closed").inc()
            early_s = began + spread_s * number / len(staying) - time()
            if early_s > 0 or number % CLOSED_AT_ONCE == 0:
                await asyncio.sleep(max(0.0, early_s))
