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
import sys
from typing import Annotated, Final, Literal, NamedTuple

import msgspec

from tieline.wire.codes import ErrorCode
from tieline.wire.ids import MAX_ID_BYTES, is_valid_id

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
    call: msgspec.Raw = msgspec.Raw()
    """See `named_call`. Clients that did not ask for names may mean anything by it."""


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


class Signal(_FromClient, frozen=True, gc=False, tag="(any signal)"):
    """What is relayed to another user."""

    data: SignalBody


class Offer(Signal, frozen=True, gc=False, tag="WEBRTC_OFFER"):
    """Start, or renegotiate, a voice connection."""


class Answer(Signal, frozen=True, gc=False, tag="WEBRTC_ANSWER"):
    """Accept the target's waiting offer."""


class Candidate(Signal, frozen=True, gc=False, tag="WEBRTC_ICE_CANDIDATE"):
    """One way to reach the sender."""


class Hangup(Signal, frozen=True, gc=False, tag="WEBRTC_HANGUP"):
    """End the negotiation with the target."""


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


ClientMessage = (
    Offer | Answer | Candidate | Hangup | Join | Leave | Members | Ping | IceServers | RefreshToken
)


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

COMMAND_OF: Final[dict[type[_FromClient], str]] = {command.message: cmd for cmd, command in COMMANDS.items()}


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

_raw = msgspec.json.Decoder(msgspec.Raw)

_MAX_WRITTEN_ID: Final = 2 + 6 * MAX_ID_BYTES
"""The longest id in quotes: all of it in escapes, of six bytes each."""


class _Body(msgspec.Struct, frozen=True, gc=False):
    sender: msgspec.Raw = msgspec.field(name="from", default=msgspec.Raw())
    to: msgspec.Raw = msgspec.Raw()
    room: msgspec.Raw = msgspec.Raw()
    after: msgspec.Raw = msgspec.Raw()
    token: msgspec.Raw = msgspec.Raw()


class _Exact(msgspec.Struct, frozen=True, gc=False):
    """The fields of a message as they were written."""

    request_id: msgspec.Raw = msgspec.field(name="requestId", default=msgspec.Raw())
    data: _Body = msgspec.field(default_factory=_Body)


_exact = msgspec.json.Decoder(_Exact)


def decode(frame: bytes) -> ClientMessage | Malformed:
    """Decode one client frame of at most `MAX_MESSAGE_BYTES` of valid UTF-8.

    Ids are checked; that `from` is the authenticated user, and `to` another one, is checked by the gateway's
    session. Never raises for anything that `frame` holds.
    """
    try:
        message = _decoder.decode(frame)
    except (msgspec.DecodeError, RecursionError):
        found = _decode_oddly_written(frame)
        if isinstance(found, Malformed):
            # Of what is no JSON at all there is no need to look how deep it nests.
            return UNREADABLE if found != UNREADABLE and _is_deep(frame) else found
        message = found
    if len(frame) > MAX_DEPTH and _is_deep(frame):
        return UNREADABLE
    if not is_valid_id(message.request_id):
        return Malformed(ErrorCode.BAD_MESSAGE, "", command_of(message))
    if not _names_are_valid(message):
        return Malformed(ErrorCode.BAD_MESSAGE, message.request_id, command_of(message))
    return message


def _is_deep(frame: bytes) -> bool:
    return frame.count(b"[") + frame.count(b"{") > MAX_DEPTH and is_too_deep(frame)


def _decode_oddly_written(frame: bytes) -> ClientMessage | Malformed:
    """Decode a frame with lone surrogates, or say why it is no message.

    The decoder itself gives up where nesting would end the stack.
    """
    if not _may_have_surrogates(frame):
        return _why_not(frame, frame)
    masked = _masked(frame)
    try:
        message = _decoder.decode(masked)
    except (msgspec.DecodeError, RecursionError):
        return _why_not(masked, frame)
    return _as_written(message, masked, frame)


def _may_have_surrogates(frame: bytes) -> bool:
    return b"\\ud" in frame or b"\\uD" in frame


def _masked(frame: bytes) -> bytearray:
    r"""Copy a frame, with a harmless escape in the place of each one of a surrogate, lone or not.

    JSON allows escapes of lone surrogates, and UTF-8 cannot hold them, so the decoder refuses them wherever
    they stand. All of `\ud000` to `\udfff` become `\ue000` to `\uefff`: as long, as correct, and no part of
    the name of a field or of a command, so that the copy has the same fields in the same places. A `Raw` of
    the decoder is a view of what it decodes: the frame is written over the copy, and it holds what was sent.
    """
    return bytearray(frame.replace(b"\\ud", b"\\ue").replace(b"\\uD", b"\\uE"))


def _as_written(message: ClientMessage, masked: bytearray, frame: bytes) -> ClientMessage | Malformed:
    """Read what was decoded of a masked frame once more, from the frame itself.

    A text with a lone surrogate is none. That makes an id invalid, as it should be, and a token; so it does
    the data of a PING, which goes back as it was read. What is relayed may hold them anywhere else.
    """
    if isinstance(message, Ping | IceServers):
        fields = _loose.decode(masked)
        masked[:] = frame
        request_id, data = _written(fields.request_id), msgspec.Raw(bytes(message.data))
        if isinstance(message, IceServers):
            return IceServers(request_id, "ROOM", data)
        return Ping(request_id, "ROOM", data) if _is_json(data) else _spoiled(request_id, "PING")
    exact = _exact.decode(masked)
    masked[:] = frame
    request_id, body = _written(exact.request_id), exact.data
    if isinstance(message, RefreshToken):
        if not _is_json(body.token):
            return _spoiled(request_id, "REFRESH_TOKEN")
        return RefreshToken(request_id, "ROOM", TokenBody(_written(body.token)))
    if isinstance(message, Join | Leave):
        return type(message)(request_id, "ROOM", RoomBody(_written(body.room)))
    if isinstance(message, Members):
        asked = MembersBody(_written(body.room), _written(body.after), message.data.limit)
        return Members(request_id, "ROOM", asked)
    data, call = (msgspec.Raw(bytes(raw)) for raw in (message.data.data, message.data.call))
    signal = SignalBody(_written(body.sender), _written(body.to), data, call)
    return type(message)(request_id, "ROOM", signal)


def _spoiled(request_id: str, cmd: str) -> Malformed:
    return Malformed(ErrorCode.BAD_MESSAGE, request_id if is_valid_id(request_id) else "", cmd)


def _is_json(raw: msgspec.Raw) -> bool:
    """Whether what was correct JSON as it was masked is so as it was written: it has no lone surrogates."""
    try:
        _raw.decode(raw)
    except msgspec.DecodeError:
        return False
    return True


def _written(raw: msgspec.Raw) -> str:
    """Read a text; "" if it holds a lone surrogate, or is none."""
    try:
        return _string.decode(raw)
    except msgspec.DecodeError:
        return ""


def _names_are_valid(message: ClientMessage) -> bool:
    body = message.data
    if isinstance(body, SignalBody):
        return _is_valid_name(body.sender) and _is_valid_name(body.to)
    return not isinstance(body, RoomBody) or _is_valid_name(body.room)


_is_valid_name = functools.lru_cache(maxsize=16_384)(is_valid_id)
"""Cached, because names recur, unlike the ids of requests."""


def named_call(body: SignalBody) -> str | None:
    """Read which call a message says it is about: "" if it says none, None if what it says is no id."""
    if not memoryview(body.call).nbytes or body.call == _NULL:
        return ""
    return _id(body.call) or None


_NULL: Final = msgspec.Raw(b"null")


def request_id_of(frame: bytes) -> str:
    """Read the `requestId` of a frame that was accepted or made here; "" if it has none that can be read."""
    try:
        return _named.decode(frame).request_id
    except (msgspec.DecodeError, RecursionError):
        masked = _masked(frame)
    try:
        fields = _loose.decode(masked)
    except (msgspec.DecodeError, RecursionError):
        return ""
    masked[:] = frame
    return _written(fields.request_id)


class _Named(msgspec.Struct, frozen=True):
    request_id: str = msgspec.field(name="requestId", default="")


_named = msgspec.json.Decoder(_Named)


class _From(msgspec.Struct, frozen=True):
    sender: str = msgspec.field(name="from", default="")


class _Origin(msgspec.Struct, frozen=True):
    request_id: str = msgspec.field(name="requestId", default="")
    data: _From | None = None


_origin = msgspec.json.Decoder(_Origin)


def origin_of(frame: bytes) -> tuple[str, str]:
    """Read the `requestId` and the sender of a frame that was accepted or made here.

    Each is "" if it is not there or cannot be read. Whatever stands in the frame, it costs a third of a
    millisecond at most.
    """
    try:
        origin = _origin.decode(frame)
    except (msgspec.DecodeError, RecursionError):
        masked = _masked(frame)
    else:
        return origin.request_id, "" if origin.data is None else origin.data.sender
    try:
        exact = _exact.decode(masked)
    except (msgspec.DecodeError, RecursionError):
        return request_id_of(frame), ""
    masked[:] = frame
    return _written(exact.request_id), _written(exact.data.sender)


def command_of(message: ClientMessage | Signal) -> str:
    """Name a message's command."""
    return COMMAND_OF[type(message)]


def _why_not(readable: bytes | bytearray, frame: bytes) -> Malformed:
    """Say what is wrong with a frame that is no message, with its fields that can be read.

    `readable` is the frame, or is masked, and is what was sent from then on.
    """
    try:
        fields = _loose.decode(readable)
    except (msgspec.DecodeError, RecursionError):
        return UNREADABLE
    if isinstance(readable, bytearray):
        readable[:] = frame
    request_id, cmd = _id(fields.request_id), _id(fields.cmd)
    unknown = request_id and _id(fields.module) == "ROOM" and cmd and cmd not in COMMANDS
    return Malformed(ErrorCode.UNKNOWN_COMMAND if unknown else ErrorCode.BAD_MESSAGE, request_id, cmd)


def _id(raw: msgspec.Raw) -> str:
    """Read a field as an id-like text; "" if it is none."""
    if memoryview(raw).nbytes > _MAX_WRITTEN_ID:
        return ""
    text = _written(raw)
    return text if is_valid_id(text) else ""


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
    if b'\\"' in frame:
        frame = frame.replace(b"\\\\", b"").replace(b'\\"', b"")
    text = frame.translate(_AS_BITS, _NEITHER).replace(b'""', b"")
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
