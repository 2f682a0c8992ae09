"""The live sessions of this gateway: admitted, begun with presence, served, ended.

It is the house around every `connection`: it asks routers and presence on their behalf and hands them what
is published for their users.
"""

import asyncio
import contextlib
import logging
import secrets
import time
from typing import Final

from nats.errors import Error as NatsError
from websockets.http11 import Request, Response

from gateway.admission import Admitted, judge
from gateway.clocks import Pace
from gateway.connection import Connection
from gateway.session import AskPresence, AskRouter, Session
from gateway.tokens import Tokens
from tieline.runtime import metrics
from tieline.runtime.broker import Broker, Msg, Subscription
from tieline.runtime.requests import NoAnswer, Requests
from tieline.wire import envelope, internal
from tieline.wire.codes import CloseCode, Denial
from tieline.wire.envelope import MAX_MESSAGE_BYTES, Welcome
from tieline.wire.ids import GatewayId, ResumeToken, RoomId, SessionId
from tieline.wire.internal import OPERATIONS, EndSession, Opened, OpenSession
from tieline.wire.subjects import Subjects

OPENING_PATIENCE_S: Final = 4.0
"""For presence to begin a session: what the 5 s of the upgrade leave after the request has been read."""

ENDING_RETRY_S: Final = 1.0
"""Between attempts to tell presence that a session has ended; it is tried for as long as this gateway lives,
for as long as it keeps its lease nobody else will."""

_log = logging.getLogger(__name__)


class Registry:
    """Every client of one gateway. Tasks belong to the given group."""

    def __init__(
        self,
        broker: Broker,
        requests: Requests,
        subjects: Subjects,
        tasks: asyncio.TaskGroup,
        tokens: Tokens,
        gateway: GatewayId,
        max_connections: int,
        resume_window_s: float,
        pace: Pace,
    ) -> None:
        self._broker = broker
        self._requests = requests
        self._subjects = subjects
        self._tasks = tasks
        self._tokens = tokens
        self._gateway = gateway
        self._max_connections = max_connections
        self._resume_window_s = resume_window_s
        self.pace = pace
        self._arriving = 0
        self._live: dict[SessionId, Connection] = {}
        self._subscriptions: dict[SessionId, Subscription] = {}
        self._ended: dict[SessionId, CloseCode] = {}
        """Sessions that presence has ended while they are connected here, or connecting."""
        self._nobody = asyncio.Event()
        self._nobody.set()
        self.draining = False

    def __len__(self) -> int:
        return len(self._live)

    # What connections ask ---------------------------------------------------------------------------

    def arrived(self, connection: Connection, request: Request, response: Response) -> None:
        """See `House.arrived`."""
        verdict = judge(request, response, self._tokens, time.time())
        if isinstance(verdict, Denial):
            connection.deny(verdict)
        elif self.draining:
            connection.deny(Denial.DRAINING)
        elif self._max_connections and len(self._live) + self._arriving >= self._max_connections:
            connection.deny(Denial.FULL)
        elif not self._broker.is_connected:
            connection.deny(Denial.BROKER_UNAVAILABLE)
        else:
            self._tasks.create_task(self._open(connection, response, verdict))

    def ask_router(self, connection: Connection, ask: AskRouter) -> None:
        """See `House.ask_router`."""

        def done(reply: Msg | None) -> None:
            answer = None if reply is None else internal.decode_router_reply(reply.data)
            connection.router_answered(ask, answer)

        self._requests.begin(self._subjects.signal(ask.cmd), internal.encode(ask.signal), done)

    def ask_presence(self, connection: Connection, ask: AskPresence) -> None:
        """See `House.ask_presence`."""

        def done(reply: Msg | None) -> None:
            answer = None if reply is None else internal.decode_presence_reply(reply.data)
            connection.presence_answered(ask, answer)

        op = OPERATIONS[type(ask.request)]
        self._requests.begin(self._subjects.presence(op), internal.encode(ask.request), done)

    def gone(self, connection: Connection) -> None:
        """See `House.gone`."""
        session = connection.session
        if session is None:
            return
        self._live.pop(session.session, None)
        if not self._live:
            self._nobody.set()
        metrics.CONNECTIONS.set(len(self._live))
        metrics.SESSIONS_CLOSED.labels(str(connection.close_code)).inc()
        _log.info(
            "session ended",
            extra={
                "user": session.user,
                "session": session.session,
                "code": connection.close_code,
                "seconds": round(asyncio.get_running_loop().time() - connection.opened_at, 3),
            },
        )
        self._tasks.create_task(self._end(session))

    # Beginning and ending ---------------------------------------------------------------------------

    async def _open(self, connection: Connection, response: Response, admitted: Admitted) -> None:
        """Begin a session: listen for its frames first, so that none is missed once presence knows it."""
        claims = admitted.claims
        session = Session(SessionId(secrets.token_hex(12)), claims, admitted.acks)
        self._arriving += 1
        try:
            await self._listen(connection, session)
            rooms = await self._begin(session)
        except (NoAnswer, NatsError) as error:
            _log.warning("session not opened", extra={"user": session.user, "error": repr(error)})
            connection.deny(Denial.BROKER_UNAVAILABLE)
            await self._end(session)
            return
        finally:
            self._arriving -= 1
        if self.draining:
            connection.deny(Denial.DRAINING)
            await self._end(session)
            return
        if connection.is_closing:
            connection.abandon()
            await self._end(session)
            return
        self._live[session.session] = connection
        self._nobody.clear()
        metrics.CONNECTIONS.set(len(self._live))
        metrics.SESSIONS_OPENED.inc()
        connection.welcome(response, session, self._welcome(session, rooms))
        _log.info("session opened", extra={"user": session.user, "session": session.session})
        ended = self._ended.get(session.session)
        if ended is not None:  # replaced before it was welcome: only a close code tells it not to come back
            connection.close(ended)

    async def _listen(self, connection: Connection, session: Session) -> None:
        async def deliver(message: Msg) -> None:
            connection.deliver(message.data)

        subject = self._subjects.user(session.user, session.session)
        self._subscriptions[session.session] = await self._broker.subscribe(subject, deliver)

    async def _begin(self, session: Session) -> tuple[RoomId, ...]:
        claims = session.claims
        join = tuple(RoomId(room) for room in claims.join)
        ask = OpenSession(session.user, session.session, self._gateway, claims.voice, join)
        answer = await self._requests.ask(
            self._subjects.presence(OPERATIONS[OpenSession]), internal.encode(ask), OPENING_PATIENCE_S
        )
        reply = internal.decode_presence_reply(answer)
        if not isinstance(reply, Opened):
            raise NoAnswer(f"presence answered with {type(reply).__name__}")
        return reply.rooms

    def _welcome(self, session: Session, rooms: tuple[RoomId, ...]) -> bytes:
        secret = ResumeToken(secrets.token_urlsafe(24))
        data = Welcome(
            session.user,
            session.session,
            secret,
            resumed=False,
            rooms=rooms,
            resume_window=_number(self._resume_window_s),
            ping_interval=_number(self.pace.ping_interval_s),
            max_message_bytes=MAX_MESSAGE_BYTES,
        )
        return envelope.success("", "WELCOME", data)

    async def _end(self, session: Session) -> None:
        """Stop listening, and tell presence, until it has heard."""
        subscription = self._subscriptions.pop(session.session, None)
        if subscription is not None:
            with contextlib.suppress(NatsError):  # without a broker there is nothing to unsubscribe from
                await subscription.unsubscribe()
        if self._ended.pop(session.session, None) is not None:  # it was presence that ended it
            return
        ask = internal.encode(EndSession(session.user, session.session, self._gateway))
        while True:
            try:
                await self._requests.ask(self._subjects.presence(OPERATIONS[EndSession]), ask)
            except NoAnswer:
                await asyncio.sleep(ENDING_RETRY_S)
            else:
                return

    # What the cluster says --------------------------------------------------------------------------

    async def on_close(self, message: Msg) -> None:
        """Close the connection of a session that presence has ended."""
        order = internal.decode_close_session(message.data)
        code = CloseCode(order.code)
        connection = self._live.get(order.session)
        if order.session in self._subscriptions:
            self._ended[order.session] = code
        if connection is not None:
            connection.close(code)

    def close_all(self, code: CloseCode) -> None:
        """Close every connection."""
        for connection in list(self._live.values()):
            connection.close(code)

    async def emptied(self) -> None:
        """Wait until no client is connected any more."""
        await self._nobody.wait()


def _number(seconds: float) -> int | float:
    """Show whole seconds without a fraction."""
    return int(seconds) if seconds == int(seconds) else seconds
