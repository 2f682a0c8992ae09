"""What a client must know of its session to take it up again. Pure: times are arguments."""

from typing import Final

from tieline.client import messages
from tieline.client.duplicates import Duplicates
from tieline.client.errors import Unreadable
from tieline.client.events import MemberLeft, Message
from tieline.client.messages import Reply
from tieline.wire.ids import RoomId
from tieline.wire.replies import RoomOnly, Welcome

_ROOM_REPLIES: Final = frozenset(("JOIN", "LEAVE"))


class Session:
    """One session after the other: from each WELCOME on, what came and which rooms it has."""

    def __init__(self, welcome: Welcome) -> None:
        self.welcome = welcome
        self.last = ""
        """The `requestId` of the newest message from others that was handed out; "" if there is none."""
        self.rooms = dict.fromkeys(welcome.rooms)
        """Its rooms, in the order of joining."""
        self._wanted: dict[RoomId, None] = {}
        self._duplicates = Duplicates()

    def query(self) -> dict[str, str]:
        """Say what stands in the URL of the connection that takes this session up."""
        return {"resume": self.welcome.resume_token, "last": self.last}

    def resume(self, welcome: Welcome) -> None:
        """Go on with a connection that took the session up."""
        self.welcome = welcome
        self.rooms = dict.fromkeys(welcome.rooms)

    def reset(self, welcome: Welcome, *, rejoin: bool) -> tuple[RoomId, ...]:
        """Begin a new session; return the rooms of the old one, which are wanted again with `rejoin`."""
        old = tuple(self.rooms | self._wanted)
        self.welcome = welcome
        self.last = ""
        self.rooms = dict.fromkeys(welcome.rooms)
        self._wanted = dict.fromkeys(old if rejoin else ())
        return old

    def give_up(self, room: RoomId) -> None:
        """Want a room no more."""
        self._wanted.pop(room, None)

    def hear(self, frame: bytes, message: Message, now: float) -> bool:
        """Take note of a message from others or the server. False: it came before, and must be dropped.

        `message` is what `frame` says; `now` is in seconds of a monotonic clock.
        """
        if not self._duplicates.is_new(frame, now):
            return False
        # Without a readable name the place before it is kept: it comes again then, and is dropped.
        self.last = message.request_id or self.last
        match message:
            case MemberLeft(room=room, user_id=user) if user == self.welcome.user_id:
                self.rooms.pop(room, None)
        return True

    def hear_reply(self, reply: Reply) -> None:
        """Take note of a room that was joined or left."""
        if reply.cmd not in _ROOM_REPLIES:
            return
        try:
            room = messages.data_of(reply, RoomOnly).room
        except Unreadable:
            return  # whoever asked is told
        self.give_up(room)
        if reply.cmd == "JOIN":
            self.rooms[room] = None
        else:
            self.rooms.pop(room, None)
