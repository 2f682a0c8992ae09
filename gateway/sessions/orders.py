"""What the backend wants of a session that is here, told by presence: that it is in a room from now on.

It joins as if its client had asked, so that all that follows from a JOIN follows. The client is told, and
presence is answered what came of it. While that is not known, presence may have made it a member already, and
nobody need order it again: so it is tried until it is known, or the connection is gone. What presence says
otherwise unasked is in `registrations`.
"""

import asyncio
import functools
import logging
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from gateway.client.actions import RoomListing
from gateway.client.events import put_in
from gateway.client.session import Session
from gateway.delivery.connections import Connections
from gateway.rooms.memberships import Answer, Ask
from gateway.sessions.registrations import Sender
from tieline.runtime.broker import BrokerAway
from tieline.runtime.guard import bug_guard
from tieline.runtime.message import Message
from tieline.runtime.unreadable import Unreadable
from tieline.wire.checks import UNREADABLE
from tieline.wire.ids import RoomId
from tieline.wire.internal import codec
from tieline.wire.internal.answers import Refused, SessionGone
from tieline.wire.internal.backend import JoinOrder
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.internal.rooms import RoomJoined, RoomMembers
from tieline.wire.subjects import Subjects

RETRY_S: Final = 1.0
"""Between attempts to carry out an order of which it is not known what came."""

_log = logging.getLogger(__name__)


class Told(Protocol):
    """Where a client is told; `gateway.sessions.notices.Notices` is one."""

    def send(self, session: Session, event: bytes, is_wanted: Callable[[], bool] = ...) -> None:
        """Send a session an event the way that those from others come, again while it `is_wanted`."""
        ...


class PuttingIn(Protocol):
    """What puts a session into a room; `gateway.rooms.memberships.Memberships` is one."""

    async def put_in(self, session: Session, wanted: JoinOrder, asks: Ask) -> Answer:
        """Make a client a member without its asking; None: that cannot be known now."""
        ...


class Orders:
    """Carries out what is wanted of the sessions of one gateway. Tasks belong to the given group."""

    def __init__(
        self,
        *,
        subjects: Subjects,
        broker: Sender,
        connections: Connections,
        memberships: PuttingIn,
        asks: Ask,
        notices: Told,
        tasks: asyncio.TaskGroup,
        retry_s: float = RETRY_S,
    ) -> None:
        self._is_presences = subjects.reply_to("presence")
        self._unreadable = Unreadable(_log)
        self._broker = broker
        self._connections = connections
        self._memberships = memberships
        self._asks = asks
        self._notices = notices
        self._tasks = tasks
        self._retry_s = retry_s
        self._unknown: set[JoinOrder] = set()
        """Those of which it is not known what came."""

    def on_join(self, message: Message) -> None:
        """Make a session a member of a room, and answer presence, there alone."""
        if not self._is_presences(message.reply):
            self._unreadable.note("join", message.reply)
            return
        try:
            order = codec.decode_join_order(message.data)
        except UNREADABLE as error:
            self._unreadable.note("join", error)
            return
        self._tasks.create_task(self._carry_out(order, message.reply))

    def take_up(self, session: Session, rooms: Iterable[RoomId]) -> None:
        """Have a session be in rooms in which presence says that it is by the backend's word."""
        for room in rooms:
            order = JoinOrder(session.user, room, session.session)
            self._tasks.create_task(self._insist(order))

    async def _insist(self, order: JoinOrder) -> None:
        """Carry an order out until it is known what came of it."""
        if order in self._unknown:
            return
        self._unknown.add(order)
        try:
            with bug_guard(_log, "order not carried out: a bug"):
                while True:
                    if await self._joined(order) is not None:
                        return
                    await asyncio.sleep(self._retry_s)
        finally:
            self._unknown.discard(order)

    async def _carry_out(self, order: JoinOrder, asker: str) -> None:
        with bug_guard(_log, "order not carried out: a bug"):
            answer = await self._joined(order)
            if answer is None:  # presence may ask again, and may not
                await self._insist(order)
                return
            try:
                self._broker.send(asker, codec.encode(answer))
            except BrokerAway:
                _log.warning("could not say what came of an order: broker away")

    async def _joined(self, order: JoinOrder) -> PresenceReply | None:
        """Have a session join; returns what presence is told, None: that is not known yet."""
        session = self._session_of(order)
        if session is None or session.user != order.user:
            return SessionGone(replaced=False)
        reply = await self._memberships.put_in(session, order, self._asks)
        match reply:
            case RoomListing(joined_at=since):
                session.rooms[order.room] = since or 0
            case RoomMembers(members=members):
                joined_at = [one.joined_at for one in members if one.user_id == order.user]
                session.rooms[order.room] = joined_at[0] if joined_at else 0
            case RoomJoined() | Refused() | SessionGone():
                return reply
            case _:
                return None
        if not session.batches:  # which is told by a list
            is_here = functools.partial(self._is_in, order)
            self._notices.send(session, put_in(session, order.room), is_here)
        return RoomJoined(0)

    def _is_in(self, order: JoinOrder) -> bool:
        """Whether a session is still here, and in the room of an order."""
        session = self._session_of(order)
        return session is not None and order.room in session.rooms

    def _session_of(self, order: JoinOrder) -> Session | None:
        connection = self._connections.of(order.session)
        return None if connection is None else connection.session
