"""What a client may send. What it is answered, and told, is in `replies`.

One JSON object a text frame. Decoding names everything that can be wrong with a frame and never reads
`data.data`: it is skipped as raw JSON, and what is relayed is the frame as it came, not this decoding.
The counterpart, for the client library, is `tieline.client`.

No receiver may read another command, sender or target than the one that was checked: a frame whose names can
be read in two ways is refused (`ambiguity`), and so is one that names `cmd` twice with two values, which the
decoder itself does.
"""

from typing import Annotated, Final, Literal, NamedTuple

import msgspec

from tieline.wire import ambiguity, origin, surrogates
from tieline.wire.codes import ErrorCode
from tieline.wire.depth import MAX_DEPTH, is_too_deep
from tieline.wire.ids import MAX_ID_BYTES, NO_CALL, CallId, UserId, is_shown, is_valid_id, is_valid_name
from tieline.wire.surrogates import text_in

MAX_MESSAGE_BYTES: Final = 65_536
"""The longest message a client may send, in bytes; longer ones close the connection with 1009."""

MAX_BACKSLASHES: Final = 16_384
"""In a message that the decoder refuses at first: more than twice as many as the lines of the longest session
description make. One with a lone surrogate is read several times, and each backslash might begin another."""

MAX_PAGE: Final = 1_000
"""The most members in one page of a room's list."""


class SignalBody(msgspec.Struct, frozen=True, gc=False):
    """`data` of the WEBRTC commands; the server never reads the `data` in it."""

    sender: UserId = msgspec.field(name="from")
    to: UserId
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


class StatusBody(msgspec.Struct, frozen=True, gc=False):
    """`data` of STATUS."""

    in_call: bool = msgspec.field(name="inCall")


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


class Info(Signal, frozen=True, gc=False, tag="WEBRTC_INFO"):
    """Say how it is at this end of the call: that it rings, that nothing is sent."""


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


class Status(_FromClient, frozen=True, gc=False, tag="STATUS"):
    """Let the members of one's rooms see whether one is in a call."""

    data: StatusBody


ClientMessage = (
    Offer
    | Answer
    | Candidate
    | Hangup
    | Info
    | Join
    | Leave
    | Members
    | Ping
    | IceServers
    | RefreshToken
    | Status
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
    "WEBRTC_INFO": Command(Info, "user", "", ("relayed",)),
    "JOIN": Command(Join, "room", "JOIN"),
    "LEAVE": Command(Leave, "room", "LEAVE"),
    "MEMBERS": Command(Members, "room", "MEMBERS"),
    "PING": Command(Ping, "server", "PONG"),
    "ICE_SERVERS": Command(IceServers, "server", "ICE_SERVERS"),
    "REFRESH_TOKEN": Command(RefreshToken, "server", "REFRESH_TOKEN"),
    "STATUS": Command(Status, "server", "STATUS"),
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

_MAX_WRITTEN_ID: Final = 2 + 6 * MAX_ID_BYTES
"""The longest id in quotes: all of it in escapes, of six bytes each."""


def decode(frame: bytes) -> ClientMessage | Malformed:
    """Decode one client frame of at most `MAX_MESSAGE_BYTES` of valid UTF-8.

    Ids are checked; that `from` is the authenticated user, and `to` another one, is checked by the gateway's
    session. Never raises for anything that `frame` holds.
    """
    readable = frame
    try:
        message = _decoder.decode(frame)
    except (msgspec.DecodeError, RecursionError):
        if frame.count(b"\\") > MAX_BACKSLASHES:
            return UNREADABLE
        masked = surrogates.masked(frame)
        readable = bytes(masked)
        found = _decode_oddly_written(frame, masked)
        if isinstance(found, Malformed):
            # Of what is no JSON at all there is no need to look how deep it nests.
            return UNREADABLE if found != UNREADABLE and _is_deep(frame) else found
        message = found
    if len(frame) > MAX_DEPTH and _is_deep(frame):
        return UNREADABLE
    request_id = message.request_id
    if not is_valid_id(request_id):
        return Malformed(ErrorCode.BAD_MESSAGE, "", command_of(message))
    if isinstance(message, Signal) and ambiguity.is_usual_signal(frame, request_id, len(message.data.data)):
        return message  # as nearly all traffic: its names are valid, and written as they should be
    if not _names_are_valid(message):
        return Malformed(ErrorCode.BAD_MESSAGE, request_id, command_of(message))
    if _is_ambiguous(message, readable, frame):
        return Malformed(ErrorCode.AMBIGUOUS_NAMES, request_id, command_of(message))
    return message


def _is_ambiguous(message: ClientMessage, readable: bytes, frame: bytes) -> bool:
    """Whether names of a message are ambiguous; `readable` is the frame, or is masked."""
    body, unread = message.data, b""
    if isinstance(body, SignalBody):
        unread = bytes(body.data)
    elif isinstance(body, msgspec.Raw):
        if ambiguity.is_usual(frame, message.request_id, len(body)):
            return False
        unread = bytes(body)
    elif isinstance(body, RoomBody) and ambiguity.is_usual_about_room(frame, message.request_id):
        return False
    is_read = not isinstance(body, msgspec.Raw)
    return ambiguity.has_ambiguous_names(readable, reads_data=is_read, unread=unread)


def _is_deep(frame: bytes) -> bool:
    return frame.count(b"[") + frame.count(b"{") > MAX_DEPTH and is_too_deep(frame)


def _decode_oddly_written(frame: bytes, masked: bytearray) -> ClientMessage | Malformed:
    """Decode a frame with lone surrogates, or say why it is no message; `masked` is used up.

    The decoder itself gives up where nesting would end the stack.
    """
    if masked == frame:
        return _why_not(frame, frame)
    try:
        message = _decoder.decode(masked)
    except (msgspec.DecodeError, RecursionError):
        return _why_not(masked, frame)
    return _as_written(message, masked, frame)


def _as_written(message: ClientMessage, masked: bytearray, frame: bytes) -> ClientMessage | Malformed:
    """Read what was decoded of a masked frame once more, from the frame itself.

    A text with a lone surrogate is none. That makes an id invalid, as it should be, and a token; so it does
    the data of a PING, which goes back as it was read. What is relayed may hold them anywhere else.
    """
    if isinstance(message, Ping | IceServers):
        fields = _loose.decode(masked)
        masked[:] = frame
        request_id, data = text_in(fields.request_id), msgspec.Raw(bytes(message.data))
        if isinstance(message, IceServers):
            return IceServers(request_id, "ROOM", data)
        return _spoiled(request_id, "PING") if surrogates.are_in(data) else Ping(request_id, "ROOM", data)
    if isinstance(message, Status):
        fields = _loose.decode(masked)
        masked[:] = frame
        return Status(text_in(fields.request_id), "ROOM", message.data)
    exact = origin.exact.decode(masked)
    masked[:] = frame
    request_id, body = text_in(exact.request_id), exact.data
    if isinstance(message, RefreshToken):
        if surrogates.are_in(body.token):
            return _spoiled(request_id, "REFRESH_TOKEN")
        return RefreshToken(request_id, "ROOM", TokenBody(text_in(body.token)))
    if isinstance(message, Join | Leave):
        return type(message)(request_id, "ROOM", RoomBody(text_in(body.room)))
    if isinstance(message, Members):
        asked = MembersBody(text_in(body.room), text_in(body.after), message.data.limit)
        return Members(request_id, "ROOM", asked)
    data, call = (msgspec.Raw(bytes(raw)) for raw in (message.data.data, message.data.call))
    signal = SignalBody(UserId(text_in(body.sender)), UserId(text_in(body.to)), data, call)
    return type(message)(request_id, "ROOM", signal)


def _spoiled(request_id: str, cmd: str) -> Malformed:
    return Malformed(ErrorCode.BAD_MESSAGE, request_id if is_valid_id(request_id) else "", cmd)


def _names_are_valid(message: ClientMessage) -> bool:
    body = message.data
    if isinstance(body, SignalBody):
        return is_valid_name(body.sender) and is_valid_name(body.to)
    return not isinstance(body, RoomBody) or is_valid_name(body.room)


def named_call(body: SignalBody) -> CallId | None:
    """Read which call a message says it is about: "" if it says none, None if what it says is no id."""
    if not len(body.call) or body.call == _NULL:
        return NO_CALL
    return CallId(_id(body.call)) or None


_NULL: Final = msgspec.Raw(b"null")


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
    request_id, cmd = _id(fields.request_id), _word(fields.cmd)
    unknown = request_id and _id(fields.module) == "ROOM" and cmd and cmd not in COMMANDS
    return Malformed(ErrorCode.UNKNOWN_COMMAND if unknown else ErrorCode.BAD_MESSAGE, request_id, cmd)


def _id(raw: msgspec.Raw) -> str:
    """Read a field as an id; "" if it is none."""
    text = _word(raw)
    return text if is_valid_id(text) else ""


def _word(raw: msgspec.Raw) -> str:
    """Read a field that may be shown; "" if it may not."""
    if memoryview(raw).nbytes > _MAX_WRITTEN_ID:
        return ""
    text = text_in(raw)
    return text if is_shown(text) else ""
