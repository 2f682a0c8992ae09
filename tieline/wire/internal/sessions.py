"""What gateways and presence say to each other about sessions and connections, and about being alive."""

from typing import Final

from tieline.wire.codes import CloseCode
from tieline.wire.ids import (
    NO_TOKEN,
    AdmissionToken,
    ConnectionId,
    GatewayId,
    RoomId,
    SecretHash,
    SessionId,
    UserId,
)
from tieline.wire.internal.message import Message


class OpenSession(Message, frozen=True, array_like=True, tag=True, gc=False):
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
    hears: bool = False
    """The gateway hears the logs of its members' rooms, so that their changes are in no mailbox."""
    names_connection: bool = False
    """Whatever the gateway asks for the session, it names the connection: what does not is another's."""
    asked: int = 0
    """The newest revision of the bucket that the gateway knew of when the client came. What has changed the
    user's connection since is newer than this. 0: an older gateway, which does not say."""
    resume_asked: int = 0
    """As of which the session with the secret in `resume` was asked to begin; 0: the client's token does not
    say."""
    token: AdmissionToken = NO_TOKEN
    """What entitles the gateway to ask this, for a presence that looks itself (`presence.entitlement`)."""
    tells: bool = False
    """Its client says when it rings, and takes what others say of their end of a call (WEBRTC_INFO)."""


class Opened(Message, frozen=True, array_like=True, tag=True, gc=False):
    """The session lives: the new one, or the one resumed."""

    session: SessionId
    resumed: bool
    rooms: dict[RoomId, int]
    """Its rooms, with when they were joined; a full one is not among them."""
    owed_s: float = 0.0
    """What the user has used up on other connections, in seconds until its budget is full again."""
    offer_timeout_s: float = 0.0
    """How long an offer waits for its answer; 0: an older process, which does not say."""
    user: UserId = UserId("")
    asked: SessionId = SessionId("")
    """Whose it is, and what session was asked for: for a gateway that waits for this answer no more;
    empty: an older process. The connection is not named, for every gateway hears this."""
    revision: int = 0
    """A revision of the bucket: see `OpenSession.asked`."""
    lost_at: int = 0
    """When the connection was lost from which the session is resumed, in Unix milliseconds of the broker:
    nothing that was stored later has reached the client. 0: it is not known, or was not lost."""
    in_call: bool = False
    """Its client wants it to be seen that the user is in a call."""


class EndSession(Message, frozen=True, array_like=True, tag=True, gc=False):
    """The connection of this session has ended; the session ends too, unless it can be resumed."""

    user: UserId
    connection: ConnectionId
    """An end that comes late, when another connection has the session, ends nothing."""
    resumable: bool
    """The connection was lost rather than closed: a session that can be resumed waits for that."""
    spent_s: float = 0.0
    """What the user has used up on this connection, in seconds of its budget."""
    owed_s: float = 0.0
    """What of that it has not had back, if it owed nothing when the connection began."""
    lost_for_s: float = 0.0
    """How long ago it was lost: the time in which the session may be resumed began then."""
    also: tuple["EndSession", ...] = ()
    """Other connections that have ended. An older process overlooks them: see `Done.ended`."""
    asked: int = 0
    """See `OpenSession`: at least that of the connection's beginning, which counts no more."""


class Register(Message, frozen=True, array_like=True, tag=True, gc=False):
    """Tell presence, which may have lost it, that a session is live here, with these rooms."""

    user: UserId
    session: SessionId
    gateway: GatewayId
    connection: ConnectionId
    voice: bool
    rooms: dict[RoomId, int]
    secret: SecretHash
    hears: bool = False
    """See `OpenSession`."""
    names_connection: bool = False
    """See `OpenSession`."""
    asked: int = 0
    """See `OpenSession`."""
    number: int = 0
    """See `JoinRoom`."""
    token: AdmissionToken = NO_TOKEN
    """See `OpenSession`."""
    tells: bool = False
    """See `OpenSession`."""
    in_call: bool = False
    """What its client has said last of that (STATUS)."""


class Regrant(Message, frozen=True, array_like=True, tag=True, gc=False):
    """The session has a newer token: only what it grants counts from now on."""

    user: UserId
    session: SessionId
    voice: bool
    granted: tuple[RoomId, ...] | None
    """The rooms that it grants; None: all. The session leaves the others, and its client is told."""
    rooms: tuple[RoomId, ...]
    """The rooms in which the gateway knows the session to be, or to have been: a process may have died while
    it left one."""
    connection: ConnectionId = ConnectionId("")
    number: int = 0
    """See `JoinRoom`."""
    token: AdmissionToken = NO_TOKEN
    """See `OpenSession`."""
    in_call: bool | None = None
    """Whether the session is seen to be in a call from now on; None: as before."""


class Tell(Message, frozen=True, array_like=True, tag=True, gc=False):
    """Send the client of this connection a frame of its own gateway, through the mailbox."""

    user: UserId
    connection: ConnectionId
    """Known to its gateway and to presence alone, so that a gateway can send to its own clients only."""
    frame: bytes


class FindReplaced(Message, frozen=True, array_like=True, tag=True, gc=False):
    """Ask which of these connections were replaced by another one, of the same session or a newer."""

    connections: tuple[tuple[UserId, ConnectionId], ...]


class Replaced(Message, frozen=True, array_like=True, tag=True, gc=False):
    """The connections that were replaced."""

    connections: tuple[ConnectionId, ...]


class KeepLease(Message, frozen=True, array_like=True, tag=True, gc=False):
    """Say that this gateway is alive."""

    gateway: GatewayId
    hears: bool = False
    """It hears the logs of its members' rooms."""


class LeaseKept(Message, frozen=True, array_like=True, tag=True, gc=False):
    """The lease is valid again for its whole length."""

    run: str
    """Names the time since the lease was taken, or taken again after it had run out. A name that has changed
    says that it had run out, also to a gateway that did not get the first answer."""
    logs: bool = False
    """Presence tells the changes of rooms to their logs. An older process does not say so."""
    revision: int = 0
    """Of the lease, in the bucket: see `OpenSession.asked`."""
    now: int = 0
    """The broker's time, in Unix milliseconds; 0: unknown."""
    tokens: bool = False
    """Presence looks itself at the tokens by which sessions begin: give them to it."""
    revisions: tuple[int, ...] = ()
    """Of the lease in each partition of the bucket, if there are several."""


class CloseSession(Message, frozen=True, array_like=True, tag=True, gc=False):
    """Close the connection of this session with this close code; presence has already ended the session."""

    user: UserId
    session: SessionId
    connection: ConnectionId
    code: int

    @property
    def close_code(self) -> CloseCode:
        """The close code; of one that only a newer process knows, that the session is lost."""
        return CloseCode(self.code) if self.code in _CLOSE_CODES else CloseCode.BROKER_LOST


_CLOSE_CODES: Final = frozenset(map(int, CloseCode))
