"""What gateways, routers and presence processes send to each other, in msgpack.

Each direction is one tagged union with one decoder. A process that cannot answer sends nothing. The caller
resends, and another process answers.

Fields are told apart by their position. A message may only grow, at its end, by fields with defaults:
neighbouring versions run side by side (docs/decisions/0060-messages-and-records-change-by-rule.md).

What comes from another process is believed no more than what comes from a client: the decoders here refuse
ids, numbers and sizes that no honest process sends (`checks`), and answers of another kind than was asked
for. They raise what is in `UNREADABLE`, and nothing else.

Nothing here reaches a client; that is `envelope`. The frame of a client travels inside these messages as
bytes; only the router looks at it once more, to see whose it is (`heads`).
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeVar, get_args

import msgspec

from tieline.wire.checks import UNREADABLE as UNREADABLE
from tieline.wire.checks import Checker
from tieline.wire.codes import CloseCode, ErrorCode
from tieline.wire.ids import (
    AdmissionToken,
    CallId,
    ConnectionId,
    FrameDigest,
    GatewayId,
    ResumeToken,
    RoomId,
    SecretHash,
    SessionId,
    UserId,
)
from tieline.wire.replies import LeftReason, Member
from tieline.wire.subjects import token

Ack = Literal["relayed", "held"]

MAX_HEX: Final = 13
"""Digits of a revision in a resume token, at most: no larger number is sent (`checks`)."""

_HEX: Final = frozenset("0123456789abcdef")
NO_CALL: Final = CallId("")
"""No call, or none that has a name."""
NO_TOKEN: Final = AdmissionToken("")
"""An older gateway gives none, nor does one whose presence does not look at tokens."""
UNPROVEN: Final = "UNPROVEN"
"""The reason of a refusal for that. No client is told it: the gateway asks again, with the token."""


def secret_hash(secret: ResumeToken) -> SecretHash:
    """Hash a resume secret, which is random enough to need no salt and no slow hash."""
    return SecretHash(hashlib.sha256(secret.encode()).digest())


def resume_token(secret: str, asked: int) -> ResumeToken:
    """Make a resume token that says as of which revision its session was asked to begin; 0: it does not."""
    return ResumeToken(f"{secret}.{asked:x}" if asked else secret)


def asked_of(resume: ResumeToken) -> int:
    """Read as of which revision the session of a resume token was asked to begin; 0: it does not say."""
    _, _, said = resume.rpartition(".")
    is_number = "." in resume and 0 < len(said) <= MAX_HEX and all(digit in _HEX for digit in said)
    return int(said, 16) if is_number else 0


def message_id(user: UserId, frame: bytes) -> str:
    """Name a frame for one user, so that the mailbox keeps it once however often it is published."""
    return f"{digest(frame).hex()}.{token(user)}"


def digest(frame: bytes) -> FrameDigest:
    """Name a frame in 16 bytes: the same name again is a retry (docs/protocol.md#2-envelope).

    The sender stands in the frame (`from`), checked, so two senders' frames never share a name.
    """
    return FrameDigest(hashlib.blake2b(frame, digest_size=16).digest())


class _Message(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False):
    """One message between two processes: positional, tagged by its class."""

    def __repr__(self) -> str:
        """Show all but what is never logged."""
        shown = {name: getattr(self, name) for name in self.__struct_fields__ if name != "token"}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


# From gateways to routers.


class Signal(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """One WEBRTC frame of a client, well formed and checked to be from `user`; `cmd` is in the subject."""

    user: UserId
    session: SessionId
    to: UserId
    frame: bytes
    stored: bool
    """The sender asked for acks: answer only when the message is safe."""
    call: CallId = NO_CALL
    """The call that the client says it is about; empty: it says none."""
    connection: ConnectionId = ConnectionId("")
    """The connection that has the session: its gateway and presence alone know it, and so nobody else speaks
    for the session. Empty: an older gateway does not say."""


class Accepted(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """The signal was relayed, or is held."""

    ack: Ack
    other_bytes: int = 0
    """Bytes of other frames that were published for it: those that it released, or that had to precede it."""
    call: CallId = NO_CALL
    """The call that it belongs to."""


class Refused(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """The request is refused; `reason` names an `ErrorCode`."""

    reason: str
    fate: str = ""
    """What has become of the call that the signal names (`CallFate`), if it is refused for that."""
    call: CallId = NO_CALL
    """The call that the two users have."""

    @property
    def refusal(self) -> ErrorCode:
        """The error code of that name; of one that only a newer process knows, that something failed."""
        return ErrorCode.__members__.get(self.reason, ErrorCode.INTERNAL)


class SessionGone(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """The session in the request is not, or no longer, the live one of its user."""

    replaced: bool
    """A newer session of the user is live; otherwise none is."""


# From routers to presence.


class Check(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """Ask whether a signal may pass, and what must be delivered for it."""

    user: UserId
    session: SessionId
    to: UserId
    cmd: str
    digest: FrameDigest
    frame: bytes
    """The frame, if it is a candidate: it may have to be held. Else empty."""
    call: CallId = NO_CALL
    """See `Signal`."""
    connection: str | None = None
    """See `Signal`; it is compared and nothing else. None: an older router does not say."""
    carried: tuple[tuple[UserId, FrameDigest], ...] = ()
    """For whom the mailbox has all that these answers of the two have released: leave it out."""


class Delivery(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """One frame for one session of one user; `frame` None stands for the signal's own."""

    user: UserId
    session: SessionId
    frame: bytes | None
    call: CallId = NO_CALL
    """The call that the frame belongs to, where it is another one than the signal's."""


class Relay(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """Deliver these, in this order, then acknowledge as said.

    Frames may be among them that were delivered before: the receiving gateway drops exact duplicates.
    """

    ack: Ack
    deliveries: tuple[Delivery, ...]
    grant_seconds: float = 0.0
    """How long the router may relay this sender's candidates to this target without asking; 0: not at all."""
    grant_held: tuple[FrameDigest, ...] = ()
    """Meanwhile these are retries of candidates that were held: acknowledge them as held."""
    call: CallId = NO_CALL
    """The call that the signal belongs to. The grant is for signals that name this one, or none."""
    releases: tuple[tuple[UserId, FrameDigest], ...] = ()
    """What answers have released for whom, of which all is among the deliveries: see `Check.carried`."""


Verdict = Relay | Refused | SessionGone


# From gateways to presence.


class OpenSession(_Message, frozen=True, array_like=True, tag=True, gc=False):
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


class Opened(_Message, frozen=True, array_like=True, tag=True, gc=False):
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


class Outdated(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """The request may be older than one of the same user that is carried out: nothing is done.

    A gateway that still means it asks anew. Only those are answered so that say when they asked.
    """

    revision: int = 0
    """As of which it may ask anew (`OpenSession.asked`); 0: once its lease is renewed."""


class EndSession(_Message, frozen=True, array_like=True, tag=True, gc=False):
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


class Register(_Message, frozen=True, array_like=True, tag=True, gc=False):
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


class Regrant(_Message, frozen=True, array_like=True, tag=True, gc=False):
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


class Tell(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """Send the client of this connection a frame of its own gateway, through the mailbox."""

    user: UserId
    connection: ConnectionId
    """Known to its gateway and to presence alone, so that a gateway can send to its own clients only."""
    frame: bytes


class FindReplaced(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """Ask which of these connections were replaced by another one, of the same session or a newer."""

    connections: tuple[tuple[UserId, ConnectionId], ...]


class Replaced(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """The connections that were replaced."""

    connections: tuple[ConnectionId, ...]


class JoinRoom(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """Make the user a member; the gateway, which has the token, has checked that this is allowed."""

    user: UserId
    session: SessionId
    room: RoomId
    knows_too_many_rooms: bool = False
    """The gateway knows the refusal TOO_MANY_ROOMS; an older one is told ROOM_FULL instead."""
    hears: bool = False
    """See `OpenSession`. Answered with `RoomJoined` then, else with `RoomMembers`."""
    lists: bool = False
    """The gateway does not know the room's members yet: list them in `RoomJoined`."""
    connection: ConnectionId = ConnectionId("")
    """The connection that asks: another one that has the session has asked later. Empty: an older gateway."""
    number: int = 0
    """Grows with each request of the connection before which another one may still be under way: what has a
    lower number than one that is carried out has been overtaken."""


class LeaveRoom(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """End the user's membership."""

    user: UserId
    session: SessionId
    room: RoomId
    connection: ConnectionId = ConnectionId("")
    number: int = 0
    """See `JoinRoom`."""


class ListMembers(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """Ask for the room's members; only a member is told."""

    user: UserId
    session: SessionId
    room: RoomId
    hears: bool = False
    """See `OpenSession`. The answer has `revisions` then."""
    connection: ConnectionId = ConnectionId("")
    """See `Signal`."""


class Retell(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """Tell a room once more what a user is to it, for somebody may have missed the last change of that."""

    user: UserId
    room: RoomId


class RoomMembers(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """The room's roster, in the order of joining."""

    members: tuple[Member, ...]
    revisions: tuple[int, ...] = ()
    """Of each member's record, if asked for: a change in the room's log has another one, older or newer."""


class RoomJoined(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """The user is a member."""

    number: int
    """Of the change by which the user became one; 0: it is one already, and all is in the room's log."""
    members: RoomMembers | None = None
    """The roster with revisions, if it was asked for."""


class Done(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """The request is carried out, now or by an earlier attempt."""

    ended: int = 1
    """Of the ends in a request, in their order, so many are carried out."""


class KeepLease(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """Say that this gateway is alive."""

    gateway: GatewayId
    hears: bool = False
    """It hears the logs of its members' rooms."""


class LeaseKept(_Message, frozen=True, array_like=True, tag=True, gc=False):
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


RouterRequest = Check
"""What a router may ask presence."""
GatewayRequest = (
    OpenSession
    | EndSession
    | Register
    | Regrant
    | Tell
    | FindReplaced
    | JoinRoom
    | LeaveRoom
    | ListMembers
    | KeepLease
    | Retell
)
"""What a gateway may ask presence; gateways face the internet."""
PresenceRequest = RouterRequest | GatewayRequest
"""What presence reads. A kind that is in neither union is readable by no process, and permitted to none
(`permissions`)."""
PresenceReply = (
    Relay | Refused | SessionGone | Opened | Outdated | Replaced | RoomMembers | RoomJoined | Done | LeaseKept
)
RouterReply = Accepted | Refused | SessionGone

OPERATIONS: dict[type[PresenceRequest], str] = {
    Check: "check",
    OpenSession: "open",
    EndSession: "end",
    Register: "register",
    Regrant: "regrant",
    Tell: "tell",
    FindReplaced: "replaced",
    JoinRoom: "join",
    LeaveRoom: "leave",
    ListMembers: "members",
    KeepLease: "lease",
    Retell: "retell",
}
"""The word for a presence request in its subject."""


# From presence to gateways.


class CloseSession(_Message, frozen=True, array_like=True, tag=True, gc=False):
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


class RoomChange(_Message, frozen=True, array_like=True, tag=True, gc=False):
    """What has become of one user in one room: an entry of the room's log, whose subject names the two."""

    kind: Literal["joined", "left", "updated"]
    revision: int
    """Of the user's record with which this was written. The same again is the same change."""
    session: SessionId
    """The user's session that came, went or changed."""
    status: Literal["online", "away"]
    voice: bool
    joined_at: int
    """Unix milliseconds."""
    reason: str | None = None
    """Why it left: a `LeftReason`, or one that only a newer process knows."""
    tells_user: bool = False
    """The user itself is told, too."""
    is_silent: bool = False
    """Its status is what it was: only clients that are told all of a member hear of it."""

    @property
    def left_reason(self) -> LeftReason:
        """Why it left, as far as clients of this version know reasons."""
        return _LEFT_REASONS.get(self.reason or "", "left")


_LEFT_REASONS: Final[dict[str, LeftReason]] = {reason: reason for reason in get_args(LeftReason)}


class Happened(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What `events.>` carries, as JSON: for backends, audits and webhooks. The kind is in the subject.

    Told at least once (docs/architecture.md#events-for-backends).
    """

    at: int
    """Unix milliseconds."""
    user: UserId
    peer: UserId | None = None
    room: RoomId | None = None
    reason: str | None = None
    call: CallId | None = None
    """The call that was offered or answered, or that has ended."""


ANSWERS: Final[dict[type[PresenceRequest], tuple[type[PresenceReply], ...]]] = {
    Check: (Relay, Refused, SessionGone),
    OpenSession: (Opened, Outdated, Refused, SessionGone),
    EndSession: (Done,),
    Register: (Done, Outdated, Refused, SessionGone),
    Regrant: (Done, Outdated, Refused, SessionGone),
    Tell: (Done, Refused, SessionGone),
    FindReplaced: (Replaced,),
    JoinRoom: (RoomJoined, RoomMembers, Outdated, Refused, SessionGone),
    LeaveRoom: (Done, Outdated, Refused, SessionGone),
    Retell: (Done,),
    ListMembers: (RoomMembers, Refused, SessionGone),
    KeepLease: (LeaseKept,),
}
"""What a presence request may be answered with."""

MAX_ASKED: Final = 1_024
"""The most connections that are asked about, or ended, together: far more than any gateway names."""


def _ends_no_more_below(ending: EndSession) -> bool:
    return len(ending.also) <= MAX_ASKED and not any(other.also for other in ending.also)


def _asks_about_few(asked: FindReplaced) -> bool:
    return len(asked.connections) <= MAX_ASKED


_WHOLE: Final[Mapping[type, Callable[[Any], bool]]] = {
    EndSession: _ends_no_more_below,
    FindReplaced: _asks_about_few,
}

MessageT = TypeVar("MessageT")


def _checked(decode: Callable[[bytes], MessageT], kind: object) -> Callable[[bytes], MessageT]:
    """Make a decoder that refuses what no honest process sends."""
    checker = Checker(kind, _WHOLE)

    def read(data: bytes) -> MessageT:
        message = decode(data)
        if not checker.is_good(message):
            raise msgspec.ValidationError("an id, a number or a size that no process sends")
        return message

    return read


_encoder = msgspec.msgpack.Encoder()
_signals = msgspec.msgpack.Decoder(list[Signal | None])
_answers = msgspec.msgpack.Decoder(list[tuple[int, RouterReply]])
_presence_requests = msgspec.msgpack.Decoder(PresenceRequest)
_presence_replies = msgspec.msgpack.Decoder(PresenceReply)
_closings = msgspec.msgpack.Decoder(CloseSession)
_changes = msgspec.msgpack.Decoder(RoomChange)

_OPENED = b"\xa6Opened"


def is_opened(payload: bytes) -> bool:
    """Whether this is an `Opened`, without reading all of it: among answers of any kind."""
    return payload[1 : 1 + len(_OPENED)] == _OPENED


encode = _encoder.encode
decode_signals = _signals.decode
"""A pack: the signals of one command that one turn of a gateway's event loop has brought. When it is sent
again, None stands for each signal that has been answered since. Its ids are not checked yet (`is_meant`)."""
is_meant: Callable[[Signal], bool] = Checker(Signal).is_good
"""Whether the ids of a signal can be meant. One that a router knows from presence is, so that most of the
signals of an established pair need not be looked at once more."""
decode_answers = _answers.decode
"""Answers to signals of one pack, each with its place in it; there may be several such messages a pack."""
decode_presence_request: Callable[[bytes], PresenceRequest] = _checked(
    _presence_requests.decode, PresenceRequest
)
decode_presence_reply: Callable[[bytes], PresenceReply] = _checked(_presence_replies.decode, PresenceReply)
decode_close_session: Callable[[bytes], CloseSession] = _checked(_closings.decode, CloseSession)
decode_room_change: Callable[[bytes], RoomChange] = _checked(_changes.decode, RoomChange)


def read_answer(request: PresenceRequest, data: bytes) -> PresenceReply:
    """Decode the answer to a presence request.

    Raises:
        UNREADABLE: it is none, or one of another kind than may be given to this request.
    """
    reply = decode_presence_reply(data)
    if not isinstance(reply, ANSWERS[type(request)]):
        raise msgspec.ValidationError(f"{type(reply).__name__} is no answer to {type(request).__name__}")
    return reply
