"""What the client reads and writes, typed. Pure; the server's side of the same frames is `tieline.wire`.

A frame from another user is relayed byte for byte, with whatever that user put beside the fields the server
checks. So nothing but `cmd`, `requestId` and `data` is believed of a frame until it is certain that the
server made it: the answers to WEBRTC commands have no `data`, and what others send always has.
"""

from typing import Any, Final

import msgspec

from tieline.wire.envelope import SIGNAL_COMMANDS, SignalBody
from tieline.wire.ids import RoomId, UserId

SUCCESS: Final = 200


class Offer(msgspec.Struct, frozen=True):
    """Somebody calls, or renegotiates."""

    sender: UserId
    description: Any
    request_id: str = ""


class Answer(msgspec.Struct, frozen=True):
    """Somebody accepts this client's offer."""

    sender: UserId
    description: Any
    request_id: str = ""


class Candidate(msgspec.Struct, frozen=True):
    """One way to reach the sender."""

    sender: UserId
    candidate: Any
    request_id: str = ""


class Hangup(msgspec.Struct, frozen=True):
    """The negotiation with `sender` is over; with `server`, the server ended it and says so."""

    sender: UserId
    reason: str
    server: bool
    request_id: str = ""


class MemberJoined(msgspec.Struct, frozen=True, rename="camel"):
    """A user came into a room this client is in."""

    room: RoomId
    user_id: UserId
    request_id: str = ""


class MemberLeft(msgspec.Struct, frozen=True, rename="camel"):
    """A user is gone from a room this client is in, or this client was made to leave it."""

    room: RoomId
    user_id: UserId
    reason: str
    request_id: str = ""


class MemberUpdated(msgspec.Struct, frozen=True, rename="camel"):
    """A member is away, or back."""

    room: RoomId
    user_id: UserId
    status: str
    request_id: str = ""


class TokenExpiring(msgspec.Struct, frozen=True, rename="camel"):
    """The token ends soon; `expires_at` in Unix milliseconds."""

    expires_at: int
    request_id: str = ""


class Reconnect(msgspec.Struct, frozen=True, rename="camel"):
    """The gateway will go away: connect again after `after_ms` and up to `jitter_ms` more, milliseconds."""

    after_ms: int
    jitter_ms: int
    request_id: str = ""


class ErrorEvent(msgspec.Struct, frozen=True):
    """A refusal that nobody waits for: of a message sent without an ack, or one that came too late."""

    code: int
    msg: str
    reason: str
    cmd: str = ""
    request_id: str = msgspec.field(name="requestId", default="")


class Unknown(msgspec.Struct, frozen=True):
    """A frame this version has no type for, as it came. `cmd` is "" when not even that can be read."""

    cmd: str
    frame: bytes
    request_id: str = ""


Event = (
    Offer
    | Answer
    | Candidate
    | Hangup
    | MemberJoined
    | MemberLeft
    | MemberUpdated
    | TokenExpiring
    | Reconnect
    | ErrorEvent
    | Unknown
)


class Reply(msgspec.Struct, frozen=True):
    """The server's answer to one request of this client; `ack` is "" except in acks."""

    cmd: str
    request_id: str = msgspec.field(name="requestId")
    data: msgspec.Raw
    ack: str = ""


class _Head(msgspec.Struct, frozen=True):
    """All of a frame that may be believed before it is known who made it."""

    cmd: str
    data: msgspec.Raw
    request_id: str = msgspec.field(name="requestId", default="")


class _Code(msgspec.Struct, frozen=True):
    code: int = SUCCESS


class _HangupDetail(msgspec.Struct, frozen=True):
    reason: str = ""
    server: bool = False


class _Request(msgspec.Struct, frozen=True, kw_only=True):
    request_id: str = msgspec.field(name="requestId")
    module: str = "ROOM"
    cmd: str
    code: int = SUCCESS
    msg: str = "success"
    data: object


_SERVER_EVENTS: Final = {
    "MEMBER_JOINED": MemberJoined,
    "MEMBER_LEFT": MemberLeft,
    "MEMBER_UPDATED": MemberUpdated,
    "TOKEN_EXPIRING": TokenExpiring,
    "RECONNECT": Reconnect,
}
_REPLIES: Final = frozenset(("WELCOME", "JOIN", "LEAVE", "MEMBERS", "PONG"))
_NULL: Final = msgspec.Raw(b"null")

_encoder = msgspec.json.Encoder()
_heads = msgspec.json.Decoder(_Head)
_codes = msgspec.json.Decoder(_Code)
_replies = msgspec.json.Decoder(Reply)
_errors = msgspec.json.Decoder(ErrorEvent)
_signals = msgspec.json.Decoder(SignalBody)
_anything = msgspec.json.Decoder()


def encode(request_id: str, cmd: str, data: object) -> bytes:
    """Encode one frame to send.

    Raises:
        TypeError: `data` holds something that JSON has no word for.
    """
    return _encoder.encode(_Request(request_id=request_id, cmd=cmd, data=data))


def signal_data(sender: UserId, to: str, data: object) -> dict[str, object]:
    """Make `data` of the four WEBRTC commands; the inner `data` is the two clients' own."""
    return {"from": sender, "to": to, "data": data}


def decode(frame: bytes) -> Event | Reply:
    """Decode one frame from the server. Never raises: what cannot be read is `Unknown`."""
    try:
        head = _heads.decode(frame)
    except (msgspec.DecodeError, RecursionError):
        return Unknown("", frame)
    try:
        if head.cmd in SIGNAL_COMMANDS and head.data != _NULL:
            return _signal(head)
        return _from_server(head, frame)
    except (msgspec.DecodeError, RecursionError):
        return Unknown(head.cmd, frame, head.request_id)


def _signal(head: _Head) -> Event:
    body = _signals.decode(head.data)
    sender, detail = UserId(body.sender), _anything.decode(body.data)
    match head.cmd:
        case "WEBRTC_OFFER":
            return Offer(sender, detail, head.request_id)
        case "WEBRTC_ANSWER":
            return Answer(sender, detail, head.request_id)
        case "WEBRTC_ICE_CANDIDATE":
            return Candidate(sender, detail, head.request_id)
        case _:
            reason, server = _hangup_detail(detail)
            return Hangup(sender, reason, server, head.request_id)


def _hangup_detail(detail: object) -> tuple[str, bool]:
    """Read what a hangup says. The sender may say anything: what makes no sense counts as unsaid."""
    try:
        said = msgspec.convert(detail, _HangupDetail)
    except msgspec.ValidationError:
        return "", False
    return said.reason, said.server


def _from_server(head: _Head, frame: bytes) -> Event | Reply:
    if _codes.decode(frame).code != SUCCESS:
        return _errors.decode(frame)
    kind = _SERVER_EVENTS.get(head.cmd)
    if kind is not None:
        event: Event = msgspec.structs.replace(
            msgspec.json.decode(head.data, type=kind), request_id=head.request_id
        )
        return event
    if head.cmd in _REPLIES or head.cmd in SIGNAL_COMMANDS:
        return _replies.decode(frame)
    return Unknown(head.cmd, frame, head.request_id)
