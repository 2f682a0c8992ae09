"""What sessions are sent, rooms included: the way from the mailbox with the changes of rooms woven in.

To the rest of the gateway it is what `gateway.delivery.delivery` is. A client is told of its rooms in one
order with its frames, and when it comes back, of what has changed in them since the last message it has had.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final, NamedTuple

from nats.errors import Error as NatsError

from gateway.client.connection import Connection
from gateway.client.deliveries import Missed
from gateway.client.mail import Had, read_place
from gateway.client.session import Session
from gateway.delivery.delivery import Delivery
from gateway.rooms.changes import position_in
from gateway.rooms.live_room import LiveRoom
from gateway.rooms.live_rooms import LiveRooms
from gateway.rooms.memberships import Ask, Memberships
from gateway.rooms.pacer import Pacer
from gateway.rooms.reading import LogReader
from gateway.rooms.seats import Seat, Seats
from tieline.runtime.broker import BrokerAway
from tieline.runtime.requests import NoAnswer
from tieline.wire.ids import ConnectionId, RoomId

RETRY_S: Final = 1.0
"""Between attempts to find out about a room: presence or the broker may be away for some seconds."""


class _Back(NamedTuple):
    """Where a client that comes back goes on in its rooms."""

    position: int | None
    """None: it is not known; everything counts that is kept since the session has joined."""
    wants_lists: bool = False
    """It is told who is there instead."""


class RoomDelivery:
    """The way to the clients of one gateway. Tasks belong to the given group."""

    def __init__(
        self,
        delivery: Delivery,
        rooms: LiveRooms,
        memberships: Memberships,
        reader: LogReader,
        pacer: Pacer,
        asks: Ask,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._delivery = delivery
        self._rooms = rooms
        self._memberships = memberships
        self._reader = reader
        self._pacer = pacer
        self._asks = asks
        self._tasks = tasks
        self._back: dict[ConnectionId, _Back] = {}

    @property
    def suspected_losses(self) -> int:
        """How often something that was pushed may have been lost so far."""
        return self._delivery.suspected_losses

    async def follow(self, connection: Connection, session: Session, had: Had | None = None) -> int:
        """Have what is stored for a session from now on pushed to its connection. See `Delivery.follow`.

        The rooms of one who comes back, and has `had` this last, are listened to from the same barrier on.
        """
        if had is not None and session.rooms:
            since = read_place(had.place).rooms if session.is_resumed else None
            for name in session.rooms:
                self._rooms.begin(name, since)
            await asyncio.sleep(0)  # which is when they are subscribed to
        return await self._delivery.follow(connection, session)

    async def missed(self, session: Session, had: Had) -> Missed:
        """Read what was stored before a session was followed, and listen to its rooms.

        Raises:
            NoAnswer, BrokerAway, NatsError: it cannot be read.
        """
        missed, _ = await asyncio.gather(self._missed(session, had), self._listen(session, had))
        if session.is_resumed:
            position = missed.position
            if position is not None and had.place:
                position = min(position, read_place(had.place).rooms) or None
            self._back[session.connection] = _Back(position, session.batches and position is None)
        return missed

    async def _missed(self, session: Session, had: Had) -> Missed:
        """Read what was stored before a session was followed; the last that it has had may be a change."""
        if had.place:
            return await self._delivery.missed(session, "", read_place(had.place).number)
        position = position_in(had.last) if session.is_resumed else None
        if position is None:
            return await self._delivery.missed(session, had.last, lost_at=had.lost_at)
        # Mail that is called so is a copy, and stored later: it says nothing of what the client has had.
        is_change = await self._reader.is_change(position.number, position.nonce)
        return await self._delivery.missed(session, "", position.whole_to if is_change else 0)

    async def _listen(self, session: Session, had: Had) -> None:
        """Listen to a session's rooms, and know what it has not had of what has happened in them."""
        rooms = await asyncio.gather(*(self._rooms.listen(name) for name in session.rooms))
        if not session.is_resumed:
            return
        feed = self._delivery.feed(session)
        assert feed is not None
        assert feed.barrier is not None
        place = read_place(had.place)
        since = place.rooms if place.number <= feed.barrier.sequence else 0
        lacking = (room for room in rooms if not room.log.has_each_since(since))
        await asyncio.gather(*(self._rooms.remember(room) for room in lacking))

    def release(self, session: Session, missed: Missed) -> None:
        """Deliver what a session missed, then what was pushed meanwhile, and go on with what is pushed."""
        feed = self._delivery.feed(session)
        if feed is None:
            return
        assert feed.barrier is not None
        back = self._back.pop(session.connection, _Back(feed.barrier.sequence))
        seats = Seats(
            session.user,
            session.session,
            session.connection,
            feed,
            batches=session.batches,
            places=session.places,
            on_put_out=lambda room: session.rooms.pop(room, None),
        )
        self._memberships.add(seats)
        later: list[RoomId] = []
        for name in session.rooms:
            room = self._rooms.known(name)
            if room is None:
                seats.owe(name, back.position or 0)
                later.append(name)
            else:
                self._enter(seats, room, back, session)
        if later:
            self._tasks.create_task(self._enter_later(seats, later, back, session))
        feed.attach(seats, self._pacer.pending)
        self._delivery.release(session, missed)

    def _enter(self, seats: Seats, room: LiveRoom, back: _Back, session: Session) -> None:
        position = back.position
        if position is None:
            position = room.log.joined_at(session.user, session.session)
        seat = seats.enter(room, position)
        if back.wants_lists:
            seat.waits_for_list = True
            seats.owe(room.name, 0)
            self._tasks.create_task(self._load(seat, session))

    async def _enter_later(
        self, seats: Seats, names: Sequence[RoomId], back: _Back, session: Session
    ) -> None:
        """Give a client its seats as soon as its rooms are known. Until then nothing of them is told.

        Those that are known at one time are told together: told one after the other, what is older in the
        second would come behind what is newer in the first.
        """
        entered: set[RoomId] = set()

        def waiting() -> list[RoomId]:
            if not self._memberships.has(seats):
                return []
            due = [name for name in names if name not in entered]  # none is entered anew that was left since
            return [name for name in due if name in session.rooms and seats.of(name) is None]

        looked_up: set[RoomId] = set()
        while some := waiting():
            rooms = await asyncio.gather(*map(self._listened, some))
            still = waiting()
            hiding: list[LiveRoom] = []
            for room in rooms:
                if room is None or room.name not in still:
                    continue
                if room.name not in looked_up and _may_hide_who_came(room, session, back.position):
                    hiding.append(room)
                else:
                    self._enter(seats, room, back, session)
                    entered.add(room.name)
            seats.tell()
            for room in hiding:
                looked_up.add(room.name)
                with contextlib.suppress(NoAnswer):  # else more is told than has happened
                    await self._rooms.remember(room)
            if None in rooms:
                await asyncio.sleep(RETRY_S)

    async def _listened(self, name: RoomId) -> LiveRoom | None:
        with contextlib.suppress(NoAnswer, BrokerAway, NatsError):
            return await self._rooms.listen(name)
        return None

    async def _load(self, seat: Seat, session: Session) -> None:
        """Have a client told who is in a room, for until then it is told nothing of that."""
        while seat.owner.of(seat.room.name) is seat:
            with contextlib.suppress(NoAnswer, BrokerAway, NatsError):
                await self._memberships.load(seat, session, self._asks)
            if not seat.waits_for_list:
                return
            await asyncio.sleep(RETRY_S)

    async def settled(self) -> None:
        """Return when everything that was stored until now has been pushed, unless it was lost."""
        await self._delivery.settled()

    async def drop(self, session: Session) -> None:
        """Deliver nothing more to a session; nothing if it is not followed."""
        self._back.pop(session.connection, None)
        self._memberships.drop(session.connection)
        await self._delivery.drop(session)


def _may_hide_who_came(room: LiveRoom, session: Session, position: int | None) -> bool:
    """Whether only the last change of each user is known, and that of another is an update since a position.

    It may hide that the user has come, so the client would be told that, though the user was there before.
    """
    if position is None or room.log.has_each_since(position):
        return False
    changes = room.log.since(position)
    return any(change.entry.kind == "updated" and change.user != session.user for change in changes)
