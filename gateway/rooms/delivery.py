"""What sessions are sent, rooms included: the way from the mailbox with the changes of rooms woven in.

To the rest of the gateway it is what `gateway.delivery.delivery` is. A client is told of its rooms in one
order with its frames, and when it comes back, of what has changed in them since the last message it has had.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

from nats.errors import Error as NatsError

from gateway.client.connection import Connection
from gateway.client.deliveries import Missed
from gateway.client.mail import Had, read_place
from gateway.client.session import Session
from gateway.delivery.delivery import Delivery
from gateway.rooms.changes import position_in
from gateway.rooms.entering import Back, enter, enter_late, lacks, owe
from gateway.rooms.live_room import LiveRoom
from gateway.rooms.live_rooms import LINGER_S, LiveRooms
from gateway.rooms.memberships import Answer, Ask, Memberships
from gateway.rooms.pacer import Pacer
from gateway.rooms.reading import LogReader
from gateway.rooms.seats import Seat, Seats
from tieline.runtime.broker import BrokerAway
from tieline.runtime.requests import NoAnswer
from tieline.wire.ids import ConnectionId, RoomId
from tieline.wire.internal.backend import JoinOrder

RETRY_S: Final = 1.0
"""Between attempts to find out about a room: presence or the broker may be away for some seconds."""


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
        self._back: dict[ConnectionId, Back] = {}

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
            if missed.position is not None and had.place:
                missed = missed._replace(rooms=min(missed.position, read_place(had.place).rooms))
            has_had, rooms = missed.place
            self._back[session.connection] = Back(rooms or None, has_had, session.batches and not rooms)
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
        back = self._back.pop(session.connection, Back(feed.barrier.sequence))
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
        for name in session.rooms:
            room = self._rooms.known(name)
            if room is None:
                owe(seats, name, back)
            else:
                self._load_lists([enter(seats, room, back)], session)
        if seats.owed.rooms:
            self._tasks.create_task(self._enter_late(seats, back, session))
        feed.attach(seats, self._pacer.pending)
        self._delivery.release(session, missed)

    async def _enter_late(self, seats: Seats, back: Back, session: Session) -> None:
        """Give a client its seats as soon as its rooms are known. Until then nothing of them is told.

        If it is gone by then, and may say when it comes back that it was told more, it is told once more.
        """
        looked_up: set[LiveRoom] = set()
        while self._memberships.has(seats) and seats.owed.rooms:
            rooms = await asyncio.gather(*map(self._listened, seats.owed.rooms))
            if not self._memberships.has(seats):
                break
            known = [room for room in rooms if room is not None]
            entered, hiding = enter_late(seats, known, back, looked_up)
            self._load_lists(entered, session)
            for room in hiding:
                looked_up.add(room)
                with contextlib.suppress(NoAnswer):  # else more is told than has happened
                    await self._rooms.remember(room)
            if None in rooms:
                await asyncio.sleep(RETRY_S)
        await self._lose_owed(seats)

    async def _lose_owed(self, seats: Seats) -> None:
        """Have told once more what a client that is gone was not told of rooms which were not known yet."""
        owed = {name: lacking for name in seats.owed.rooms if (lacking := lacks(seats, name)) is not None}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):  # after that it has come back, or never will
                while owed:
                    for room in await asyncio.gather(*map(self._listened, owed)):
                        if room is not None:
                            self._rooms.lose_member(room.name, seats.user, *owed.pop(room.name))
                    if owed:
                        await asyncio.sleep(RETRY_S)

    async def _listened(self, name: RoomId) -> LiveRoom | None:
        """Find a room that nothing is missing of, after listening to it; None: there is none now."""
        with contextlib.suppress(NoAnswer, BrokerAway, NatsError):
            await self._rooms.listen(name)
            return self._rooms.known(name)
        return None

    async def put_in(self, session: Session, wanted: JoinOrder, asks: Ask) -> Answer:
        """Make a client a member without its asking; None: that cannot be known now."""
        answer = await self._memberships.put_in(session, wanted, asks)
        seat = self._memberships.waiting(session, wanted.room)
        if seat is not None:  # it is held back, and what is known may be forgotten before it is told
            self._load_lists([seat], session)
        return answer

    def _load_lists(self, seats: Sequence[Seat], session: Session) -> None:
        """Have a client told who is in those rooms of which it waits for a list."""
        for seat in seats:
            if seat.waits_for_list:
                self._tasks.create_task(self._load(seat, session))

    async def _load(self, seat: Seat, session: Session) -> None:
        """Have a client told who is in a room, for until then it is told nothing of that."""
        while seat.waits_for_list and seat.owner.of(seat.room.name) is seat:
            with contextlib.suppress(NoAnswer, BrokerAway, NatsError):
                await self._memberships.load(seat, session, self._asks)
            if seat.waits_for_list:
                await asyncio.sleep(RETRY_S)

    async def settled(self) -> None:
        """Return when everything that was stored until now has been pushed, unless it was lost."""
        await self._delivery.settled()

    async def drop(self, session: Session) -> None:
        """Deliver nothing more to a session; nothing if it is not followed."""
        self._back.pop(session.connection, None)
        self._memberships.drop(session.connection)
        await self._delivery.drop(session)
