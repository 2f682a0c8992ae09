"""The client's frames: decodes those of the server into `events` and replies, encodes requests.

Pure; the server's side of the same frames is `tieline.wire`, their form docs/protocol.md#2-envelope.

A frame from another user is relayed byte for byte, with whatever that user put beside the fields that the
server checks. So only `cmd`, `requestId` and `data` of a frame are trusted until it is certain that the
server made it: its answers to WEBRTC commands have no `data`, and what other users send always has.
"""

import re
from typing import Final, TypeVar

import msgspec

from tieline.client.errors import Unreadable
from tieline.client.events import (
    Answer,
    AppMessage,
    Candidate,
    ErrorEvent,
    Hangup,
    Info,
    MemberJoined,
    MemberLeft,
    MemberUpdated,
    Message,
    Offer,
    Reconnect,
    TokenExpiring,
    Unknown,
)
from tieline.wire.envelope import COMMANDS, SIGNAL_COMMANDS, SignalBody, named_call
from tieline.wire.ids import NO_CALL, CallId, UserId
from tieline.wire.replies import RoomChanged, Roster

SUCCESS: Final = 200

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for JSON that it cannot read: malformed, not UTF-8, nested too deeply."""

DataT = TypeVar("DataT")


class Reply(msgspec.Struct, frozen=True):
    """The server's answer to one request of this client; `ack` is "" except in acks."""

    cmd: str
    request_id: str = msgspec.field(name="requestId")
    data: msgspec.Raw
    ack: str = ""
    place: str | None = None
    """In a WELCOME: up to where the session has had everything. None: the server names no places."""
    call: CallId = NO_CALL
    """Of an ack: the call that the message belongs to."""
    kept_for: float = msgspec.field(name="keptFor", default=0.0)
    """Of the ack of an offer: for how long it is kept, in seconds, for somebody who is to be woken."""


class RoomBatch(msgspec.Struct, frozen=True):
    """What has changed in a room, of several members at once."""

    changed: RoomChanged
    request_id: str


class RoomList(msgspec.Struct, frozen=True):
    """Who is in a room, which nobody has asked: too much is not known of what has changed meanwhile."""

    roster: Roster
    request_id: str


class _RoomChangedKind(msgspec.Struct, frozen=True):
    members: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Head(msgspec.Struct, frozen=True):
    """All of a frame that may be trusted before it is known who made it."""

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
    "MESSAGE": AppMessage,
    "TOKEN_EXPIRING": TokenExpiring,
    "RECONNECT": Reconnect,
}
_REPLIES: Final = frozenset(("WELCOME", *(command.reply for command in COMMANDS.values() if command.reply)))
_NULL: Final = msgspec.Raw(b"null")
_PLACE: Final = re.compile(rb'([ \t\r\n]*\{)"place":"([^"\\]*)",')

_encoder = msgspec.json.Encoder()
_heads = msgspec.json.Decoder(_Head)
_codes = msgspec.json.Decoder(_Code)
_replies = msgspec.json.Decoder(Reply)
_errors = msgspec.json.Decoder(ErrorEvent)
_room_changes = msgspec.json.Decoder(_RoomChangedKind)
_signals = msgspec.json.Decoder(SignalBody)
_anything = msgspec.json.Decoder()


def encode(request_id: str, cmd: str, data: object) -> bytes:
    """Encode one frame to send.

    Raises:
        TypeError: `data` holds something that JSON cannot express.
    """
    return _encoder.encode(_Request(request_id=request_id, cmd=cmd, data=data))


def signal_data(sender: UserId, to: str, data: object, call: CallId = NO_CALL) -> dict[str, object]:
    """Make `data` of the five WEBRTC commands; the inner `data` is the two clients' own."""
    return {"from": sender, "to": to, **({"call": call} if call else {}), "data": data}


def decode(frame: bytes) -> Message | Reply | RoomBatch | RoomList:
    """Decode one frame from the server. Never raises: what cannot be read is `Unknown`."""
    try:
        head = _heads.decode(frame)
    except UNREADABLE:
        return Unknown("", frame)
    try:
        if head.cmd in SIGNAL_COMMANDS and head.data != _NULL:
            return _signal(head)
        return _from_server(head, frame)
    except UNREADABLE:
        return Unknown(head.cmd, frame, head.request_id)


def split_place(frame: bytes) -> tuple[str, bytes]:
    """Take from a frame the place that the server has written before all else; "": there is none.

    What is left is what others have sent, byte for byte, whatever place it has.
    """
    placed = _PLACE.match(frame)
    return ("", frame) if placed is None else (placed[2].decode(), placed[1] + frame[placed.end() :])


def data_of(reply: Reply, kind: type[DataT]) -> DataT:
    """Read the data of a reply.

    Raises:
        Unreadable: it is no `kind`.
    """
    try:
        return msgspec.json.decode(reply.data, type=kind)
    except UNREADABLE as error:
        raise Unreadable(f"the reply to {reply.cmd} is unreadable: {error}") from error


def _signal(head: _Head) -> Message:
    body = _signals.decode(head.data)
    sender, detail = UserId(body.sender), _anything.decode(body.data)
    call = CallId(named_call(body) or "")
    match head.cmd:
        case "WEBRTC_OFFER":
            return Offer(sender, detail, head.request_id, call)
        case "WEBRTC_ANSWER":
            return Answer(sender, detail, head.request_id, call)
        case "WEBRTC_ICE_CANDIDATE":
            return Candidate(sender, detail, head.request_id, call)
        case "WEBRTC_INFO":
            return Info(sender, detail, head.request_id, call)
        case _:
            reason, server = _hangup_detail(detail)
            return Hangup(sender, reason, server, head.request_id, call)


def _hangup_detail(detail: object) -> tuple[str, bool]:
    """Read the reason of a hangup, and whether the server ended it. A sender's nonsense counts as nothing."""
    try:
        hangup = msgspec.convert(detail, _HangupDetail)
    except msgspec.ValidationError:
        return "", False
    return hangup.reason, hangup.server


def _from_server(head: _Head, frame: bytes) -> Message | Reply | RoomBatch | RoomList:
    if _codes.decode(frame).code != SUCCESS:
        return _errors.decode(frame)
    if head.cmd == "ROOM_CHANGED":
        return _room_changed(head)
    kind = _SERVER_EVENTS.get(head.cmd)
    if kind is not None:
        event: Message = msgspec.structs.replace(
            msgspec.json.decode(head.data, type=kind), request_id=head.request_id
        )
        return event
    if head.cmd in _REPLIES or head.cmd in SIGNAL_COMMANDS:
        return _replies.decode(frame)
    return Unknown(head.cmd, frame, head.request_id)


def _room_changed(head: _Head) -> RoomBatch | RoomList:
    if _room_changes.decode(head.data).members is msgspec.UNSET:
        return RoomBatch(msgspec.json.decode(head.data, type=RoomChanged), head.request_id)
    return RoomList(msgspec.json.decode(head.data, type=Roster), head.request_id)
