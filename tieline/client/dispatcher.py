"""Everything that comes for one client, put where it belongs: answers, events, and changes of the session.

No I/O and no waiting: frame by frame, in the order of arrival, so that the order in which the application
reads is the order in which the server spoke.
"""

import asyncio

from tieline.client import messages
from tieline.client.errors import ClientError, Closed, NoReply, Refused, SessionLost, Unreadable
from tieline.client.events import (
    ErrorEvent,
    Message,
    Reconnect,
    Reconnecting,
    Rejoined,
    Resumed,
    RoomLost,
    SessionReset,
)
from tieline.client.inbox import Inbox
from tieline.client.messages import Reply
from tieline.client.pending import Letter, Letters
from tieline.client.session import Session
from tieline.client.stats import Stats
from tieline.wire.ids import RoomId
from tieline.wire.replies import Roster, Welcome


class Reception:
    """Where the frames of one client arrive. With `resume` its session may go on over another connection."""

    def __init__(
        self, welcome: Welcome, letters: Letters, stats: Stats, *, resume: bool, rejoin: bool
    ) -> None:
        self.session = Session(welcome)
        self.inbox = Inbox()
        self._letters = letters
        self._stats = stats
        self._resume = resume
        self._rejoin = rejoin

    def take(self, frame: bytes) -> Reconnect | None:
        """Take in one frame; returns a request to leave that is to be obeyed."""
        message = messages.decode(frame)
        match message:
            case Reply():
                self.session.hear_reply(message)
                self._letters.answer(message)
            case ErrorEvent():
                if not self._letters.refuse(message):
                    self.inbox.put(message)
            case _:
                return self._hear(frame, message)
        return None

    def _hear(self, frame: bytes, message: Message) -> Reconnect | None:
        if not self._resume:
            self.inbox.put(message)
            return None
        if not self.session.hear(frame, message, asyncio.get_running_loop().time()):
            self._stats.duplicates += 1
            return None
        self.inbox.put(message)
        return message if isinstance(message, Reconnect) else None

    def lose(self, end: Closed) -> None:
        """The connection is lost: let everything that is open wait for the next one."""
        self._letters.disconnect()
        self.inbox.put(Reconnecting(end.code, end.reason))

    def change(self, welcome: Welcome, away_s: float) -> None:
        """Go on with the next connection, whichever session it has."""
        self._stats.reconnects += 1
        if welcome.resumed:
            self._stats.resumes += 1
            self.session.resume(welcome)
            self.inbox.put(Resumed(away_s, self._letters.connect()))
            return
        self._stats.resets += 1
        rooms = self.session.reset(welcome, rejoin=self._rejoin)
        self._letters.give_up(lambda letter: SessionLost(letter.cmd, letter.request_id))
        self._letters.connect()
        self.inbox.put(SessionReset(rooms, self._rejoin))
        if self._rejoin:
            for room in rooms:
                self._letters.post(self._joining(room))

    def end(self, end: Closed) -> None:
        """Nothing can come any more."""
        # To each its own: an exception raised twice would mix up its tracebacks.
        self._letters.give_up(lambda _: end.again())
        self.inbox.end()

    def _joining(self, room: RoomId) -> Letter:
        """Ask for a room of the old session. Nobody waits for it: its outcome is an event."""

        def on_answer(answer: Reply | ClientError | None) -> None:
            match answer:
                case Reply():
                    try:
                        self.inbox.put(Rejoined(messages.data_of(answer, Roster)))
                    except Unreadable:
                        self._lose_room(room, "UNREADABLE")
                case Refused(reason=reason):
                    self._lose_room(room, reason)
                case NoReply():
                    self._lose_room(room, "NO_REPLY")
                case _:
                    pass  # the session or all is over, which is told otherwise

        request_id = self._letters.next_id()
        frame = messages.encode(request_id, "JOIN", {"room": room})
        return Letter(request_id, "JOIN", frame, on_answer=on_answer)

    def _lose_room(self, room: RoomId, reason: str) -> None:
        self.session.give_up(room)
        self.inbox.put(RoomLost(room, reason))
