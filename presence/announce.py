"""Tell the world what presence has committed: users their events, gateways and routers what concerns them.

Everything here is sent after the commit that makes it true, and may be sent twice when a process dies in
between: an event's `requestId` follows from what happened, so that its repetition is the very same frame,
which the receiving gateway drops. What is to be told is decided in `presence.rules`.
"""

import hashlib
from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

from presence.rules.effects import CloseConnection, HangUp, Replaced
from presence.rules.user import Session
from tieline.wire import jetstream_headers, replies
from tieline.wire.digests import message_id
from tieline.wire.events import Happened
from tieline.wire.ids import NO_CALL, Address, CallId, RoomId, UserId
from tieline.wire.internal import codec
from tieline.wire.internal.sessions import CloseSession
from tieline.wire.replies import HangupBody, LeftReason, MemberJoined, MemberLeft, MemberUpdated, ServerHangup
from tieline.wire.subjects import Subjects


class Publisher(Protocol):
    """Where announcements go; `tieline.runtime.broker.Broker` is one."""

    def send(self, subject: str, payload: bytes, reply: str = "", headers: bytes = b"") -> None:
        """Publish one message, or raise `BrokerAway`."""
        ...


class Announcer:
    """Publishes what happened, as the protocol spells it."""

    def __init__(
        self,
        publisher: Publisher,
        subjects: Subjects,
        replaced: Callable[[Replaced], None] = lambda _: None,
    ) -> None:
        """Take also whom to tell of mail that was replaced: it is still in the mailbox then."""
        self.replaced = replaced
        self._publisher = publisher
        self._subjects = subjects

    def deliver(self, to: Address, frame: bytes, call: CallId = NO_CALL) -> None:
        """Send one frame, of a call or of none, to one session of a user; the mailbox keeps it, once."""
        headers = jetstream_headers.named(message_id(to.user, frame), call)
        self._publisher.send(self._subjects.user(*to), frame, headers=headers)

    def changed(self, user: UserId) -> None:
        """Make every router forget what it remembers of a user."""
        self._publisher.send(self._subjects.changed(user), b"")

    def close(self, lost: CloseConnection) -> None:
        """Have the gateway of a connection that has lost its session close it."""
        message = CloseSession(lost.user, lost.session, lost.connection, lost.code)
        self._publisher.send(self._subjects.gateway(lost.gateway, "close"), codec.encode(message))

    def joined_frame(self, room: RoomId, user: UserId, entry: int) -> bytes:
        """Encode MEMBER_JOINED. `entry` is the revision of the roster entry that was made."""
        return replies.success(f"joined-{entry}", "MEMBER_JOINED", MemberJoined(room, user))

    def left_frame(self, room: RoomId, user: UserId, entry: int, reason: LeftReason) -> bytes:
        """Encode MEMBER_LEFT. `entry` is the revision of the roster entry that is given up."""
        return replies.success(f"left-{entry}", "MEMBER_LEFT", MemberLeft(room, user, reason))

    def updated_frame(self, room: RoomId, user: UserId, session: Session) -> bytes:
        """Encode MEMBER_UPDATED for a session that went away or came back."""
        status: Literal["online", "away"] = "away" if session.status == "away" else "online"
        name = f"updated-{session.id}-{session.status_changes}"
        return replies.success(name, "MEMBER_UPDATED", MemberUpdated(room, user, status))

    def hangup(self, hangup: HangUp) -> None:
        """Tell one user that the server has ended its negotiation with another.

        What ended it the other may foresee, as the end of its own offer's time. The id of the user's session
        nobody else knows, so nobody can send a message that is called so. The same order, which two processes
        carry out, may end two calls: each end is called after its call. An effect that a process of version
        0.1 has left names no call, and is told as such a process has told it.
        """
        named_after = f"{hangup.cause} {hangup.user} {hangup.peer}"
        if hangup.call:
            named_after += f" {hangup.session} {hangup.call}"
        name = hashlib.blake2b(named_after.encode(), digest_size=12).hexdigest()
        body = HangupBody(hangup.peer, hangup.user, ServerHangup(hangup.reason))
        to = Address(hangup.user, hangup.session)
        self.deliver(to, replies.success(f"hangup-{name}", "WEBRTC_HANGUP", body), hangup.call)

    def happened(
        self, kind: Literal["joined", "left", "offered", "answered", "ended"], fact: Happened
    ) -> None:
        """Publish one fact for backends and audits, as JSON."""
        self._publisher.send(self._subjects.event(kind), msgspec.json.encode(fact))
