"""What the server sends to a client: replies, acks, errors and events, one JSON object a text frame.

What a client sends is in `envelope`. The counterpart, for the client library, is `tieline.client`.
"""

from typing import Final, Literal

import msgspec

from tieline.wire.codes import ErrorCode
from tieline.wire.ids import RoomId, SessionId, UserId

LeftReason = Literal["left", "disconnected", "kicked"]
"""Why a member is none any more."""

HangupReason = Literal["timeout", "disconnected", "left", "kicked"]
"""Why the server has ended a negotiation."""

CallFate = Literal["ended", "answered", "replaced"]
"""What has become of a call that a refused message names: it is over; its offer is answered; it is over, and
the two have another one."""


class Member(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One member of a room."""

    user_id: UserId
    status: Literal["online", "away"]
    voice: bool
    joined_at: int
    """Unix milliseconds."""
    in_call: bool = False
    """Its client says that it is in a call, and wants that to be seen."""


class Roster(msgspec.Struct, frozen=True, omit_defaults=True):
    """`data` of the replies to JOIN and MEMBERS, and of a ROOM_CHANGED that is a list."""

    room: RoomId
    members: tuple[Member, ...]
    number: int = 0
    """Of the last change that is in it; 0: unknown."""
    count: int | None = None
    """How many members there are, where `members` may be a part of them."""
    next: str = ""
    """Where the next page begins; "": there is none."""


class StatusSet(msgspec.Struct, frozen=True, rename="camel"):
    """`data` of the reply to STATUS."""

    in_call: bool


class RosterPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """A `Roster` as a gateway sends it: its members are encoded once, and sent often."""

    room: RoomId
    members: msgspec.Raw
    number: int = 0
    count: int | None = None
    next: str = ""


class RoomChanged(msgspec.Struct, frozen=True):
    """`data` of the event ROOM_CHANGED."""

    room: RoomId
    number: int
    joined: list[Member]
    left: list["Left"]
    updated: list[Member]


class Left(msgspec.Struct, frozen=True, rename="camel"):
    """A member who is none any more, in ROOM_CHANGED."""

    user_id: UserId
    reason: LeftReason


class AppMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`data` of the event MESSAGE: an application's own, to a user or to everybody in a room."""

    room: RoomId | msgspec.UnsetType = msgspec.UNSET
    data: msgspec.Raw


class RoomOnly(msgspec.Struct, frozen=True):
    """`data` of the reply to LEAVE."""

    room: RoomId


class IceServer(msgspec.Struct, frozen=True, omit_defaults=True):
    """One entry of `iceServers`, as browsers take it (RTCIceServer). STUN needs no credential."""

    urls: tuple[str, ...]
    username: str = ""
    credential: str = ""


class IceServerList(msgspec.Struct, frozen=True, rename="camel"):
    """`data` of the reply to ICE_SERVERS."""

    ice_servers: tuple[IceServer, ...]
    ttl: int
    """Seconds from now for which the credentials are good."""


class Welcome(msgspec.Struct, frozen=True, rename="camel"):
    """`data` of the first frame; times in seconds."""

    user_id: UserId
    session_id: SessionId
    resume_token: str
    resumed: bool
    rooms: tuple[RoomId, ...]
    resume_window: int | float
    ping_interval: int | float
    max_message_bytes: int
    offer_timeout: int | float | msgspec.UnsetType = msgspec.UNSET
    """How long an offer waits for its answer; told to clients that say and hear the names of calls."""


class MemberJoined(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """`data` of the event MEMBER_JOINED."""

    room: RoomId
    user_id: UserId
    number: int = 0
    """Of the change in the room's log; 0: it is told to a gateway that does not hear the log."""


class MemberLeft(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """`data` of the event MEMBER_LEFT."""

    room: RoomId
    user_id: UserId
    reason: LeftReason
    number: int = 0
    """See `MemberJoined`."""


class MemberUpdated(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """`data` of the event MEMBER_UPDATED."""

    room: RoomId
    user_id: UserId
    status: Literal["online", "away"]
    number: int = 0
    """See `MemberJoined`."""


class ServerHangup(msgspec.Struct, frozen=True):
    """The inner `data` of a WEBRTC_HANGUP that the server sends."""

    reason: HangupReason
    server: bool = True


class HangupBody(msgspec.Struct, frozen=True):
    """`data` of a WEBRTC_HANGUP that the server sends: `sender` is the other peer, `to` the receiver."""

    sender: UserId = msgspec.field(name="from")
    to: UserId
    data: ServerHangup


class TokenRefreshed(msgspec.Struct, frozen=True, rename="camel"):
    """`data` of the reply to REFRESH_TOKEN; Unix milliseconds."""

    expires_at: int


class TokenExpiring(msgspec.Struct, frozen=True, rename="camel"):
    """`data` of the event TOKEN_EXPIRING; Unix milliseconds."""

    expires_at: int


class Reconnect(msgspec.Struct, frozen=True, rename="camel"):
    """`data` of the event RECONNECT; milliseconds."""

    after_ms: int
    jitter_ms: int


class Success(msgspec.Struct, frozen=True, kw_only=True):
    """A reply, or an event."""

    request_id: str = msgspec.field(name="requestId")
    module: str = "ROOM"
    cmd: str
    code: int = 200
    msg: str = "success"
    data: object


class Ack(Success, frozen=True, kw_only=True):
    """The answer to a WEBRTC message that is safe."""

    ack: Literal["relayed", "held"]
    call: str | msgspec.UnsetType = msgspec.UNSET
    status: str | msgspec.UnsetType = msgspec.UNSET
    tells: bool | msgspec.UnsetType = msgspec.UNSET
    kept_for: float | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="keptFor")


class Error(msgspec.Struct, frozen=True, kw_only=True):
    """The refusal of a message."""

    request_id: str = msgspec.field(name="requestId")
    module: str = "ROOM"
    cmd: str
    code: int
    msg: str
    data: None = None
    reason: str
    argument: str | msgspec.UnsetType = msgspec.UNSET
    fate: str | msgspec.UnsetType = msgspec.UNSET
    call: str | msgspec.UnsetType = msgspec.UNSET


REPLIES: Final[dict[str, tuple[type, ...]]] = {
    "JOIN": (Roster,),
    "LEAVE": (RoomOnly,),
    "MEMBERS": (Roster,),
    "PONG": (msgspec.Raw,),
    "ICE_SERVERS": (IceServerList,),
    "REFRESH_TOKEN": (TokenRefreshed,),
    "STATUS": (StatusSet,),
}
"""What `data` is in each reply, by its `cmd` (`tieline.wire.envelope.COMMANDS`)."""

EVENTS: Final[dict[str, tuple[type, ...]]] = {
    "WELCOME": (Welcome,),
    "MEMBER_JOINED": (MemberJoined,),
    "MEMBER_LEFT": (MemberLeft,),
    "MEMBER_UPDATED": (MemberUpdated,),
    "ROOM_CHANGED": (RoomChanged, Roster),
    "WEBRTC_HANGUP": (HangupBody,),
    "MESSAGE": (AppMessage,),
    "TOKEN_EXPIRING": (TokenExpiring,),
    "RECONNECT": (Reconnect,),
}
"""What `data` is in each event of the server's own, and in its first frame: one of these."""

_encoder = msgspec.json.Encoder()


def success(request_id: str, cmd: str, data: object) -> bytes:
    """Encode a reply or an event. `data` is one of this module's structs, or `msgspec.Raw`."""
    return _encoder.encode(Success(request_id=request_id, cmd=cmd, data=data))


def ack(
    request_id: str,
    cmd: str,
    kind: Literal["relayed", "held"],
    call: str = "",
    status: str = "",
    *,
    tells: bool = False,
    kept_s: float = 0.0,
) -> bytes:
    """Encode the ack for a sender that asked for acks: its message is safe. `call`: which it belongs to.

    That of an offer says also the `status` of its target, and whether that one `tells` when it rings; of one
    that is kept for a target to be woken, for how long it is.
    """
    told = Ack(
        request_id=request_id,
        cmd=cmd,
        data=None,
        ack=kind,
        call=call or msgspec.UNSET,
        status=status or msgspec.UNSET,
        tells=tells if status else msgspec.UNSET,
        kept_for=kept_s or msgspec.UNSET,
    )
    return _encoder.encode(told)


def error(
    request_id: str, cmd: str, refusal: ErrorCode, argument: str = "", *, fate: str = "", call: str = ""
) -> bytes:
    """Encode a refusal, on account of one argument in `data` if there is one that is wrong alone.

    `fate`: what has become of the call that the message names (`CallFate`); `call`: which the two users have.
    """
    return _encoder.encode(
        Error(
            request_id=request_id,
            cmd=cmd,
            code=refusal.code,
            msg=refusal.msg,
            reason=refusal.reason,
            argument=argument or msgspec.UNSET,
            fate=fate or msgspec.UNSET,
            call=call or msgspec.UNSET,
        )
    )


def denial(status: int, msg: str, reason: str, limit: str = "") -> bytes:
    """Encode the JSON body of an HTTP refusal before the upgrade; `limit` is which one was met, if any."""
    body = {"code": status, "msg": msg, "reason": reason}
    return _encoder.encode(body | {"limit": limit} if limit else body)
