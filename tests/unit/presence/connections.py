"""What a gateway asks of presence, and a connection as it knows it (`acts`)."""

from collections.abc import Awaitable
from typing import Final

from gateway.client.numbering import Numbering
from tests.unit.presence.cluster import ROOMS
from tests.unit.presence.presence_process import PresenceProcess
from tieline.wire.ids import RoomId, SessionId
from tieline.wire.internal.answers import SessionGone
from tieline.wire.internal.directions import PresenceRequest
from tieline.wire.internal.sessions import Opened, OpenSession
from tieline.wire.internal.signals import Check

LATE_S: Final = 6.0
"""How late a request may arrive once more that does not say where it stands: gateways ask for 5 s."""


class Asked:
    """One request, and how often it was sent."""

    def __init__(self, request: PresenceRequest, at: float, *, is_ordered: bool, is_sent_again: bool) -> None:
        self.request = request
        self.at = at
        self.is_ordered = is_ordered
        """It says where it stands among what its gateway and its connection ask."""
        self.attempts = 1 if is_sent_again else 0
        self.is_answered = False

    def ask(self, process: PresenceProcess) -> Awaitable[object]:
        """Send it once more."""
        self.attempts += 1
        return process.ask(self.request)

    def may_arrive_late(self, now: float) -> bool:
        """Whether a copy of it may be under way."""
        if not self.is_ordered or isinstance(self.request, Check):
            return now - self.at < LATE_S
        return self.attempts > 1 or not self.is_answered


class Connection:
    """One connection of a client, as its gateway knows it."""

    def __init__(self, ask: OpenSession, secret: str) -> None:
        self.ask = ask
        self.began = ask.asked
        """As of which revision its session was asked to begin, as its client's token says."""
        self.numbering = Numbering()
        self.in_rooms: dict[RoomId, bool] = {}
        """In which rooms its client knows to be, and not to be; of others it is not sure."""
        self._changes = 0
        self.session: SessionId = ask.session
        """The one it asked for, or the one it has resumed."""
        self.secret = secret
        """By which its session may be resumed; empty: it may not."""
        self.is_open = False
        """The client knows that it has a session, and its gateway of no end."""
        self.is_over = False
        self.in_call: bool | None = False
        """Whether its client shows itself in a call, as it was told last; None: it is not sure."""

    def end(self) -> None:
        """Let the connection be over, whatever presence says of it from now on."""
        self.is_open, self.is_over = False, True

    def has_answer(self, reply: object) -> None:
        """Let the gateway have the answer to the connection's beginning."""
        match reply:
            case Opened(session=session, rooms=rooms, in_call=in_call) if not self.is_over:
                self.session, self.is_open, self.in_call = session, True, in_call
                self.in_rooms = {room: room in rooms for room in ROOMS}
            case SessionGone():
                self.end()

    def doubts(self, *rooms: RoomId) -> int:
        """Let the client not be sure of rooms until it has an answer; returns by what that is known."""
        for room in rooms:
            self.in_rooms.pop(room, None)
        self._changes += 1
        return self._changes

    def knows(self, change: int, room: RoomId, *, is_in: bool) -> None:
        """Let the client know whether it is in a room, unless it has asked for something else since."""
        if change == self._changes:
            self.in_rooms[room] = is_in

    def shows(self, change: int, *, in_call: bool) -> None:
        """Let the client know that it is shown so, unless it has asked for something else since."""
        if change == self._changes:
            self.in_call = in_call
