"""What clients ask about rooms: to join, to leave, who is there. Presence decides who is a member.

Who the members are is known here as soon as one of them is here, and presence is not asked again. While
processes of an older version run, which write no logs, it is asked each time.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from nats.errors import Error as NatsError

from gateway.client.actions import AskPresence, RoomListing
from gateway.client.session import Session
from gateway.rooms.live_room import LiveRoom
from gateway.rooms.live_rooms import LiveRooms
from gateway.rooms.roster import Roster
from gateway.rooms.seats import Seat, Seats
from tieline.runtime.broker import BrokerAway
from tieline.runtime.requests import NoAnswer
from tieline.wire.codes import ErrorCode
from tieline.wire.ids import ConnectionId, RoomId
from tieline.wire.internal.answers import Done, Refused
from tieline.wire.internal.backend import JoinOrder
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.internal.rooms import JoinRoom, LeaveRoom, ListMembers, RoomJoined, RoomMembers

OLD_S: Final = 60.0
"""How long it is remembered that a process of an older version has answered: one of several answers now and
then."""

LISTS_AT_ONCE: Final = 8
"""Lists that presence is asked for at the same time: after a restart of gateways thousands want theirs, and
those who join and call meanwhile need presence, too."""

Ask = Callable[[Session, JoinRoom | LeaveRoom | ListMembers], Awaitable[PresenceReply | None]]
"""Ask presence on behalf of a session; None: there was no answer."""

Answer = PresenceReply | RoomListing | None

NOT_THERE: Final = Refused(ErrorCode.NOT_IN_SAME_ROOM.name)
"""What one is told that asks about a room, and was put out of it before it could be answered."""


class Memberships:
    """The seats of the clients of one gateway. `ask` is how presence is asked."""

    def __init__(self, rooms: LiveRooms) -> None:
        self._rooms = rooms
        self._loop = asyncio.get_running_loop()
        self._seats: dict[ConnectionId, Seats] = {}
        self._moving: dict[ConnectionId, asyncio.Future[None]] = {}
        """Who is joining or leaving a room: what its backend wants of it comes beside what it asks itself."""
        self._listing: dict[RoomId, asyncio.Lock] = {}
        """Rooms whose members are being asked for, once for all who want to know."""
        self._lists = asyncio.Semaphore(LISTS_AT_ONCE)
        self._old_until = 0.0

    def note_old_presence(self) -> None:
        """Take note that a process answers that writes no logs: what is known of rooms may be wrong."""
        self._old_until = self._loop.time() + OLD_S
        self._rooms.forget_rosters()

    def add(self, seats: Seats) -> None:
        """Take note of a connection that may have seats."""
        self._seats[seats.connection] = seats

    def has(self, seats: Seats) -> bool:
        """Whether a connection is still here."""
        return self._seats.get(seats.connection) is seats

    def drop(self, connection: ConnectionId) -> None:
        """Give all seats of a connection up, which is gone."""
        seats = self._seats.pop(connection, None)
        if seats is not None:
            up_to = seats.told_up_to
            for room, position in seats.leave_all():
                self._rooms.lose_member(room, seats.user, position, up_to)

    async def answer(self, session: Session, ask: AskPresence, asks: Ask) -> Answer:
        """Answer a client's JOIN, LEAVE or MEMBERS; None: it cannot be answered now."""
        try:
            match ask.request:
                case JoinRoom():
                    joining = functools.partial(self._join, session, ask, ask.request, asks)
                    return await self._in_turn(session.connection, joining)
                case LeaveRoom():
                    leaving = functools.partial(self._leave, session, ask.request, asks)
                    return await self._in_turn(session.connection, leaving)
                case ListMembers():
                    return await self._list(session, ask, ask.request, asks)
                case _:
                    raise TypeError(f"{type(ask.request).__name__} is not about a room")
        except (NoAnswer, BrokerAway, NatsError):
            return None

    async def _in_turn(self, connection: ConnectionId, move: Callable[[], Awaitable[Answer]]) -> Answer:
        """Let a client join or leave one room at a time: of two answers the older one may come last."""
        before = self._moving.get(connection)
        done = self._moving[connection] = self._loop.create_future()
        try:
            if before is not None:
                await asyncio.wait((before,))
            return await move()
        finally:
            done.set_result(None)
            if self._moving[connection] is done:
                del self._moving[connection]

    async def _join(self, session: Session, ask: AskPresence, request: JoinRoom, asks: Ask) -> Answer:
        seat = self._seat(session, request.room)
        # While a LEAVE that was given up may still be carried out, presence has to know that it is overtaken.
        known = self._known(request.room) if session.numbering.is_settled else None
        if seat is not None and not seat.is_ending and known is not None:
            return _listed(seat, known, ask)
        # Presence is asked at the same time, and its list may be older than the room is heard: what has
        # changed since is in what the log keeps and is read, which is a minute, and requests take seconds.
        self._rooms.begin(request.room)
        wanted = msgspec.structs.replace(request, hears=True, lists=self._known(request.room) is None)
        reply = await asks(session, wanted)
        room = await self._rooms.listen(request.room)
        seats = self._seats.get(session.connection)
        if seats is None:
            return reply  # the client has gone
        match reply:
            case RoomMembers():
                seats.enter(room, room.number)
                self.note_old_presence()
                return reply
            case RoomJoined(number=number, members=members):
                await self._rooms.reached(room, number)
                if members is not None and room.roster is None:
                    room.list_members(members)
                last = room.log.last_change(session.user)
                if last is not None and last.ends(session.session):
                    seats.put_out(room.name)
                    return NOT_THERE  # it was put out since
                if room.roster is not None and room.roster.joined_at(session.user) is None:
                    room.roster = None  # it is of a log that was lost
                seats.enter(room, room.number)
                return await self._listed_anew(room, session, ask, asks)
            case _:
                return reply

    async def put_in(self, session: Session, wanted: JoinOrder, asks: Ask) -> Answer:
        """Make a client a member without its asking; None: that cannot be known now.

        One that takes lists is told one, as of a room that it is in. Of one that is a member, and knows it,
        `RoomJoined` says so.
        """
        room = wanted.room
        request = JoinRoom(
            session.user,
            session.session,
            room,
            knows_too_many_rooms=True,
            is_ordered=True,
            order=wanted.number,
            once=wanted.once,
        )
        try:
            joining = functools.partial(self._put_in, session, request, asks)
            return await self._in_turn(session.connection, joining)
        except (NoAnswer, BrokerAway, NatsError):
            return None

    async def _put_in(self, session: Session, request: JoinRoom, asks: Ask) -> Answer:
        seat = self._seat(session, request.room)
        is_known = self._rooms.known(request.room) is not None
        if seat is not None and not seat.is_ending and is_known and request.room in session.rooms:
            return RoomJoined(0)
        reply = await self._join(session, AskPresence("", "JOIN", request.room, request), request, asks)
        seat = self._seat(session, request.room)
        if session.batches and seat is not None and isinstance(reply, RoomListing):
            seat.wait_for_list()
            seat.owner.tell()
        return reply

    def waiting(self, session: Session, room: RoomId) -> Seat | None:
        """Find the seat of a client that waits for the list of a room; None: it does not."""
        seats = self._seats.get(session.connection)
        seat = None if seats is None else seats.of(room)
        return seat if seat is not None and seat.waits_for_list else None

    async def _leave(self, session: Session, request: LeaveRoom, asks: Ask) -> Answer:
        reply = await asks(session, request)
        seats = self._seats.get(session.connection)
        if seats is not None and isinstance(reply, Done):
            seats.leave(request.room)
        return reply

    async def _list(self, session: Session, ask: AskPresence, request: ListMembers, asks: Ask) -> Answer:
        seat = self._seat(session, request.room)
        room = self._rooms.known(request.room)
        if seat is None or room is None:
            return await asks(session, request)
        return await self._listed_anew(room, session, ask, asks)

    async def _listed_anew(self, room: LiveRoom, session: Session, ask: AskPresence, asks: Ask) -> Answer:
        """List a room's members, after asking presence if they are not known."""
        request = ListMembers(
            session.user, session.session, room.name, hears=True, connection=session.connection
        )
        reply = None if self._known(room.name) is not None else await self._load(room, session, request, asks)
        roster = self._known(room.name)
        seat = self._seat(session, room.name)
        if seat is None and session.connection in self._seats:
            return NOT_THERE  # it was put out meanwhile, and has been told that
        return reply if seat is None or roster is None else _listed(seat, roster, ask)

    async def load(self, seat: Seat, session: Session, asks: Ask) -> None:
        """Know a room's members for a client that waits for its list, and tell the client."""
        room = self._rooms.known(seat.room.name)
        if room is not None:
            request = ListMembers(
                session.user, session.session, room.name, hears=True, connection=session.connection
            )
            await self._load(room, session, request, asks)
            seat.owner.tell()

    async def _load(self, room: LiveRoom, session: Session, request: ListMembers, asks: Ask) -> Answer:
        """Ask presence who is in a room, once for all who want to know; returns the answer."""
        lock = self._listing.setdefault(room.name, asyncio.Lock())
        try:
            async with lock:
                if self._known(room.name) is not None:
                    return None
                async with self._lists:
                    reply = await asks(session, request)
                if isinstance(reply, RoomMembers) and len(reply.revisions) == len(reply.members):
                    room.list_members(reply)
                elif isinstance(reply, RoomMembers):
                    self.note_old_presence()
                return reply
        finally:
            if not lock.locked():
                self._listing.pop(room.name, None)

    def _seat(self, session: Session, room: RoomId) -> Seat | None:
        """Find the seat of a client in a room; it is told first if it was put out of that."""
        seats = self._seats.get(session.connection)
        if seats is None:
            return None
        seats.tell()
        return seats.of(room)

    def _known(self, name: RoomId) -> Roster | None:
        """Find a roster that can be relied on."""
        room = self._rooms.known(name)
        if room is None or self._loop.time() < self._old_until:
            return None
        return room.roster


def _listed(seat: Seat, roster: Roster, ask: AskPresence) -> RoomListing:
    """List a room's members for one of them, at the number up to which it has been told."""
    seat.owner.tell()
    number = seat.list_up_to()
    page = roster.whole(number) if ask.page is None else roster.page(ask.page, number)
    joined_at = roster.joined_at(seat.owner.user)
    return RoomListing(page, joined_at, roster.length(ask.page), len(roster))
