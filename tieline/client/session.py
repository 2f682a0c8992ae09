"""What a client must know of its session to take it up again. Pure: times are arguments.

It sends nothing. The server's side of the same session is `presence`, and what a connection asks for to take
it up again is in docs/protocol.md#6-losing-the-connection.
"""

from typing import Final

from tieline.client import messages
from tieline.client.duplicates import Duplicates
from tieline.client.errors import Unreadable
from tieline.client.messages import Reply
from tieline.wire.ids import RoomId
from tieline.wire.replies import RoomOnly, Welcome

_ROOM_REPLIES: Final = frozenset(("JOIN", "LEAVE"))


class Session:
    """One session after the other: from each WELCOME on, what came and which rooms it has."""

    def __init__(self, welcome: Welcome, place: str | None = None) -> None:
        """`place` is that of the WELCOME; None: the server names no places."""
        self.welcome = welcome
        self._names_places = place is not None
        self.place = place or ""
        """The place that the server named with the newest message; "" if it names none."""
        self.last = ""
        """The `requestId` of the newest message from others that was handed out; "" if there is none."""
        self.rooms = dict.fromkeys(welcome.rooms)
        """Its rooms, in the order of joining."""
        self._rejoining: dict[RoomId, None] = {}
        """Rooms of an older session that are not among `rooms` yet."""
        self._duplicates = Duplicates()

    def query(self) -> dict[str, str]:
        """Make the query of the connection that takes this session up."""
        query = {"resume": self.welcome.resume_token, "last": self.last}
        return query | {"lastPlace": self.place} if self.place else query

    def resume(self, welcome: Welcome, place: str | None = None) -> None:
        """Go on with a connection that took the session up."""
        self._welcomed(welcome, place)
        self.rooms = dict.fromkeys(welcome.rooms)

    def _welcomed(self, welcome: Welcome, place: str | None) -> None:
        self.welcome = welcome
        self._names_places = place is not None
        self.place = place or ""

    def reset(self, welcome: Welcome, place: str | None = None, *, rejoin: bool) -> tuple[RoomId, ...]:
        """Begin a new session; returns the rooms of the old one, to be joined again with `rejoin`."""
        old = tuple(self.rooms | self._rejoining)
        self._welcomed(welcome, place)
        self.last = ""
        self.rooms = dict.fromkeys(welcome.rooms)
        self._rejoining = dict.fromkeys(old if rejoin else ())
        return old

    def stop_rejoining(self, room: RoomId) -> None:
        """Leave a room of the old session to the old session."""
        self._rejoining.pop(room, None)

    def record(self, frame: bytes, request_id: str, now: float) -> bool:
        """Record a message from others or the server. False: it came before, and must be dropped.

        `request_id` is that of `frame`; `now` is in seconds of a monotonic clock.
        """
        if self._names_places:
            # Also of one that came before: what was sent until then has come, too.
            self.place, frame = messages.split_place(frame)
        if not self._duplicates.is_new(frame, now):
            return False
        # A message without a readable id leaves `last` as it is: it comes again then, and is dropped.
        self.last = request_id or self.last
        return True

    def record_joined(self, room: RoomId) -> None:
        """Record that this client is a member of a room by the backend's word."""
        self.rooms[room] = None

    def record_left(self, room: RoomId) -> None:
        """Record that the server has made this client leave a room."""
        self.rooms.pop(room, None)

    def record_reply(self, reply: Reply) -> RoomId | None:
        """Record which room a reply says was joined or left; returns one that was left."""
        if reply.cmd not in _ROOM_REPLIES:
            return None
        try:
            room = messages.data_of(reply, RoomOnly).room
        except Unreadable:
            return None  # the request's caller is told
        self.stop_rejoining(room)
        if reply.cmd == "JOIN":
            self.rooms[room] = None
            return None
        self.rooms.pop(room, None)
        return room
