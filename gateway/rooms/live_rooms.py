"""The rooms that this gateway has members of: listened to as long as one is here, and for a while longer.

Everything that the log of such a room keeps is known here, and everything that is added to it is heard. When
something that was pushed may have been lost, what was stored is read again before any client goes on
(`gateway.delivery.catch_up`); and so it is now and then, because one who hears nothing cannot know.
"""

import asyncio
import contextlib
import functools
import logging
from collections.abc import Callable
from typing import Final, Protocol

from nats.errors import Error as NatsError

from gateway.delivery.barriers import Barrier
from gateway.rooms.awaited import Awaited
from gateway.rooms.changes import read
from gateway.rooms.histories import Histories
from gateway.rooms.live_room import LiveRoom
from gateway.rooms.pacer import Pacer
from gateway.rooms.reading import LogReader
from tieline import metrics
from tieline.runtime.broker import Broker, BrokerAway, Subscription
from tieline.runtime.guard import bug_guard
from tieline.runtime.message import Message
from tieline.runtime.requests import NoAnswer
from tieline.runtime.unreadable import UNREADABLE, Unreadable
from tieline.wire import jetstream_headers
from tieline.wire.ids import RoomId, UserId
from tieline.wire.subjects import Subjects, user_of_change

LINGER_S: Final = 45.0
"""How long a room without members here is listened to: longer than the window for resuming, so that one whose
members all lose their connections at once is known when they come back."""

LOOK_EVERY_S: Final = 20.0
"""Between two looks at whether something was stored that was not heard: several times while it is kept."""

KEEP_S: Final = 90.0
"""How long each user's last change is kept here: longer than it is stored."""

READ_AT_ONCE: Final = 64
"""Rooms whose logs are read together: most have changed little."""

TRIES: Final = 3
"""Times that a room is listened to anew, because something may have been lost meanwhile."""

MAX_PASSED_OVER: Final = 1_000
"""Users of whom the last change that is not taken up is known. Past it all are forgotten, and what
follows is taken for a sign that something was lost."""

_log = logging.getLogger(__name__)


class Stream(Protocol):
    """What rooms need of the way from the mailbox; `gateway.delivery.delivery.Delivery` is one."""

    @property
    def suspected_losses(self) -> int:
        """How often something that was pushed may have been lost so far."""
        ...

    async def barrier(self) -> Barrier:
        """Send a barrier, and return when it is back."""
        ...

    def suspect_loss(self) -> None:
        """Hold everything back, and read what may be missing."""
        ...


def _nobody(_room: RoomId, _users: list[UserId]) -> None:
    """Have nobody told."""


class LiveRooms:
    """The rooms of one gateway. Tasks belong to the given group."""

    def __init__(
        self,
        broker: Broker,
        subjects: Subjects,
        stream: Stream,
        reader: LogReader,
        pacer: Pacer,
        tasks: asyncio.TaskGroup,
        retell: Callable[[RoomId, list[UserId]], None] = _nobody,
    ) -> None:
        """`retell` has a room told once more what users are to it (`gateway.rooms.retelling`)."""
        self._broker = broker
        self._subjects = subjects
        self._stream = stream
        self._reader = reader
        self._pacer = pacer
        self._tasks = tasks
        self._retell = retell
        self._unreadable = Unreadable(_log)
        self._passed_over: dict[tuple[RoomId, UserId], int] = {}
        self._loop = asyncio.get_running_loop()
        self._rooms: dict[RoomId, LiveRoom] = {}
        self._subscriptions: dict[RoomId, Subscription] = {}
        self._begun: dict[RoomId, asyncio.Task[None]] = {}
        """Those that are being listened to, or have been."""
        self._histories = Histories(subjects, stream.barrier, reader, self._is_here, tasks)
        self._awaited = Awaited()
        broker.when_away(self._forget_revisions)

    def known(self, name: RoomId) -> LiveRoom | None:
        """Find a room that nothing is missing of."""
        room = self._rooms.get(name)
        return room if room is not None and room.is_whole else None

    def begin(self, name: RoomId, since: int | None = None) -> asyncio.Task[None]:
        """Begin to listen to a room if nobody here is a member yet; returns what ends when it is known.

        For one who comes back, and has had everything up to the number `since`, each change that is newer is
        remembered (`remember`); 0: nothing is known to have been had.
        """
        task = self._begun.get(name)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._begun[name] = self._tasks.create_task(self._guarded(name, since))
        return task

    async def listen(self, name: RoomId) -> LiveRoom:
        """Find a room, after listening to it if nobody here is a member yet.

        Raises:
            NoAnswer, BrokerAway, NatsError: it cannot be had now.
        """
        await asyncio.shield(self.begin(name))
        room = self._rooms.get(name)
        if room is None:
            raise NoAnswer(self._subjects.room_log(name))
        room.has_seats_since = self._loop.time()
        return room

    async def _guarded(self, name: RoomId, since: int | None) -> None:
        """Listen to a room; without success it is not there afterwards."""
        is_begun = False
        with bug_guard(_log, "room not listened to: a bug"):
            try:
                await self._begin(name, since)
                is_begun = True
            except (NoAnswer, BrokerAway, NatsError) as error:
                _log.warning("room not listened to", extra={"error": repr(error)})
        if not is_begun:
            await self._drop(name)

    async def _begin(self, name: RoomId, since: int | None) -> None:
        room = self._rooms[name] = LiveRoom(name)
        room.has_seats_since = self._loop.time()
        on_message = functools.partial(self._on_message, room)
        self._subscriptions[name] = await self._broker.subscribe(self._subjects.live_room(name), on_message)
        metrics.ROOMS.set(len(self._rooms))
        for _ in range(TRIES):
            losses = self._stream.suspected_losses
            barrier = await self._stream.barrier()
            changes = await self._reader.last(name, barrier)
            if self._stream.suspected_losses == losses:
                room.catch_up(changes, barrier.sequence, self._loop.time())
                self._retell_lacking(room)
                believed = since if since is not None and since <= barrier.sequence else 0
                if since is not None and not room.log.has_each_since(believed):
                    with contextlib.suppress(NoAnswer):  # else it is read for those who ask
                        await self._histories.read(room, changes, barrier)
                        self._histories.is_read_by(room, self._begun[name])
                return
        raise NoAnswer(self._subjects.room_log(name))

    async def remember(self, room: LiveRoom) -> None:
        """Know every change of a room that is kept, for one who comes back; not only the last of each user.

        Raises:
            NoAnswer: they cannot be read now.
        """
        await self._histories.remember(room)

    def _is_here(self, room: LiveRoom) -> bool:
        """Whether a room is listened to still."""
        return self._rooms.get(room.name) is room

    def _on_message(self, room: LiveRoom, message: Message) -> None:
        try:
            previous, number = jetstream_headers.position(message.headers)
            user = user_of_change(message.subject)
        except ValueError as error:
            self._unreadable.note("change", error)
            return
        metrics.ROOM_CHANGES.inc()
        known = max(room.log.last_of(user), self._passed_over.get((room.name, user), 0))
        is_old = known != number <= max(room.whole_to, known)
        if room.is_whole and (is_old or previous > max(room.whole_to, known)):
            # Older than what was read: the stream counts anew, or a node pushes late that leads no more.
            self._stream.suspect_loss()
        try:
            change = read(room.name, user, number, message.data, message.headers)
        except UNREADABLE as error:
            self._unreadable.note("change", error)
            self._pass_over(room.name, user, number)
            return
        if room.take(change, self._loop.time()):
            self._advanced(room)
        elif room.is_whole and number > max(room.whole_to, known):
            self._pass_over(room.name, user, number)
        self._retell_lacking(room)

    def _retell_lacking(self, room: LiveRoom) -> None:
        """Have those told who have gone, and were not told what was found late."""
        if room.lacking:
            users, room.lacking = room.lacking, []
            self._retell(room.name, users)

    def lose_member(self, name: RoomId, member: UserId, position: int, up_to: int) -> None:
        """Take note that a member is gone. See `LiveRoom.lose_member`."""
        room = self._rooms.get(name)
        users = [] if room is None else room.lose_member(member, position, up_to)
        if users:
            self._retell(name, users)

    def _pass_over(self, room: RoomId, user: UserId, number: int) -> None:
        """Note that a change has come that is not taken up: what follows it is no sign of a loss."""
        if len(self._passed_over) >= MAX_PASSED_OVER:
            self._passed_over.clear()
        self._passed_over[room, user] = number

    def _advanced(self, room: LiveRoom) -> None:
        """Have a room's members told, and let those go on who wait for it."""
        self._pacer.touch(room)
        if room in self._awaited.numbers:
            self._awaited.advanced(room)

    async def reached(self, room: LiveRoom, number: int) -> None:
        """Return when a room has everything up to a number, which is stored; 0: to what is stored now.

        Raises:
            NoAnswer, BrokerAway: it does not come.
        """
        if not number:
            await self._stream.barrier()
            return
        try:
            await self._awaited.reach(room, number)
        except TimeoutError as error:
            raise NoAnswer(self._subjects.room_log(room.name)) from error

    def hold(self) -> None:
        """Take nothing up any more, for something older may be missing."""
        for room in self._rooms.values():
            room.hold()

    async def catch_up(self, barrier: Barrier) -> None:
        """Bring what is missing, up to a barrier, and go on.

        Raises:
            NoAnswer, BrokerAway: that cannot be done now.
        """
        rooms = [room for room in self._rooms.values() if room.whole_to]  # else it is only begun with
        goes_to = {room: max(room.whole_to, room.log.number) for room in rooms}
        if any(number > barrier.sequence for number in goes_to.values()):
            # What is newer than this barrier may be known by another one. Is one that is sent now older than
            # that, too, the stream was lost, and counts anew.
            barrier = await self._stream.barrier()
        for room in rooms:
            if goes_to[room] > barrier.sequence:
                room.begin_anew()
        for start in range(0, len(rooms), READ_AT_ONCE):
            some = rooms[start : start + READ_AT_ONCE]
            first = min(room.whole_to for room in some)
            changes = await self._reader.last_since([room.name for room in some], first, barrier)
            for room in some:
                if room.catch_up(changes[room.name], barrier.sequence, self._loop.time()):
                    self._advanced(room)
                self._retell_lacking(room)

    async def keep(self) -> None:
        """Look now and then for what was not heard, and stop listening to rooms without members."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            with bug_guard(_log, "rooms not looked at: a bug"):
                await self.look()

    async def look(self) -> None:
        """Look for what was not heard, and stop listening to rooms that have had no members for a while."""
        now = self._loop.time()
        for name, room in list(self._rooms.items()):
            if room.seats:
                room.has_seats_since = now
            elif (
                now - room.has_seats_since >= LINGER_S
                and not room.leavers.up_to
                and self._begun[name].done()  # else those for whom it is read are about to come
            ):
                await self._drop(name)
            room.look(now - KEEP_S)
            if room.roster is not None:
                room.roster.forget_gone()
        if self._rooms and self._broker.is_connected:
            losses = self._stream.suspected_losses
            with contextlib.suppress(NoAnswer, BrokerAway):
                barrier = await self._stream.barrier()
                if self._stream.suspected_losses == losses:
                    await self.catch_up(barrier)

    def _forget_revisions(self) -> None:
        """Compare nothing that comes with what is known now: a broker may come back with another bucket."""
        for room in self._rooms.values():
            room.log.forget_revisions()

    def forget_rosters(self) -> None:
        """Ask presence anew who is in each room: what was known of it may be of another time."""
        for room in self._rooms.values():
            room.forget_roster()

    async def _drop(self, name: RoomId) -> None:
        room = self._rooms.pop(name, None)
        self._begun.pop(name, None)
        subscription = self._subscriptions.pop(name, None)
        metrics.ROOMS.set(len(self._rooms))
        if room is not None:
            self._histories.forget(room)
            self._pacer.drop(room)
        if subscription is not None:
            with contextlib.suppress(NatsError):  # without a broker there is nothing to unsubscribe from
                await subscription.unsubscribe()
