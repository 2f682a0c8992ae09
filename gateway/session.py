"""What a client's frame means, and what the answer of the cluster means to the client. Pure.

The session knows who speaks and what the token grants; it decides what to say at once, whom to ask, and
what to say when the answer comes. The socket is `connection`'s, the asking too.
"""

from typing import Final, NamedTuple

from gateway.ice_servers import IceServers
from gateway.tokens import Claims
from tieline.wire import envelope
from tieline.wire.codes import CloseCode, Refusal
from tieline.wire.envelope import (
    Join,
    Leave,
    Malformed,
    Members,
    Ping,
    Reconnect,
    RoomOnly,
    Roster,
    TokenExpiring,
)
from tieline.wire.ids import ConnectionId, GatewayId, ResumeToken, RoomId, SecretHash, SessionId, UserId
from tieline.wire.internal import (
    Accepted,
    Done,
    EndSession,
    JoinRoom,
    LeaveRoom,
    ListMembers,
    Opened,
    OpenSession,
    PresenceReply,
    Refused,
    Register,
    RoomMembers,
    RouterReply,
    SessionGone,
    Signal,
    secret_hash,
)

UNKNOWN: Final = "unknown"
"""What an unreadable or unknown command is called in the metrics: clients must not invent labels."""


NO_WORD: Final = 1006
"""What RFC 6455 calls a connection that ended without a close frame."""

FINAL_CLOSES: Final = frozenset(
    (CloseCode.NORMAL, CloseCode.KICKED, CloseCode.FLOODING, CloseCode.PROTOCOL_VIOLATION)
)
"""Ends after which nobody waits for the client to resume: its own goodbye, and our sending it away."""


class Say(NamedTuple):
    """Answer the client; an empty frame says nothing. `outcome` is for the metrics and the log."""

    frame: bytes
    request_id: str
    cmd: str
    outcome: str


class AskRouter(NamedTuple):
    """Ask a router to carry a signal."""

    request_id: str
    cmd: str
    signal: Signal


class AskPresence(NamedTuple):
    """Ask presence about a room."""

    request_id: str
    cmd: str
    room: RoomId
    request: JoinRoom | LeaveRoom | ListMembers


class HangUp(NamedTuple):
    """Close the connection: its session is over."""

    code: CloseCode
    request_id: str
    cmd: str


Action = Say | AskRouter | AskPresence


class Terms(NamedTuple):
    """What a gateway grants every client alike."""

    ice_servers: IceServers


class Session:
    """One client, from WELCOME to the end."""

    __slots__ = ("acks", "claims", "connection", "rooms", "secret", "session", "terms")

    def __init__(
        self,
        session: SessionId,
        connection: ConnectionId,
        claims: Claims,
        secret: SecretHash,
        acks: bool,
        terms: Terms,
    ) -> None:
        self.terms = terms
        self.session = session
        self.connection = connection
        self.claims = claims
        self.secret = secret
        self.acks = acks
        self.rooms: dict[RoomId, int] = {}
        """Its rooms, with when they were joined: to be told to a presence that has forgotten them."""

    @property
    def user(self) -> UserId:
        """Who speaks."""
        return self.claims.user

    def receive(self, frame: bytes, now: float) -> Action:
        """Decide at `now` (Unix seconds) about one frame of valid UTF-8 within the size limit."""
        message = envelope.decode(frame)
        match message:
            case Malformed(refusal=refusal, request_id=request_id, cmd=cmd):
                return _refuse(request_id, cmd, refusal)
            case Ping(request_id=request_id, data=data):
                return Say(envelope.success(request_id, "PONG", data), request_id, "PING", "ok")
            case envelope.IceServers(request_id=request_id):
                servers = self.terms.ice_servers.listed(self.user, now)
                reply = envelope.success(request_id, "ICE_SERVERS", servers)
                return Say(reply, request_id, "ICE_SERVERS", "ok")
            case Join() | Leave() | Members():
                return self._about_room(message)
        body, cmd = message.data, envelope.command_of(message)
        if body.sender != self.claims.sub:
            return _refuse(message.request_id, cmd, Refusal.SENDER_MISMATCH)
        if body.to == body.sender:
            return _refuse(message.request_id, cmd, Refusal.BAD_MESSAGE)
        signal = Signal(self.user, self.session, UserId(body.to), frame, self.acks)
        return AskRouter(message.request_id, cmd, signal)

    def _about_room(self, message: Join | Leave | Members) -> Action:
        request_id, room = message.request_id, RoomId(message.data.room)
        match message:
            case Join() if not self.claims.may_join(room):
                return _refuse(request_id, "JOIN", Refusal.ROOM_FORBIDDEN)
            case Join():
                return AskPresence(request_id, "JOIN", room, JoinRoom(self.user, self.session, room))
            case Leave():
                return AskPresence(request_id, "LEAVE", room, LeaveRoom(self.user, self.session, room))
            case Members():  # pragma: no branch  # there is no other
                return AskPresence(request_id, "MEMBERS", room, ListMembers(self.user, self.session, room))

    def hear_router(self, ask: AskRouter, reply: RouterReply | None) -> Say | HangUp:
        """Say what the router's reply means; None: there was none."""
        match reply:
            case Accepted(ack=ack):
                frame = envelope.ack(ask.request_id, ask.cmd, ack) if self.acks else b""
                return Say(frame, ask.request_id, ask.cmd, ack)
            case _:
                return _hear_no(ask.request_id, ask.cmd, reply)

    def hear_presence(self, ask: AskPresence, reply: PresenceReply | None) -> Say | HangUp:
        """Say what presence's reply means; None: there was none."""
        match reply:
            case RoomMembers(members=members):
                data: Roster | RoomOnly = Roster(ask.room, members)
                self.rooms.update((ask.room, line.joined_at) for line in members if line.user_id == self.user)
            case Done():
                data = RoomOnly(ask.room)
                self.rooms.pop(ask.room, None)
            case Refused() | SessionGone() | None:
                return _hear_no(ask.request_id, ask.cmd, reply)
            case _:
                raise TypeError(f"presence answered {ask.cmd} with {type(reply).__name__}")
        return Say(envelope.success(ask.request_id, ask.cmd, data), ask.request_id, ask.cmd, "ok")

    def opening(self, gateway: GatewayId, resume: ResumeToken | None) -> OpenSession:
        """Ask presence to begin this session, or to resume the one with that secret instead."""
        claims = self.claims
        join = tuple(RoomId(room) for room in claims.join)
        granted = None if claims.rooms == "*" else tuple(RoomId(room) for room in (*claims.rooms, *join))
        return OpenSession(
            self.user,
            self.session,
            gateway,
            self.connection,
            claims.voice,
            join,
            self.secret,
            secret_hash(resume) if resume else SecretHash(b""),
            granted,
        )

    def opened(self, reply: Opened, secret: SecretHash) -> None:
        """Become the session that presence says it is."""
        self.session = reply.session
        self.secret = secret
        self.rooms = dict(reply.rooms)

    def begin_again(self, session: SessionId, connection: ConnectionId, secret: SecretHash) -> None:
        """Be a new session after all, for a client that missed too much of its older one."""
        self.session = session
        self.connection = connection
        self.secret = secret
        self.rooms = {}

    def registration(self, gateway: GatewayId) -> Register:
        """Tell presence again what it may have forgotten."""
        return Register(
            self.user,
            self.session,
            gateway,
            self.connection,
            self.claims.voice,
            self.rooms,
            self.secret,
        )

    def ending(self, close_code: int) -> EndSession:
        """Tell presence that the connection has ended, with this close code."""
        resumable = bool(self.secret) and close_code not in FINAL_CLOSES
        return EndSession(self.user, self.connection, resumable)

    def reconnecting(self, after_ms: int, jitter_ms: int) -> bytes:
        """Make the event that asks a client to go elsewhere, at a moment of its own within the jitter."""
        event = Reconnect(after_ms, jitter_ms)
        return envelope.success(f"reconnect-{self.connection}", "RECONNECT", event)

    def expiring(self) -> bytes:
        """Make the event that warns of the token's end."""
        expires_at = int(self.claims.exp * 1000)
        return envelope.success(
            f"expiring-{self.session}-{expires_at}", "TOKEN_EXPIRING", TokenExpiring(expires_at)
        )


def _hear_no(request_id: str, cmd: str, reply: Refused | SessionGone | None) -> Say | HangUp:
    match reply:
        case Refused():
            return _refuse(request_id, cmd, reply.refusal)
        case SessionGone(replaced=replaced):
            return HangUp(CloseCode.REPLACED if replaced else CloseCode.BROKER_LOST, request_id, cmd)
        case None:  # pragma: no branch  # there is no other
            return _refuse(request_id, cmd, Refusal.INTERNAL)


def _refuse(request_id: str, cmd: str, refusal: Refusal) -> Say:
    return Say(
        envelope.error(request_id, cmd, refusal),
        request_id,
        cmd if cmd in envelope.COMMANDS else UNKNOWN,
        refusal.reason,
    )
