"""Tell the world what presence has committed: users their events, gateways and routers what concerns them.

Everything here is sent after the commit that makes it true, and may be sent twice when a process dies in
between: an event's `requestId` follows from what happened, so that its repetition is the very same frame,
which the receiving gateway drops.
"""

import hashlib
from collections.abc import Mapping
from typing import Literal, Protocol

import msgspec

from presence.member import Former, User
from tieline.wire import internal, replies
from tieline.wire.codes import CloseCode
from tieline.wire.ids import RoomId, SessionId, UserId
from tieline.wire.replies import HangupBody, MemberJoined, MemberLeft, MemberUpdated, ServerHangup
from tieline.wire.subjects import Subjects

LeftReason = Literal["left", "disconnected", "kicked"]
HangupReason = Literal["timeout", "disconnected", "left", "kicked"]


class Publisher(Protocol):
    """Where announcements go; `tieline.runtime.broker.Broker` is one."""

    def send(
        self, subject: str, payload: bytes, reply: str = "", headers: Mapping[str, str] | bytes = b""
    ) -> None:
        """Publish one message, or raise `BrokerAway`."""
        ...


class Announcer:
    """Publishes what happened, as the protocol spells it."""

    def __init__(self, publisher: Publisher, subjects: Subjects) -> None:
        self._publisher = publisher
        self._subjects = subjects

    def deliver(self, user: UserId, session: SessionId, frame: bytes) -> None:
        """Send one frame to one session of a user; the mailbox keeps it, once."""
        headers = {"Nats-Msg-Id": internal.message_id(user, frame)}
        self._publisher.send(self._subjects.user(user, session), frame, headers=headers)

    def changed(self, user: UserId) -> None:
        """Make every router forget what it cached about a user."""
        self._publisher.send(self._subjects.changed(user), b"")

    def close(self, user: UserId, session: SessionId, where: User | Former, code: CloseCode) -> None:
        """Have the gateway of a connection that has lost its session close it."""
        message = internal.CloseSession(user, session, where.connection, int(code))
        self._publisher.send(self._subjects.gateway(where.gateway, "close"), internal.encode(message))

    def joined_frame(self, room: RoomId, user: UserId, seat: int) -> bytes:
        """Encode MEMBER_JOINED. `seat` is the revision of the seat taken."""
        return replies.success(f"joined-{seat}", "MEMBER_JOINED", MemberJoined(room, user))

    def left_frame(self, room: RoomId, user: UserId, seat: int, reason: LeftReason) -> bytes:
        """Encode MEMBER_LEFT. `seat` is the revision of the seat given up."""
        return replies.success(f"left-{seat}", "MEMBER_LEFT", MemberLeft(room, user, reason))

    def updated_frame(self, room: RoomId, user: UserId, record: User) -> bytes:
        """Encode MEMBER_UPDATED for a session that went away or came back."""
        status: Literal["online", "away"] = "away" if record.status == "away" else "online"
        name = f"updated-{record.session}-{record.turns}"
        return replies.success(name, "MEMBER_UPDATED", MemberUpdated(room, user, status))

    def hangup(
        self, to: UserId, session: SessionId, peer: UserId, reason: HangupReason, ended_by: str
    ) -> None:
        """Tell one user that the server has ended its negotiation with `peer`."""
        name = hashlib.blake2b(f"{ended_by} {to} {peer}".encode(), digest_size=12).hexdigest()
        body = HangupBody(peer, to, ServerHangup(reason))
        self.deliver(to, session, replies.success(f"hangup-{name}", "WEBRTC_HANGUP", body))

    def happened(
        self,
        kind: Literal["joined", "left", "offered", "answered", "ended"],
        at: int,
        user: UserId,
        *,
        peer: UserId | None = None,
        room: RoomId | None = None,
        reason: str | None = None,
    ) -> None:
        """Publish one fact for backends and audits, as JSON."""
        fact = internal.Happened(at, user, peer, room, reason)
        self._publisher.send(self._subjects.event(kind), msgspec.json.encode(fact))
