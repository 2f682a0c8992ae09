"""What a client's frame means, and what the answer of the cluster means to the client. Pure.

The session knows who speaks and what the token grants; it decides what to say at once, whom to ask, and
what to say when the answer comes. The socket is `connection`'s, the asking too.
"""

from typing import Final, NamedTuple

import msgspec

from gateway.admission.tokens import BadToken, Claims, Tokens, UnknownKey
from gateway.client.ice_servers import IceServers
from tieline.wire import envelope, replies
from tieline.wire.codes import CloseCode, ErrorCode
from tieline.wire.envelope import Join, Leave, Malformed, Members, Ping, RefreshToken
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
    Regrant,
    RoomMembers,
    RouterReply,
    SessionGone,
    Signal,
    secret_hash,
)
from tieline.wire.replies import Reconnect, RoomOnly, Roster, TokenExpiring, TokenRefreshed

UNKNOWN: Final = "unknown"
"""What an unreadable or unknown command is called in the metrics: clients must not invent labels."""


NO_WORD: Final = 1006
"""What RFC 6455 calls a connection that ended without a close frame."""

FINAL_CLOSES: Final = frozenset(
    (CloseCode.NORMAL, CloseCode.KICKED, CloseCode.FLOODING, CloseCode.PROTOCOL_VIOLATION)
)
"""Ends after which nobody waits for the client to resume: its own goodbye, and our sending it away."""


class Say(msgspec.Struct, frozen=True, gc=False):
    """Answer the client; an empty frame says nothing. `outcome` is for the metrics and the log."""

    frame: bytes
    request_id: str
    cmd: str
    outcome: str


class AskRouter(msgspec.Struct, frozen=True, gc=False):
    """Ask a router to carry a signal."""

    request_id: str
    cmd: str
    signal: Signal


class AskPresence(NamedTuple):
    """Ask presence about a room, or to know the session by a newer token's claims."""

    request_id: str
    cmd: str
    room: RoomId
    """Empty when it is about claims."""
    request: JoinRoom | LeaveRoom | ListMembers | Regrant
    claims: Claims | None = None
    """What the session has when presence agrees."""


class AskKeys(NamedTuple):
    """Ask for fresh keys: a newer token is of one that is not known."""

    request_id: str
    cmd: str
    token: str


class HangUp(NamedTuple):
    """Close the connection: its session is over."""

    code: CloseCode
    request_id: str
    cmd: str


Action = Say | AskRouter | AskPresence | AskKeys


class Terms(NamedTuple):
    """What a gateway grants every client alike, and whom it believes."""

    ice_servers: IceServers
    tokens: Tokens
    rate_limit: int = 0
    """Messages a second a connection; 0: no limit."""


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
        if isinstance(message, envelope.Signal):
            return self._to_somebody(message, frame)
        match message:
            case Malformed(refusal=refusal, request_id=request_id, cmd=cmd):
                return _refuse(request_id, cmd, refusal)
            case Ping(request_id=request_id, data=data):
                return Say(replies.success(request_id, "PONG", data), request_id, "PING", "ok")
            case envelope.IceServers(request_id=request_id):
                servers = self.terms.ice_servers.listed(self.user, now)
                reply = replies.success(request_id, "ICE_SERVERS", servers)
                return Say(reply, request_id, "ICE_SERVERS", "ok")
            case RefreshToken(request_id=request_id, data=body):
                return self._refresh(request_id, body.token, now)
            case Join() | Leave() | Members():  # pragma: no branch  # there is no other
                return self._about_room(message)

    def over_limit(self, frame: bytes) -> Say:
        """Refuse a frame because there are too many; it is not carried out."""
        message = envelope.decode(frame)
        cmd = message.cmd if isinstance(message, Malformed) else envelope.command_of(message)
        return _refuse(message.request_id, cmd, ErrorCode.RATE_LIMITED)

    def _to_somebody(self, message: envelope.Signal, frame: bytes) -> Action:
        body, cmd = message.data, envelope.command_of(message)
        if body.sender != self.claims.sub:
            return _refuse(message.request_id, cmd, ErrorCode.SENDER_MISMATCH)
        if body.to == body.sender:
            return _refuse(message.request_id, cmd, ErrorCode.BAD_MESSAGE)
        signal = Signal(self.user, self.session, UserId(body.to), frame, self.acks)
        return AskRouter(message.request_id, cmd, signal)

    def _refresh(self, request_id: str, token: str, now: float) -> Say | AskPresence | AskKeys:
        try:
            claims = self.terms.tokens.verify(token, now)
        except UnknownKey:
            return AskKeys(request_id, "REFRESH_TOKEN", token)
        except BadToken:
            return _refuse(request_id, "REFRESH_TOKEN", ErrorCode.BAD_TOKEN)
        if claims.sub != self.claims.sub:
            return _refuse(request_id, "REFRESH_TOKEN", ErrorCode.SENDER_MISMATCH)
        rooms = tuple(self.rooms)
        regrant = Regrant(self.user, self.session, claims.voice, claims.granted, rooms)
        return AskPresence(request_id, "REFRESH_TOKEN", RoomId(""), regrant, claims)

    def hear_keys(self, ask: AskKeys, is_fresh: bool, now: float) -> Say | AskPresence:
        """Decide on a newer token with the keys as they are now; not `is_fresh`: they could not be had."""
        action = self._refresh(ask.request_id, ask.token, now)
        if isinstance(action, AskKeys):
            return _refuse(ask.request_id, ask.cmd, ErrorCode.BAD_TOKEN if is_fresh else ErrorCode.INTERNAL)
        return action

    def _about_room(self, message: Join | Leave | Members) -> Action:
        request_id, room = message.request_id, RoomId(message.data.room)
        match message:
            case Join() if not self.claims.may_join(room):
                return _refuse(request_id, "JOIN", ErrorCode.ROOM_FORBIDDEN)
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
                frame = replies.ack(ask.request_id, ask.cmd, ack) if self.acks else b""
                return Say(frame, ask.request_id, ask.cmd, ack)
            case _:
                return _hear_no(ask.request_id, ask.cmd, reply)

    def hear_presence(self, ask: AskPresence, reply: PresenceReply | None) -> Say | HangUp:
        """Say what presence's reply means; None: there was none."""
        match reply:
            case RoomMembers(members=members):
                data: Roster | RoomOnly | TokenRefreshed = Roster(ask.room, members)
                self.rooms.update((ask.room, line.joined_at) for line in members if line.user_id == self.user)
            case Done() if ask.claims is not None:
                self.claims = ask.claims
                self.rooms = {room: at for room, at in self.rooms.items() if self.claims.may_join(room)}
                data = TokenRefreshed(self.claims.expires_at_ms)
            case Done():
                data = RoomOnly(ask.room)
                self.rooms.pop(ask.room, None)
            case Refused() | SessionGone() | None:
                return _hear_no(ask.request_id, ask.cmd, reply)
            case _:
                raise TypeError(f"presence answered {ask.cmd} with {type(reply).__name__}")
        return Say(replies.success(ask.request_id, ask.cmd, data), ask.request_id, ask.cmd, "ok")

    def opening(self, gateway: GatewayId, resume: ResumeToken | None) -> OpenSession:
        """Ask presence to begin this session, or to resume the one with that secret instead."""
        claims = self.claims
        join = tuple(RoomId(room) for room in claims.join)
        return OpenSession(
            self.user,
            self.session,
            gateway,
            self.connection,
            claims.voice,
            join,
            self.secret,
            secret_hash(resume) if resume else SecretHash(b""),
            claims.granted,
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
        return replies.success(f"reconnect-{self.connection}", "RECONNECT", event)

    def expiring(self) -> bytes:
        """Make the event that warns of the token's end."""
        expires_at = self.claims.expires_at_ms
        return replies.success(
            f"expiring-{self.session}-{expires_at}", "TOKEN_EXPIRING", TokenExpiring(expires_at)
        )


def _hear_no(request_id: str, cmd: str, reply: Refused | SessionGone | None) -> Say | HangUp:
    match reply:
        case Refused():
            return _refuse(request_id, cmd, reply.refusal)
        case SessionGone(replaced=replaced):
            return HangUp(CloseCode.REPLACED if replaced else CloseCode.BROKER_LOST, request_id, cmd)
        case None:  # pragma: no branch  # there is no other
            return _refuse(request_id, cmd, ErrorCode.INTERNAL)


def _refuse(request_id: str, cmd: str, refusal: ErrorCode) -> Say:
    return Say(
        replies.error(request_id, cmd, refusal),
        request_id,
        cmd if cmd in envelope.COMMANDS else UNKNOWN,
        refusal.reason,
    )
