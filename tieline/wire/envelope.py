"""What a client may send. What it is answered, and told, is in `replies`.

One JSON object a text frame. Decoding names everything that can be wrong with a frame and never reads
`data.data`: it is skipped as raw JSON, and what is relayed is the frame as it came, not this decoding.
The counterpart, for the client library, is `tieline.client`.

A frame that names `cmd` twice with two values is refused by the decoder, so that no receiver can read
another command than the one that was checked. For other keys named twice the last one counts, here as in
every browser.
"""

import functools
import re
from typing import Final, Literal, get_args

import msgspec

from tieline.wire.codes import ErrorCode
from tieline.wire.ids import is_valid_id

MAX_MESSAGE_BYTES: Final = 65_536
"""The longest message a client may send, in bytes; longer ones close the connection with 1009."""

MAX_DEPTH: Final = 512
"""How deep a message may nest: more would exhaust the stack of receivers that parse recursively."""

SIGNAL_COMMANDS: Final = ("WEBRTC_OFFER", "WEBRTC_ANSWER", "WEBRTC_ICE_CANDIDATE", "WEBRTC_HANGUP")


class SignalBody(msgspec.Struct, frozen=True, gc=False):
    """`data` of the four WEBRTC commands; `data` in it belongs to the two clients alone."""

    sender: str = msgspec.field(name="from")
    to: str
    data: msgspec.Raw


class RoomBody(msgspec.Struct, frozen=True, gc=False):
    """`data` of JOIN, LEAVE and MEMBERS."""

    room: str


class TokenBody(msgspec.Struct, frozen=True, gc=False):
    """`data` of REFRESH_TOKEN."""

    token: str


class _FromClient(msgspec.Struct, frozen=True, gc=False, tag_field="cmd"):
    request_id: str = msgspec.field(name="requestId")
    module: Literal["ROOM"]


class Offer(_FromClient, frozen=True, gc=False, tag="WEBRTC_OFFER"):
    """Start, or renegotiate, a voice connection."""

    data: SignalBody


class Answer(_FromClient, frozen=True, gc=False, tag="WEBRTC_ANSWER"):
    """Accept the target's waiting offer."""

    data: SignalBody


class Candidate(_FromClient, frozen=True, gc=False, tag="WEBRTC_ICE_CANDIDATE"):
    """One way to reach the sender."""

    data: SignalBody


class Hangup(_FromClient, frozen=True, gc=False, tag="WEBRTC_HANGUP"):
    """End the negotiation with the target."""

    data: SignalBody


class Join(_FromClient, frozen=True, gc=False, tag="JOIN"):
    """Become a member of a room."""

    data: RoomBody


class Leave(_FromClient, frozen=True, gc=False, tag="LEAVE"):
    """Stop being a member of a room."""

    data: RoomBody


class Members(_FromClient, frozen=True, gc=False, tag="MEMBERS"):
    """Ask who is in a room."""

    data: RoomBody


class Ping(_FromClient, frozen=True, gc=False, tag="PING"):
    """Ask for the same data back."""

    data: msgspec.Raw = msgspec.Raw(b"null")


class IceServers(_FromClient, frozen=True, gc=False, tag="ICE_SERVERS"):
    """Ask for the STUN and TURN servers, with credentials of one's own; whatever `data` says is not read."""

    data: msgspec.Raw = msgspec.Raw(b"null")


class RefreshToken(_FromClient, frozen=True, gc=False, tag="REFRESH_TOKEN"):
    """Stay with a newer token, and with what that one grants."""

    data: TokenBody


Signal = Offer | Answer | Candidate | Hangup
ClientMessage = Signal | Join | Leave | Members | Ping | IceServers | RefreshToken
COMMANDS: Final = frozenset(
    (*SIGNAL_COMMANDS, "JOIN", "LEAVE", "MEMBERS", "PING", "ICE_SERVERS", "REFRESH_TOKEN")
)


_COMMAND_OF: Final = {kind: str(kind.__struct_config__.tag) for kind in get_args(ClientMessage)}


class Malformed(msgspec.Struct, frozen=True):
    """A frame that is no message: the refusal, with whatever of it could be read."""

    refusal: ErrorCode
    request_id: str = ""
    cmd: str = ""


_decoder: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)
_loose = msgspec.json.Decoder(dict[str, msgspec.Raw])
_string = msgspec.json.Decoder(str)

REPLACED: Final = "\x01"
"""What stands for a lone surrogate, see `_without_lone_surrogates`."""

_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair of surrogates
    rb"|(u[dD][89a-fA-F][0-9a-fA-F]{2})"  # a lone one
    rb"|.)",
    re.DOTALL,
)


def decode(frame: bytes) -> ClientMessage | Malformed:
    """Decode one client frame of at most `MAX_MESSAGE_BYTES` of valid UTF-8.

    Ids are checked; whether `from` is the authenticated user, and `to` somebody else, is the session's
    business. Never raises for anything that `frame` holds.
    """
    if len(frame) > MAX_DEPTH and frame.count(b"[") + frame.count(b"{") > MAX_DEPTH < _depth(frame):
        return Malformed(ErrorCode.BAD_MESSAGE)
    try:
        message = _decoder.decode(frame)
    except (msgspec.DecodeError, RecursionError):
        readable = _without_lone_surrogates(frame)
        if readable == frame:
            return _why_not(frame)
        try:
            message = _decoder.decode(readable)
        except (msgspec.DecodeError, RecursionError):
            return _why_not(readable)
        if isinstance(message, Ping):  # its data goes back as it was read, and must not be another
            return Malformed(ErrorCode.BAD_MESSAGE, message.request_id, "PING")
        if isinstance(message, RefreshToken) and REPLACED in message.data.token:  # nor must this be another
            return Malformed(ErrorCode.BAD_MESSAGE, message.request_id, "REFRESH_TOKEN")
    if not is_valid_id(message.request_id):
        return Malformed(ErrorCode.BAD_MESSAGE, "", command_of(message))
    if not _names_are_valid(message):
        return Malformed(ErrorCode.BAD_MESSAGE, message.request_id, command_of(message))
    return message


def _names_are_valid(message: ClientMessage) -> bool:
    body = message.data
    if isinstance(body, SignalBody):
        return _is_valid_name(body.sender) and _is_valid_name(body.to)
    return not isinstance(body, RoomBody) or _is_valid_name(body.room)


_is_valid_name = functools.lru_cache(maxsize=16_384)(is_valid_id)
"""Names come again and again, unlike the ids of requests."""


class _Named(msgspec.Struct, frozen=True):
    request_id: str = msgspec.field(name="requestId", default="")


_named = msgspec.json.Decoder(_Named)


def request_id_of(frame: bytes) -> str:
    """Read the `requestId` of a frame that was accepted or made here; "" if it has none that can be read."""
    try:
        return _named.decode(_without_lone_surrogates(frame)).request_id
    except (msgspec.DecodeError, RecursionError):
        return ""


def command_of(message: ClientMessage) -> str:
    """Name a message's command."""
    return _COMMAND_OF[type(message)]


def _why_not(frame: bytes) -> Malformed:
    """Say what is wrong with a frame that is no message, echoing what can be read of it."""
    try:
        fields = _loose.decode(frame)
    except (msgspec.DecodeError, RecursionError):
        return Malformed(ErrorCode.BAD_MESSAGE)
    request_id, cmd = _text(fields.get("requestId")), _text(fields.get("cmd"))
    unknown = request_id and _text(fields.get("module")) == "ROOM" and cmd and cmd not in COMMANDS
    return Malformed(ErrorCode.UNKNOWN_COMMAND if unknown else ErrorCode.BAD_MESSAGE, request_id, cmd)


def _text(raw: msgspec.Raw | None) -> str:
    """Read a field as an id-like text; "" if it is none."""
    if raw is None:
        return ""
    try:
        text = _string.decode(raw)
    except msgspec.DecodeError:
        return ""
    return text if is_valid_id(text) else ""


def _without_lone_surrogates(frame: bytes) -> bytes:
    """Replace escapes of lone surrogates, which JSON allows and UTF-8 cannot hold, by a control character.

    In `data.data` that makes the frame readable without touching what is relayed; in an id the control
    character makes it invalid, as it should be.
    """
    if b"\\u" not in frame:
        return frame
    return _ESCAPE.sub(lambda escape: b"\\u0001" if escape[1] else escape[0], frame)


def _depth(frame: bytes) -> int:
    """Count how deep the brackets of a frame nest, outside its strings."""
    deepest = depth = 0
    for bracket in re.finditer(rb'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', frame, re.DOTALL):
        match bracket[0]:
            case b"[" | b"{":
                depth += 1
                deepest = max(deepest, depth)
            case b"]" | b"}":
                depth -= 1
    return deepest
