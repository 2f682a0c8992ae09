"""What presence may say to a gateway unasked, and what is done when presence has forgotten its sessions.

Presence closes connections, asks whether the gateway is alive, and, once it has ended or lost the gateway's
sessions, does not know them any more: then they are registered again, and no client has to reconnect.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final, Protocol

from gateway.client.connection import Connection
from gateway.client.session import Session
from gateway.delivery.connections import Connections
from gateway.sessions.departures import Departures
from gateway.sessions.presence import Presence
from tieline import metrics
from tieline.runtime.broker import BrokerAway
from tieline.runtime.message import Message
from tieline.runtime.patience import PATIENCE_S
from tieline.runtime.requests import NoAnswer
from tieline.runtime.unreadable import Unreadable
from tieline.wire.checks import UNREADABLE
from tieline.wire.codes import CloseCode
from tieline.wire.ids import GatewayId, RoomId
from tieline.wire.internal import codec
from tieline.wire.internal.answers import Done, Outdated, Refused, SessionGone
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.subjects import Subjects

AT_ONCE: Final = 32
"""Sessions that are registered again side by side: presence has other gateways to answer meanwhile."""

LEASE_S: Final = 0.25
"""Before presence is asked again which does not know of this gateway's lease: it is about to be renewed."""

_log = logging.getLogger(__name__)


class Sender(Protocol):
    """What answers need of the broker."""

    def send(self, subject: str, payload: bytes) -> None:
        """Send one message.

        Raises:
            BrokerAway: not sent.
        """
        ...


class Registrations:
    """Keeps presence and the sessions of one gateway in agreement. Tasks belong to the given group."""

    def __init__(
        self,
        *,
        gateway: GatewayId,
        subjects: Subjects,
        broker: Sender,
        presence: Presence,
        connections: Connections,
        departures: Departures,
        tasks: asyncio.TaskGroup,
        on_unknown_rooms: Callable[[Session, tuple[RoomId, ...]], None] = lambda _session, _rooms: None,
    ) -> None:
        """Take also what is told of rooms in which presence says that a session is, and which it lacks."""
        self._on_unknown_rooms = on_unknown_rooms
        self._gateway = gateway
        self._is_presences = subjects.reply_to("presence")
        self._unreadable = Unreadable(_log)
        self._broker = broker
        self._presence = presence
        self._connections = connections
        self._departures = departures
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()

    def on_close(self, message: Message) -> None:
        """Close a connection whose session presence has ended, or given to another connection."""
        try:
            order = codec.decode_close_session(message.data)
        except UNREADABLE as error:
            self._unreadable.note("close", error)
            return
        code = order.close_code
        self._departures.note_ended(order.connection, code)
        connection = self._connections.get(order.connection)
        if connection is not None:
            connection.close(code)
        if self._is_presences(message.reply):  # it waits until that is done
            with contextlib.suppress(BrokerAway):  # it asks again
                self._broker.send(message.reply, b"closed")

    def on_alive(self, message: Message) -> None:
        """Answer presence, which has not been told for the length of a lease that this gateway is alive.

        Only there: the answer is published with this gateway's rights.
        """
        if not self._is_presences(message.reply):
            self._unreadable.note("alive", message.reply)
            return
        try:
            self._broker.send(message.reply, b"alive")
        except BrokerAway:
            _log.warning("could not say that this gateway is alive: broker away")

    def on_lease_lost(self) -> None:
        """Register every session again: presence may have ended or forgotten them."""
        self._tasks.create_task(self._register_all())

    async def _register_all(self) -> None:
        slots = asyncio.Semaphore(AT_ONCE)

        async def register(connection: Connection, session: Session) -> None:
            async with slots:
                reply = await self.register(session)
            if reply is not None:
                connection.close(CloseCode.REPLACED if reply.replaced else CloseCode.BROKER_LOST)

        async with asyncio.TaskGroup() as registering:
            for connection in self._connections:
                if connection.session is not None:
                    registering.create_task(register(connection, connection.session))
        _log.warning("registered all sessions again", extra={"connections": len(self._connections)})

    async def register(self, session: Session, patience_s: float = PATIENCE_S) -> SessionGone | None:
        """Register one session again; returns why that cannot be, or None, also when it takes longer."""
        connection = self._connections.get(session.connection)
        if self._departures.ended_with(session) is not None or connection is None:
            return None  # it is closing, or has closed: what it asked last must not bring it back
        try:
            reply = await self._ask(session, patience_s)
        except NoAnswer:
            return None  # what is asked next says so, too
        finally:
            if self._connections.get(session.connection) is None:
                # It has gone meanwhile, and presence may have been told so too early for that to count.
                await self._departures.depart(session, connection.close_code)
        if isinstance(reply, Refused):  # presence does not take its token, which may have ended
            return SessionGone(replaced=False)
        metrics.SESSIONS_REGISTERED_AGAIN.inc()
        if isinstance(reply, Done) and reply.also_in:
            self._on_unknown_rooms(session, reply.also_in)
        return reply if isinstance(reply, SessionGone) else None

    async def _ask(self, session: Session, patience_s: float) -> PresenceReply:
        """Ask presence, and anew while that is outdated, because something else was carried out in between.

        Raises:
            NoAnswer: presence does not answer, or does not know of this gateway's lease for too long.
        """
        until = self._loop.time() + patience_s
        while True:
            number = session.numbering.next()
            reply = await self._presence.ask(
                session.registration(self._gateway, self._presence.revision_of(session.user), number),
                max(0.0, until - self._loop.time()),
            )
            if not isinstance(reply, Outdated):
                return reply
            if self._loop.time() >= until:
                raise NoAnswer("the registration is outdated, again and again")
            if not reply.revision:
                await asyncio.sleep(LEASE_S)
