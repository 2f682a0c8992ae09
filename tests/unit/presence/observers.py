"""What clients know: who is in their rooms and whom they call, from answers and from what they were sent.

A client learns the members of a room when it joins or asks, and from then on by events. Its gateway passes
each frame on once, however often it was sent within a minute.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from gateway.client.duplicates import Duplicates
from presence.rules.user import User
from tests.unit.presence.lifetime import Clock, Sent
from tests.unit.presence.presence_process import SUBJECTS
from tieline.wire.ids import ConnectionId, FrameDigest, RoomId, SessionId, UserId
from tieline.wire.internal.codec import decode_close_session
from tieline.wire.internal.rooms import RoomMembers
from tieline.wire.internal.signals import Check, Relay
from tieline.wire.subjects import identifier

Statuses = dict[UserId, str]
"""The other members of a room, and whether each is online or away."""

TO_USERS: Final = SUBJECTS.users().removesuffix(">")


def statuses_in(members: RoomMembers, but: UserId | None = None) -> Statuses:
    """List the members of a room, but for one."""
    return {member.user_id: member.status for member in members.members if member.user_id != but}


class View(NamedTuple):
    """What one session knows of a room since it is a member."""

    entry: int
    """With which its membership began: the next one begins with another."""
    statuses: Statuses


class Observers:
    """The clients of all sessions."""

    def __init__(self, sent: list[Sent], clock: Clock) -> None:
        self._sent = sent
        self._clock = clock
        self._read = 0
        self._duplicates: dict[SessionId, Duplicates] = {}
        self.views: dict[tuple[SessionId, RoomId], View] = {}
        self.calls: set[tuple[SessionId, UserId]] = set()
        """Which session believes to be in a negotiation with whom."""
        self._delivered: set[tuple[SessionId, FrameDigest]] = set()
        """Signals that have come to a session, and are not passed on again."""
        self.closed: set[ConnectionId] = set()
        """Connections that gateways were told to close."""

    def learn(self, user: UserId, record: User, room: RoomId, members: RoomMembers) -> None:
        """Let a client have the roster of a room; what is not read yet was sent after it had asked."""
        view = View(record.rooms[room].entry, statuses_in(members, user))
        self.views[record.session.id, room] = view

    def knows(self, record: User, room: RoomId) -> bool:
        """Whether the client of a user's session has a roster of this room."""
        view = self.views.get((record.session.id, room))
        return view is not None and view.entry == record.rooms[room].entry

    def forget(self, live: Mapping[UserId, User]) -> set[UserId]:
        """Forget the clients whose sessions have ended, and rooms in which a session is not any more.

        Returns the users of such sessions.
        """
        users = {record.session.id: user for user, record in live.items()}
        self.calls = {call for call in self.calls if call[0] in users}
        left = set()
        for session, room in list(self.views):
            user = users.get(session)
            if user is None:
                del self.views[session, room]
            elif room not in live[user].rooms or not self.knows(live[user], room):
                del self.views[session, room]
                left.add(user)
        return left

    def offers(self, ask: Check) -> None:
        """Let a client believe to be in a negotiation as soon as it has sent its offer."""
        self.calls.add((ask.session, ask.to))

    def relayed(self, ask: Check, reply: object) -> None:
        """Deliver what a signal causes; a refused offer begins nothing."""
        told = set()
        if isinstance(reply, Relay):
            sessions = [line.session for line in reply.deliveries if line.user == ask.to]
            told = {
                (session, ask.user) for session in sessions if (session, ask.digest) not in self._delivered
            }
            self._delivered |= {(session, ask.digest) for session in sessions}
        match ask.cmd:
            case "WEBRTC_OFFER" if isinstance(reply, Relay):
                self.calls |= told
            case "WEBRTC_OFFER":
                self.calls.discard((ask.session, ask.to))
            case "WEBRTC_HANGUP" if isinstance(reply, Relay):
                self.calls -= {(ask.session, ask.to), *told}

    def read(self) -> None:
        """Pass on what was sent since the last time, in its order."""
        for sent in self._sent[self._read :]:
            if sent.subject.startswith(TO_USERS):
                user, session = sent.subject[len(TO_USERS) :].split(".")
                self._receive(UserId(identifier(user)), SessionId(session), sent.payload)
            elif sent.subject.endswith(".close"):
                self.closed.add(decode_close_session(sent.payload).connection)
        self._read = len(self._sent)

    def _receive(self, user: UserId, session: SessionId, frame: bytes) -> None:
        duplicates = self._duplicates.setdefault(session, Duplicates())
        if not duplicates.is_new(frame, self._clock.seconds()):
            return
        message = msgspec.json.decode(frame)
        data = message["data"]
        if message["cmd"] == "WEBRTC_HANGUP":
            assert data["to"] == user, "a hangup went astray"
            self.calls.discard((session, UserId(data["from"])))
            return
        view, member = self.views.get((session, RoomId(data["room"]))), UserId(data["userId"])
        if view is None or member == user:
            return
        match message["cmd"]:
            case "MEMBER_JOINED":
                view.statuses[member] = "online"
            case "MEMBER_LEFT":
                view.statuses.pop(member, None)
            case "MEMBER_UPDATED" if member in view.statuses:
                view.statuses[member] = data["status"]
