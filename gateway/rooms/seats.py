"""How far each member here has been told: its seats, one for each of its rooms. Pure.

A client that names what it was told last, when it comes back, must have been told everything before that. So
all its rooms are told up to one number together (`gateway.rooms.changes.in_one_order`); and before it is sent
a signal, it is told what is stored before that (`gateway.delivery.feed`).
"""

from collections.abc import Callable
from typing import Protocol

from gateway.client.frames import Framed
from gateway.rooms.changes import Change, Told, in_one_order, listed_before, with_places
from gateway.rooms.owed import Owed
from tieline.wire.ids import ConnectionId, RoomId, SessionId, UserId


class Sink(Protocol):
    """Where what a client is told is written; `gateway.delivery.feed.Feed` is one."""

    @property
    def is_held(self) -> bool:
        """Whether nothing may be sent, because something older may be missing."""
        ...

    @property
    def last_sequence(self) -> int:
        """The number of the last signal that the client was sent."""
        ...

    def write(self, frames: bytes) -> None:
        """Send the client frames that have their heads."""
        ...


class Room(Protocol):
    """What a seat needs of its room; `gateway.rooms.live_room.LiveRoom` is one."""

    name: RoomId
    seats: "dict[ConnectionId, Seat]"
    lists_lack_up_to: int
    """Up to which number that may come which members had been told before they got a list without it."""

    @property
    def number(self) -> int:
        """How far it goes."""
        ...

    def told(self, seat: "Seat", up_to: int) -> Told | None:
        """Make what a member is told up to a number; None: nothing."""
        ...

    def listed(self) -> Told | None:
        """Make a list of the members; None: they are not known."""
        ...

    def is_in(self, user: UserId) -> bool:
        """Whether the last change of a user that is known says that it is a member."""
        ...

    def note_late(self, member: UserId, position: int, up_to: int) -> None:
        """Take note that a member is told what is newer than a position after what has a number."""
        ...


class Seat:
    """One member's place in one room."""

    __slots__ = (
        "_entered_at",
        "_is_late",
        "_listed_up_to",
        "_until",
        "owner",
        "position",
        "room",
        "waits_for_list",
    )

    def __init__(self, owner: "Seats", room: Room, position: int) -> None:
        self.owner = owner
        self.room = room
        self.position = position
        """The member has been told everything up to this number."""
        self._entered_at = position
        self.waits_for_list = False
        """It is told nothing before it has a list."""
        self._is_late = False
        """Something is missing that is older than what it was told."""
        self._listed_up_to = position
        """How far the last list goes that it was given."""
        self._until = 0
        """The number of the change with which it is told that it is no member any more; 0: it is one."""

    @property
    def whole_to(self) -> int:
        """Up to which number everything is told: if nothing is missing, also what is older than a signal."""
        return self.position if self._is_late else max(self.position, self.owner.last_sequence)

    @property
    def is_new(self) -> bool:
        """Whether the member has been told nothing here that is newer than where it has entered."""
        return self.position == self._entered_at

    @property
    def is_ending(self) -> bool:
        """Whether the member is one no more, and is still to be told that."""
        return self._until > 0

    def go_back_to(self, position: int) -> None:
        """Be told again what is newer than a position, for something was missing."""
        if position < max(self.position, self.owner.last_sequence):
            self.position = min(self.position, position)
            self._is_late = True

    def wait_for_list(self) -> None:
        """Tell the member nothing before it has a list."""
        self.waits_for_list = True
        self.owner.owed.owe_list(self.room.name)

    def list_up_to(self) -> int:
        """Say how far a list may go that the member is given now, and take note of that.

        While something older may be missing, it is less than the room's number: what is held back comes after
        the list. It is less than what another gateway has told the member, where that came here late.
        """
        self._listed_up_to = number = min(self.room.number, self.position)
        if number < self.position:
            self.room.lists_lack_up_to = max(self.room.lists_lack_up_to, self.position)
        return number

    def note_lacking(self, number: int) -> None:
        """Be told again of a change that the member had been told, if a list has come since that lacks it."""
        if self._listed_up_to < number <= self.position:
            self.go_back_to(number - 1)

    def concerns(self, change: Change) -> bool:
        """Whether the member is told of a change: of its own only if it was put out."""
        entry = change.entry
        return change.user != self.owner.user or (entry.tells_user and entry.session == self.owner.session)

    def end(self, change: Change) -> None:
        """Give the seat up, for its member has left; at once, or when it has been told.

        One that waits for a list is told this alone: no list says that it is no member any more.
        """
        if not change.entry.tells_user:
            if not self._until:  # else it is still to be told that it was put out, and that is told once more
                self.owner.leave(self.room.name)
            return
        self._until = change.number
        if self.waits_for_list:
            self.waits_for_list = False
            self.owner.owed.pay(self.room.name)
            self.position = max(self.position, change.number - 1)

    def take(self, up_to: int) -> Told | None:
        """Take what the member has to be told up to a number."""
        if self.waits_for_list:
            return self._take_list(up_to)
        if self._until and self.room.is_in(self.owner.user):
            self._until = 0  # it is back, and nothing that it is told later would say so
        if self._until:
            up_to = min(up_to, self._until)
        if up_to <= self.position:
            return None
        told = self.room.told(self, up_to)
        self.position = up_to
        self._is_late = False
        if 0 < self._until <= up_to:
            self.owner.put_out(self.room.name)
        return told

    def _take_list(self, up_to: int) -> Told | None:
        """Take the list that the member waits for, if it is there; it may go beyond what follows it."""
        listed = self.room.listed()
        if listed is None:
            return None
        self.waits_for_list = False
        self.owner.owed.pay(self.room.name)
        self.position = listed.last
        self._is_late = False
        return listed if listed.last <= up_to else listed_before(listed, up_to)


class Seats:
    """The seats of one connection."""

    __slots__ = (
        "_most_told",
        "_on_put_out",
        "_rooms",
        "_sink",
        "batches",
        "connection",
        "owed",
        "places",
        "session",
        "user",
    )

    def __init__(
        self,
        user: UserId,
        session: SessionId,
        connection: ConnectionId,
        sink: Sink,
        *,
        batches: bool,
        places: bool = False,
        on_put_out: Callable[[RoomId], object] = lambda _: None,
    ) -> None:
        """`batches`: the client is told all changes of a moment in one event, not each in its own.

        `places`: it is told the place of each event. `on_put_out` is told when it has been told that it is no
        member of a room any more, which it has not asked for.
        """
        self._on_put_out = on_put_out
        self.user = user
        self.session = session
        self.connection = connection
        self.batches = batches
        self.places = places
        self._sink = sink
        self._rooms: dict[RoomId, Seat] = {}
        self._most_told = 0
        """The highest number that the client was told: what is found late is older."""
        self.owed = Owed()
        """What the client is still to be told."""

    def of(self, room: RoomId) -> Seat | None:
        """Find the seat in a room; None: there is none."""
        return self._rooms.get(room)

    @property
    def last_sequence(self) -> int:
        """The number of the last signal that the client was sent."""
        return self._sink.last_sequence

    @property
    def told_up_to(self) -> int:
        """Up to which number at most the client may say that it was told everything, when it comes back."""
        return max(self._sink.last_sequence, self._most_told)

    def reached(self, number: int) -> int:
        """Say how far the client has been told of its rooms when it has had what has this number."""
        return self.owed.reached(number)

    def enter(self, room: Room, position: int) -> Seat:
        """Take a seat in a room, whose member has been told everything up to a number.

        If it was told less until now, and takes the rest from a list, it may be cut off before it has that.
        """
        seat = self._rooms.get(room.name)
        before = self.owed.rooms.get(room.name, position if seat is None else seat.position)
        if before < position:
            room.note_late(self.user, before, min(position, self.told_up_to))
        self.owed.pay(room.name)
        self._most_told = max(self._most_told, position)
        seat = self._rooms[room.name] = room.seats[self.connection] = Seat(self, room, position)
        return seat

    def leave(self, room: RoomId) -> None:
        """Give a seat up."""
        self.owed.pay(room)
        seat = self._rooms.pop(room, None)
        if seat is not None:
            seat.room.seats.pop(self.connection, None)

    def put_out(self, room: RoomId) -> None:
        """Give a seat up that was taken away."""
        self.leave(room)
        self._on_put_out(room)

    def leave_all(self) -> list[tuple[RoomId, int]]:
        """Give all seats up: the connection is gone. Returns the rooms, and how far each was told."""
        left = [(name, seat.position) for name, seat in self._rooms.items()]
        for room, _ in left:
            self.leave(room)
        return left

    def tell(self, before: int | None = None) -> None:
        """Tell the client everything that it has not been told; or what is stored before a number."""
        if not self._sink.is_held:
            frames = self._taken(before, self._sink.last_sequence)
            if frames:
                self._sink.write(frames)

    def weave(self, frames: list[bytes], numbers: list[int], has_had: int) -> list[bytes]:
        """Put before each frame, which has a number of its own, what is stored before it.

        `has_had` is the number of the last frame that the client has had before these.
        """
        woven: list[bytes] = []
        for frame, number in zip(frames, numbers, strict=True):
            told = self._taken(number, has_had)
            if told:
                woven.append(Framed(told))
            woven.append(frame)
            has_had = number
        return woven

    def _taken(self, before: int | None, has_had: int) -> bytes:
        """Take what the client has to be told, as it is written behind the frame of the number `has_had`."""
        found = []
        owed_before = self.owed.floor
        told_before = most_told = self.told_up_to
        for seat in list(self._rooms.values()):
            number, position = seat.room.number, seat.position
            told = seat.take(number if before is None else min(number, before - 1))
            most_told = max(most_told, seat.position)
            if told is None:
                continue
            found.append(told)
            if position < told_before and (told.changes or not self.places):
                seat.room.note_late(self.user, position, told_before)
        self._most_told = most_told
        if not found:
            return b""
        frames = in_one_order(found, batches=self.batches) if len(found) > 1 else found[0].data
        if not self.places:
            return frames
        if owed_before is None and len(found) == 1 and found[0].placed and not found[0].is_behind(has_had):
            return found[0].placed
        return with_places(frames, has_had, owed_before, self.owed.floor)
