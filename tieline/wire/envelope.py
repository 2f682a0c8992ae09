"""What a client may send. What it is answered, and told, is in `replies`.

One JSON object a text frame. Decoding names everything that can be wrong with a frame and never reads
`data.data`: it is skipped as raw JSON, and what is relayed is the frame as it came, not this decoding.
The counterpart, for the client library, is `tieline.client`.

A frame that names `cmd` twice with two values is refused by the decoder, so that no receiver can read
another command than the one that was checked. For other keys named twice the last one counts, here as in
every browser.
"""

import functools
import itertools
import operator
import re
import sys
import zlib
from typing import Annotated, Final, Literal, NamedTuple

import msgspec

from tieline.wire.codes import ErrorCode
from tieline.wire.ids import is_valid_id

MAX_MESSAGE_BYTES: Final = 65_536
"""The longest message a client may send, in bytes; longer ones close the connection with 1009."""

MAX_DEPTH: Final = 512
"""The deepest nesting of a message: more would exhaust the stack of receivers that parse recursively."""


MAX_PAGE: Final = 1_000
"""The most members in one page of a room's list."""


class SignalBody(msgspec.Struct, frozen=True, gc=False):
    """`data` of the four WEBRTC commands; the server never reads the `data` in it."""

    sender: str = msgspec.field(name="from")
    to: str
    data: msgspec.Raw


class RoomBody(msgspec.Struct, frozen=True, gc=False):
    """`data` of JOIN and LEAVE, and in part of MEMBERS."""

    room: str


class MembersBody(RoomBody, frozen=True, gc=False):
    """`data` of MEMBERS: all members, or a page of them."""

    after: str = ""
    """Where the page begins, as the page before it has said in `next`."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)] = 0
    """How many members it has at most; 0: the client does not say."""


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

    data: MembersBody


class Ping(_FromClient, frozen=True, gc=False, tag="PING"):
    """Ask for the same data back."""

    data: msgspec.Raw = msgspec.Raw(b"null")


class IceServers(_FromClient, frozen=True, gc=False, tag="ICE_SERVERS"):
    """Ask for the STUN and TURN servers, with credentials for this user; `data` is not read."""

    data: msgspec.Raw = msgspec.Raw(b"null")


class RefreshToken(_FromClient, frozen=True, gc=False, tag="REFRESH_TOKEN"):
    """Go on with a newer token, and what it grants."""

    data: TokenBody


Signal = Offer | Answer | Candidate | Hangup
ClientMessage = Signal | Join | Leave | Members | Ping | IceServers | RefreshToken


class Command(NamedTuple):
    """One line of the table of commands (docs/protocol.md#3-commands)."""

    message: type[ClientMessage]
    to: Literal["user", "room", "server"]
    """Whom it is addressed to: `data.to`, the members of `data.room`, or the server alone."""
    reply: str
    """The `cmd` of the reply; "": the server does not reply, but acknowledges if asked to."""
    acks: tuple[Literal["relayed", "held"], ...] = ()
    """The acks that there are."""


COMMANDS: Final[dict[str, Command]] = {
    "WEBRTC_OFFER": Command(Offer, "user", "", ("relayed",)),
    "WEBRTC_ANSWER": Command(Answer, "user", "", ("relayed",)),
    "WEBRTC_ICE_CANDIDATE": Command(Candidate, "user", "", ("relayed", "held")),
    "WEBRTC_HANGUP": Command(Hangup, "user", "", ("relayed",)),
    "JOIN": Command(Join, "room", "JOIN"),
    "LEAVE": Command(Leave, "room", "LEAVE"),
    "MEMBERS": Command(Members, "room", "MEMBERS"),
    "PING": Command(Ping, "server", "PONG"),
    "ICE_SERVERS": Command(IceServers, "server", "ICE_SERVERS"),
    "REFRESH_TOKEN": Command(RefreshToken, "server", "REFRESH_TOKEN"),
}
"""Every command that a client may send."""

SIGNAL_COMMANDS: Final = tuple(cmd for cmd, command in COMMANDS.items() if command.to == "user")
"""Those that are relayed to another user."""

COMMAND_OF: Final = {command.message: cmd for cmd, command in COMMANDS.items()}


class Malformed(msgspec.Struct, frozen=True):
    """A frame that is no message: the refusal, with those of its fields that could be read."""

    refusal: ErrorCode
    request_id: str = ""
    cmd: str = ""


UNREADABLE: Final = Malformed(ErrorCode.BAD_MESSAGE)
"""The refusal of a frame of which nothing could be read."""

_decoder: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)


class _Loose(msgspec.Struct, frozen=True, gc=False):
    """The fields of a frame that a refusal names, whatever they are."""

    request_id: msgspec.Raw = msgspec.field(name="requestId", default=msgspec.Raw())
    module: msgspec.Raw = msgspec.Raw()
    cmd: msgspec.Raw = msgspec.Raw()


_loose = msgspec.json.Decoder(_Loose)
_string = msgspec.json.Decoder(str)

REPLACED: Final = "\x01"
"""The stand-in for a lone surrogate; see `_without_lone_surrogates`."""

_HIGH: Final = rb"[89abAB][0-9a-fA-F]{2}"
_LOW: Final = rb"[c-fC-F][0-9a-fA-F]{2}"
_ALONE: Final = rb"\\u[dD](?:%b(?:\\u[dD]%b)*(?!\\u[dD]%b)|%b(?<!\\u[dD]%b\\u[dD]%b)(?:\\u[dD]%b)*+)" % (
    _HIGH, _HIGH, _LOW, _LOW, _HIGH, _LOW, _LOW,
)  # fmt: skip
_PAIR: Final = rb"\\u[dD]%b\\u[dD]%b" % (_HIGH, _LOW)
_OTHER: Final = rb"\\u(?![dD][89a-fA-F])[0-9a-fA-F]{4}"
_BESIDE: Final = rb"(?>[^\"\\\x00-\x1f]+|\\[\"/bfnrt]|%b|%b)*+" % (_OTHER, _PAIR)
_LONE = re.compile(rb"%b(?>%b%b)*+" % (_ALONE, _BESIDE, _ALONE))
"""From the first escape of a lone surrogate to the last one of a string; every backslash begins an escape."""

_NO_TEXT: Final = b"\xff\xff"
"""Stands for an escaped backslash meanwhile: no UTF-8, and as long."""


def decode(frame: bytes) -> ClientMessage | Malformed:
    """Decode one client frame of at most `MAX_MESSAGE_BYTES` of valid UTF-8.

    Ids are checked; that `from` is the authenticated user, and `to` another one, is checked by the gateway's
    session. Never raises for anything that `frame` holds.
    """
    message = _decode(frame)
    if (
        len(frame) > MAX_DEPTH
        and frame.count(b"[") + frame.count(b"{") > MAX_DEPTH
        and message != UNREADABLE  # is no JSON at all: no need to look
        and is_too_deep(frame)
    ):
        return UNREADABLE
    return message


def _decode(frame: bytes) -> ClientMessage | Malformed:
    """Decode a frame however deep it nests: the decoder itself gives up where the stack would end."""
    try:
        message = _decoder.decode(frame)
    except (msgspec.DecodeError, RecursionError):
        mark = b"\\u0001%08x" % zlib.crc32(frame)  # what nearly no frame has in it by itself
        readable = _without_lone_surrogates(frame, mark)
        if readable == frame:
            return _why_not(frame)
        try:
            message = _decoder.decode(readable)
        except (msgspec.DecodeError, RecursionError):
            return _why_not(readable)
        # The data of a PING goes back as it was read, and must be what was sent; so must a token.
        if isinstance(message, Ping) and _data_was_replaced(frame, message, mark):
            return Malformed(ErrorCode.BAD_MESSAGE, message.request_id, "PING")
        if isinstance(message, RefreshToken) and REPLACED in message.data.token:
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
"""Cached, because names recur, unlike the ids of requests."""


class _Named(msgspec.Struct, frozen=True):
    request_id: str = msgspec.field(name="requestId", default="")


_named = msgspec.json.Decoder(_Named)


def request_id_of(frame: bytes) -> str:
    """Read the `requestId` of a frame that was accepted or made here; "" if it has none that can be read."""
    try:
        return _named.decode(_without_lone_surrogates(frame)).request_id
    except (msgspec.DecodeError, RecursionError):
        return ""


class _From(msgspec.Struct, frozen=True):
    sender: str = msgspec.field(name="from", default="")


class _Origin(msgspec.Struct, frozen=True):
    request_id: str = msgspec.field(name="requestId", default="")
    data: _From | None = None


_origin = msgspec.json.Decoder(_Origin)


def origin_of(frame: bytes) -> tuple[str, str]:
    """Read the `requestId` and the sender of a frame that was accepted or made here.

    Each is "" if it is not there or cannot be read. Whatever stands in the frame, it costs a third of a
    millisecond at most: one that holds lone surrogates is read with all its surrogates replaced, also those
    of an id that is written as such escapes, which then reads as another one.
    """
    try:
        origin = _origin.decode(frame)
    except (msgspec.DecodeError, RecursionError):
        try:
            origin = _origin.decode(frame.replace(rb"\ud", rb"\u0").replace(rb"\uD", rb"\u0"))
        except (msgspec.DecodeError, RecursionError):
            return request_id_of(frame), ""
    return origin.request_id, "" if origin.data is None else origin.data.sender


def command_of(message: ClientMessage) -> str:
    """Name a message's command."""
    return COMMAND_OF[type(message)]


def _why_not(frame: bytes) -> Malformed:
    """Say what is wrong with a frame that is no message, with its fields that can be read."""
    try:
        fields = _loose.decode(frame)
    except (msgspec.DecodeError, RecursionError):
        return UNREADABLE
    request_id, cmd = _text(fields.request_id), _text(fields.cmd)
    unknown = request_id and _text(fields.module) == "ROOM" and cmd and cmd not in COMMANDS
    return Malformed(ErrorCode.UNKNOWN_COMMAND if unknown else ErrorCode.BAD_MESSAGE, request_id, cmd)


def _text(raw: msgspec.Raw) -> str:
    """Read a field as an id-like text; "" if it is none."""
    try:
        text = _string.decode(raw)
    except msgspec.DecodeError:
        return ""
    return text if is_valid_id(text) else ""


def _data_was_replaced(frame: bytes, message: Ping, mark: bytes) -> bool:
    """Whether there are lone surrogates in the `data` of a frame that was read without them as `message`."""
    if mark not in bytes(message.data):
        return False
    if mark not in frame:
        return True
    otherwise = _decoder.decode(_without_lone_surrogates(frame, b"\\u0002"))
    return not isinstance(otherwise, Ping) or bytes(otherwise.data) != bytes(message.data)


def _without_lone_surrogates(frame: bytes, replacement: bytes = b"\\u0001") -> bytes:
    """Replace escapes of lone surrogates, which JSON allows and UTF-8 cannot hold, by a control character.

    In `data.data` that makes the frame readable without touching what is relayed; in an id the control
    character makes it invalid, as it should be. All of them in a string are replaced by one, with what stands
    between them: there may be thousands.
    """
    if b"\\u" not in frame:
        return frame
    masked = frame.replace(b"\\\\", _NO_TEXT)
    return _LONE.sub(replacement.replace(b"\\", b"\\\\"), masked).replace(_NO_TEXT, b"\\\\")


_OPEN, _SHUT = b"10"
_AS_BITS: Final = bytes(_OPEN if byte in b"[{" else _SHUT if byte in b"]}" else byte for byte in range(256))
_NEITHER: Final = bytes(byte for byte in range(256) if byte not in b'[]{}"')


def _rise_and_peak(byte: int) -> tuple[int, int]:
    """Tell of eight brackets, 1 for one that opens, how much deeper they end, and how deep they go."""
    depth = peak = 0
    for bit in range(7, -1, -1):
        depth += 1 if byte >> bit & 1 else -1
        peak = max(peak, depth)
    return depth, peak


_RISES, _PEAKS = zip(*map(_rise_and_peak, range(256)), strict=True)
_RISES_OF_16: Final = tuple(one + other for one in _RISES for other in _RISES)
_PEAKS_OF_16: Final = tuple(
    max(_PEAKS[one], _RISES[one] + _PEAKS[other]) for one in range(256) for other in range(256)
)


def is_too_deep(frame: bytes) -> bool:
    """Whether the brackets of a frame nest deeper than `MAX_DEPTH`, outside its strings.

    Of a frame that is no JSON it may say either. Sixteen brackets at a time: one by one they would take ten
    times as long, and a client may send frames of nothing else.
    """
    # Without escapes and all that is neither a quote nor a bracket, two quotes side by side enclose nothing.
    text = frame.replace(b"\\\\", b"").replace(b'\\"', b"").translate(_AS_BITS, _NEITHER).replace(b'""', b"")
    bits = b"".join(text.split(b'"')[::2])
    if b"1" * (MAX_DEPTH + 1) in bits:
        return True
    most = MAX_DEPTH
    while bits.count(b"1") > most and bits.count(b"10") > len(bits) // 4:  # many pairs: one level less
        bits = bits.replace(b"10", b"")
        most -= 1
    if bits.count(b"1") <= most:
        return False
    size = -(-len(bits) // 16)
    words = memoryview(int(bits.ljust(size * 16, b"0"), 2).to_bytes(size * 2, sys.byteorder)).cast("H")
    words = words if sys.byteorder == "big" else words[::-1]
    levels = itertools.accumulate(map(_RISES_OF_16.__getitem__, words), initial=0)
    deepest: int = max(map(operator.add, levels, map(_PEAKS_OF_16.__getitem__, words)))
    return deepest > most
