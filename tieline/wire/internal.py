"""What gateways, routers and presences say to each other, in msgpack.

Each direction is one tagged union with one decoder. Who cannot answer, because what he needs does not
answer him, stays silent: the request is sent again, and finds another.

Nothing here reaches a client; that is `envelope`. The frame of a client travels inside these messages as
bytes and is never decoded again.
"""

import hashlib
from typing import Literal

import msgspec

from tieline.wire.codes import ErrorCode
from tieline.wire.ids import (
    ConnectionId,
    FrameDigest,
    GatewayId,
    ResumeToken,
    RoomId,
    SecretHash,
    SessionId,
    UserId,
)
from tieline.wire.replies import Member
from tieline.wire.subjects import token

Ack = Literal["relayed", "held"]


def secret_hash(secret: ResumeToken) -> SecretHash:
    """Hash a resume secret, which is random enough to need no salt and no slow hash."""
    return SecretHash(hashlib.sha256(secret.encode()).digest())


def message_id(user: UserId, frame: bytes) -> str:
    """Name a frame for one user, so that the mailbox keeps it once however often it is published."""
    return f"{digest(frame).hex()}.{token(user)}"


def digest(frame: bytes) -> FrameDigest:
    """Name a frame in 16 bytes: the same frame of the same sender again is a retry (PROTOCOL, "Envelope").

    The sender stands in the frame (`from`), checked, so two senders' frames never share a name.
    """
    return FrameDigest(hashlib.blake2b(frame, digest_size=16).digest())


class _Message(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False):
    """One message between two processes: positional, tagged by its class."""


# gateway -> router -----------------------------------------------------------------------------------


class Signal(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """One WEBRTC frame of a client, well formed and truly from `user`; `cmd` stands in the subject."""

    user: UserId
    session: SessionId
    to: UserId
    frame: bytes
    stored: bool
    """The sender asked for acks: answer only when the message is safe."""


class Accepted(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """The signal was relayed, or is held."""

    ack: Ack


class Refused(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """The request is refused; `reason` names a `ErrorCode`."""

    reason: str

    @property
    def refusal(self) -> ErrorCode:
        """The refusal behind the name."""
        return ErrorCode[self.reason]


class SessionGone(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """The session that asks is not (any more) the live one of its user."""

    replaced: bool
    """A newer session of the user lives; else none does."""


# router -> presence ----------------------------------------------------------------------------------


class Check(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """Ask whether a signal may pass, and what must be delivered for it."""

    user: UserId
    session: SessionId
    to: UserId
    cmd: str
    digest: FrameDigest
    frame: bytes
    """The frame, if it is a candidate: it may have to be held. Else empty."""


class Delivery(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """One frame for one session of one user; `frame` None stands for the signal's own."""

    user: UserId
    session: SessionId
    frame: bytes | None


class Relay(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """Deliver these, in this order, then acknowledge as said.

    Frames may be among them that were delivered before: the receiving gateway drops exact duplicates.
    """

    ack: Ack
    deliveries: tuple[Delivery, ...]
    lease_seconds: float = 0.0
    """How long candidates of this sender to this target may pass unasked; 0: not at all."""
    lease_held: tuple[FrameDigest, ...] = ()
    """Under the lease, these are retries of candidates that were held: acknowledge them as such."""


Verdict = Relay | Refused | SessionGone


# gateway -> presence ---------------------------------------------------------------------------------


class OpenSession(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """A user has connected: begin this session, end the user's older one, join these rooms."""

    user: UserId
    session: SessionId
    gateway: GatewayId
    connection: ConnectionId
    voice: bool
    join: tuple[RoomId, ...]
    """For a new session; a resumed one has its rooms."""
    secret: SecretHash
    """By which this session may be resumed; empty: it may not."""
    resume: SecretHash
    """The secret of an older session, to be resumed instead of beginning this one; empty: none."""
    granted: tuple[RoomId, ...] | None
    """The rooms that the token grants now; None: all. A resumed session leaves the others."""


class Opened(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """The session lives: the new one, or the one resumed."""

    session: SessionId
    resumed: bool
    rooms: dict[RoomId, int]
    """Its rooms, with when they were joined; a full one is not among them."""


class EndSession(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """The connection of this session has ended, and so does the session."""

    user: UserId
    connection: ConnectionId
    """An end that comes late, when another connection has the session, ends nothing."""
    resumable: bool
    """The connection was lost rather than closed: if the session can be resumed, it waits for that."""


class Register(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """Say again that a session lives here, with these rooms, to a presence that may have forgotten it."""

    user: UserId
    session: SessionId
    gateway: GatewayId
    connection: ConnectionId
    voice: bool
    rooms: dict[RoomId, int]
    secret: SecretHash


class Regrant(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """The session has a newer token: only what this one grants counts from now on."""

    user: UserId
    session: SessionId
    voice: bool
    granted: tuple[RoomId, ...] | None
    """The rooms that it grants; None: all. The session leaves the others, and is told."""
    rooms: tuple[RoomId, ...]
    """Those that the gateway knows it to be in, or to have been: a process may have died at leaving one."""


class Tell(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """Send the client of this connection, on its way through the mailbox, what its own gateway has to say."""

    user: UserId
    connection: ConnectionId
    """Known to its gateway and to presence alone: nobody else's client can be told anything."""
    frame: bytes


class FindReplaced(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """Ask which of these connections have lost their user to another one, of this session or the next."""

    connections: tuple[tuple[UserId, ConnectionId], ...]


class Replaced(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """These have."""

    connections: tuple[ConnectionId, ...]


class JoinRoom(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """Make the user a member; being allowed to is the gateway's business, who holds the token."""

    user: UserId
    session: SessionId
    room: RoomId


class LeaveRoom(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """Make the user no member any more."""

    user: UserId
    session: SessionId
    room: RoomId


class ListMembers(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """Ask who is in the room; only a member may know."""

    user: UserId
    session: SessionId
    room: RoomId


class RoomMembers(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """The room's roster, in the order of joining."""

    members: tuple[Member, ...]


class Done(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """It is so now, whether or not it was before."""


class KeepLease(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """Say that this gateway is alive."""

    gateway: GatewayId


class LeaseKept(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """The lease is good again for its whole length."""

    run: str
    """Names the time since it was first taken, or taken again after it had run out. A name that changes
    says that it had; and says so again to whoever did not hear the first answer."""


PresenceRequest = (
    Check
    | OpenSession
    | EndSession
    | Register
    | Regrant
    | Tell
    | FindReplaced
    | JoinRoom
    | LeaveRoom
    | ListMembers
    | KeepLease
)
PresenceReply = Relay | Refused | SessionGone | Opened | Replaced | RoomMembers | Done | LeaseKept
RouterReply = Accepted | Refused | SessionGone

OPERATIONS: dict[type[PresenceRequest], str] = {
    Check: "check",
    OpenSession: "open",
    EndSession: "end",
    Register: "register",
    Regrant: "regrant",
    Tell: "tell",
    FindReplaced: "replaced",
    JoinRoom: "join",
    LeaveRoom: "leave",
    ListMembers: "members",
    KeepLease: "lease",
}
"""The word that stands for a presence request in its subject."""


# presence -> gateway ---------------------------------------------------------------------------------


class CloseSession(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """Close the connection of this session with this close code; presence has ended it already."""

    user: UserId
    session: SessionId
    connection: ConnectionId
    code: int


class Happened(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What `events.>` carries, as JSON: for backends, audits and webhooks. Kinds stand in the subject."""

    at: int
    """Unix milliseconds."""
    user: UserId
    peer: UserId | None = None
    room: RoomId | None = None
    reason: str | None = None


_encoder = msgspec.msgpack.Encoder()
_signals = msgspec.msgpack.Decoder(list[Signal | None])
_answers = msgspec.msgpack.Decoder(list[tuple[int, RouterReply]])
_presence_requests = msgspec.msgpack.Decoder(PresenceRequest)
_presence_replies = msgspec.msgpack.Decoder(PresenceReply)
_closings = msgspec.msgpack.Decoder(CloseSession)

encode = _encoder.encode
decode_signals = _signals.decode
"""A pack: the signals of one command that one turn of a gateway's event loop has brought, and None for each
that has been answered since, when the pack is sent again."""
decode_answers = _answers.decode
"""Answers to signals of one pack, each with its place in it; there may be several such messages a pack."""
decode_presence_request = _presence_requests.decode
decode_presence_reply = _presence_replies.decode
decode_close_session = _closings.decode
