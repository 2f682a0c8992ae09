"""The house around every connection: admits it, asks the cluster for it, and keeps it whole when parts fail.

When presence has forgotten the sessions of this gateway, they are registered again.
"""

import asyncio
import functools
import logging
import time

from websockets.http11 import Request, Response

from gateway.admission.handshake import Admission, Admitted, Now, Pending
from gateway.client.connection import Connection
from gateway.client.keepalive import Pace
from gateway.client.session import AskKeys, AskPresence, AskRouter, Session
from gateway.delivery.connections import Live
from gateway.sessions.arrivals import AT_ONCE, Arrivals
from gateway.sessions.departures import Departures
from gateway.sessions.signals import Signals
from tieline import metrics
from tieline.runtime.broker import Broker, BrokerAway, Message
from tieline.runtime.requests import NoAnswer, Requests
from tieline.wire import internal
from tieline.wire.codes import CloseCode, HandshakeError
from tieline.wire.ids import GatewayId
from tieline.wire.internal import OPERATIONS, PresenceReply, Register, RouterReply, SessionGone
from tieline.wire.subjects import Subjects

_log = logging.getLogger(__name__)


class Registry:
    """Every client of one gateway. Tasks belong to the given group."""

    def __init__(
        self,
        broker: Broker,
        requests: Requests,
        signals: Signals,
        subjects: Subjects,
        tasks: asyncio.TaskGroup,
        admission: Admission,
        gateway: GatewayId,
        live: Live,
        arrivals: Arrivals,
        departures: Departures,
        pace: Pace,
        max_connections: int,
    ) -> None:
        self.pace = pace
        self._broker = broker
        self._requests = requests
        self._signals = signals
        self._subjects = subjects
        self._tasks = tasks
        self._admission = admission
        self._gateway = gateway
        self._live = live
        self._arrivals = arrivals
        self._departures = departures
        self._max_connections = max_connections

    # What connections ask ---------------------------------------------------------------------------

    def arrived(self, connection: Connection, request: Request, response: Response) -> None:
        """See `House.arrived`."""
        verdict = self._admission.judge(request, response, connection.peer, _now())
        if isinstance(verdict, Pending):
            self._tasks.create_task(self._settle(connection, request, response))
        else:
            self._decide(connection, response, verdict)

    async def _settle(self, connection: Connection, request: Request, response: Response) -> None:
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
        elif not self._broker.is_connected:
            connection.deny(HandshakeError.BROKER_UNAVAILABLE)
        else:
            self._tasks.create_task(self._arrivals.let_in(connection, response, verdict))

    def _is_full(self) -> bool:
        here = len(self._live) + self._arrivals.under_way
        return 0 < self._max_connections <= here

    def ask_router(self, connection: Connection, ask: AskRouter) -> None:
        """See `House.ask_router`."""

        def heard(reply: RouterReply | None) -> None:
            if isinstance(reply, SessionGone) and not reply.replaced:
                self._tasks.create_task(self._ask_router_again(connection, ask))
            else:
                connection.turns.router_answered(ask, reply)

        self._signals.ask(ask.cmd, ask.signal, heard)

    async def _ask_router_again(self, connection: Connection, ask: AskRouter) -> None:
        """Ask once more after registering a session that presence has forgotten."""
        gone = await self._register(connection)
        if gone is not None:
            connection.turns.router_answered(ask, gone)
        else:
            self._signals.ask(ask.cmd, ask.signal, functools.partial(connection.turns.router_answered, ask))

    def ask_keys(self, connection: Connection, ask: AskKeys) -> None:
        """See `House.ask_keys`."""
        self._tasks.create_task(self._ask_keys(connection, ask))

    async def _ask_keys(self, connection: Connection, ask: AskKeys) -> None:
        connection.turns.keys_answered(ask, await self._admission.refresh_keys())

    def ask_presence(self, connection: Connection, ask: AskPresence) -> None:
        """See `House.ask_presence`."""

        def done(message: Message | None) -> None:
            reply = None if message is None else internal.decode_presence_reply(message.data)
            if isinstance(reply, SessionGone) and not reply.replaced:
                self._tasks.create_task(self._ask_presence_again(connection, ask))
            else:
                connection.turns.presence_answered(ask, reply)

        op = OPERATIONS[type(ask.request)]
        self._requests.begin(self._subjects.presence(op), internal.encode(ask.request), done)

    async def _ask_presence_again(self, connection: Connection, ask: AskPresence) -> None:
        reply: PresenceReply | None = await self._register(connection)
        if reply is None:
            try:
                subject = self._subjects.presence(OPERATIONS[type(ask.request)])
                answer = await self._requests.ask(subject, internal.encode(ask.request))
                reply = internal.decode_presence_reply(answer)
            except NoAnswer:
                reply = None
        connection.turns.presence_answered(ask, reply)

    def tell(self, session: Session, event: bytes) -> None:
        """See `House.tell`."""
        self._departures.tell(session, event)

    def gone(self, connection: Connection) -> None:
        """See `House.gone`."""
        session = connection.session
        if session is None:
            return
        self._live.remove(session)
        metrics.session_closed(connection.close_code)
        _log.info(
            "session ended",
            extra={
                "user": session.user,
                "session": session.session,
                "code": connection.close_code,
                "seconds": round(asyncio.get_running_loop().time() - connection.opened_at, 3),
            },
        )
        self._tasks.create_task(self._departures.depart(session, connection.close_code))

    # What the cluster says --------------------------------------------------------------------------

    def on_close(self, message: Message) -> None:
        """Close a connection whose session presence has ended, or given to another connection."""
        order = internal.decode_close_session(message.data)
        code = CloseCode(order.code)
        self._departures.note_ended(order.connection, code)
        connection = self._live.get(order.connection)
        if connection is not None:
            connection.close(code)

    def on_alive(self, message: Message) -> None:
        """Answer presence, which has not heard of this gateway for a lease."""
        try:
            self._broker.send(message.reply, b"alive")
        except BrokerAway:
            _log.warning("could not say that this gateway is alive: broker away")

    def lease_lost(self) -> None:
        """Register every session again: presence may have ended or forgotten them."""
        self._tasks.create_task(self._register_all())

    async def _register_all(self) -> None:
        turns = asyncio.Semaphore(AT_ONCE)

        async def register(connection: Connection) -> None:
            async with turns:
                reply = await self._register(connection)
            if reply is not None:
                connection.close(CloseCode.REPLACED if reply.replaced else CloseCode.BROKER_LOST)

        async with asyncio.TaskGroup() as registering:
            for connection in self._live:
                registering.create_task(register(connection))
        _log.warning("registered all sessions again", extra={"connections": len(self._live)})

    async def _register(self, connection: Connection) -> SessionGone | None:
        """Register one session again; returns why that cannot be, or None."""
        session = connection.session
        assert session is not None
        if self._departures.ended_with(session) is not None or self._live.get(session.connection) is None:
            return None  # it is closing, or has closed: what it asked last must not bring it back
        ask = internal.encode(session.registration(self._gateway))
        try:
            answer = await self._requests.ask(self._subjects.presence(OPERATIONS[Register]), ask)
        except NoAnswer:
            return None  # what is asked next says so, too
        finally:
            if self._live.get(session.connection) is None:  # its end may have been told too early to count
                await self._departures.depart(session, connection.close_code)
        reply = internal.decode_presence_reply(answer)
        metrics.SESSIONS_REGISTERED_AGAIN.inc()
        return reply if isinstance(reply, SessionGone) else None


def _now() -> Now:
    return Now(time.time(), time.monotonic())
