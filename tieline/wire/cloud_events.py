"""What the stream of events keeps, as CloudEvents 1.0 in JSON: for backends and webhooks. Pure.

Presence makes one of each fact (`presence.rules.facts`) and of each offer that it refuses; the stream keeps
it, once. What each type says is in docs/webhooks.md#events. What is told to whoever listens at this moment,
`events.<kind>`, is in `tieline.wire.events`.
"""

import functools
import hashlib
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple

import msgspec

from tieline.wire.ids import CallId, RoomId, UserId

PREFIX: Final = "tieline."
"""What each type begins with; it ends in the plain words, such as `call.offered`."""

JSON: Final = "application/json"

ID_BYTES: Final = 16
"""Of an event's id: no two facts of any system have the same."""

MemberKind = Literal["member.joined", "member.left", "member.away", "member.back"]

CallKind = Literal[
    "call.offered",
    "call.waking",
    "call.ringing",
    "call.answered",
    "call.established",
    "call.ended",
    "call.unanswered",
    "call.refused",
]

KINDS: Final[tuple[str, ...]] = (
    "member.joined",
    "member.left",
    "member.away",
    "member.back",
    "call.offered",
    "call.waking",
    "call.ringing",
    "call.answered",
    "call.established",
    "call.ended",
    "call.unanswered",
    "call.refused",
)
"""The types, without what they begin with. Receivers let others pass that a later version adds."""


class Member(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The data of `member.*`: what one user did in one room."""

    room: RoomId
    user: UserId
    reason: str | None = None
    """Why a member left: `left`, `disconnected` or `kicked`."""


class Call(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The data of `call.*`. Times are Unix milliseconds, and spans of time are seconds."""

    caller: UserId
    callee: UserId
    call: CallId | None = None
    """None: an offer that was refused has begun no call."""
    by: UserId | None = None
    """Whose doing it was: who answered, hung up or was gone. None: time was up."""
    reason: str | None = None
    offered_at: int | None = None
    answered_at: int | None = None
    answer_seconds: float | None = None
    """From the offer to the answer."""
    duration_seconds: float | None = None
    """From the answer to the end."""
    until: int | None = None
    """Of `call.waking`: the end of the time in which the callee is waited for."""
    rooms: tuple[RoomId, ...] = ()
    """Rooms in which both were when it began; an offer that was refused names none."""


class CloudEvent(msgspec.Struct, frozen=True):
    """One event. What happens to one call, or in one room, has the same `subject`."""

    id: str
    source: str
    type: str
    subject: str
    time: str
    data: Member | Call
    specversion: str = "1.0"
    datacontenttype: str = JSON


class Kept(msgspec.Struct, frozen=True):
    """An event as it is read again: its words, and its data as they stand."""

    id: str
    type: str
    subject: str
    time: str
    source: str = ""

    @property
    def kind(self) -> str:
        """The type, without what it begins with."""
        return self.type.removeprefix(PREFIX)


class StoredEvent(NamedTuple):
    """An event with its place in the stream."""

    sequence: int
    subject: str
    id: str
    at: int
    """When it was stored."""
    body: bytes


class Concerned(msgspec.Struct, frozen=True):
    """The users and rooms that the data of an event names."""

    room: str = ""
    user: str = ""
    caller: str = ""
    callee: str = ""
    rooms: tuple[str, ...] = ()

    def is_about(self, user: str, room: str) -> bool:
        """Whether it names this user, and this room; "": any will do."""
        if user and user not in (self.user, self.caller, self.callee):
            return False
        return not room or room == self.room or room in self.rooms


class _WithData(msgspec.Struct, frozen=True):
    data: Concerned = Concerned()


_encoder: Final = msgspec.json.Encoder()
_kept: Final = msgspec.json.Decoder(Kept)
_with_data: Final = msgspec.json.Decoder(_WithData)


def event_id(*words: object) -> str:
    """Name an event after the fact that it tells, so that a repetition has the same name."""
    return hashlib.blake2b("\n".join(map(str, words)).encode(), digest_size=ID_BYTES).hexdigest()


def source_of(namespace: str) -> str:
    """Name the system of which an event tells, as a reference that is no address."""
    return f"/tieline/{namespace}"


def time_of(at_ms: int) -> str:
    """Write Unix milliseconds as RFC 3339 has it."""
    return f"{_second(at_ms // 1000)}.{at_ms % 1000:03d}Z"


@functools.lru_cache(maxsize=64)
def _second(at_s: int) -> str:
    """Write a whole second; events of a few are told at any time."""
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%dT%H:%M:%S}"


def of_member(namespace: str, kind: MemberKind, name: str, at: int, data: Member) -> CloudEvent:
    """Make the event of something that a user did in a room."""
    subject = f"room/{data.room}"
    return CloudEvent(name, source_of(namespace), PREFIX + kind, subject, time_of(at), data)


def of_call(namespace: str, kind: CallKind, name: str, at: int, data: Call) -> CloudEvent:
    """Make the event of something that happened to a call, or to an offer that began none."""
    subject = f"call/{data.call}" if data.call else f"user/{data.callee}"
    return CloudEvent(name, source_of(namespace), PREFIX + kind, subject, time_of(at), data)


def encode(event: CloudEvent) -> bytes:
    """Encode an event as the stream keeps it."""
    return _encoder.encode(event)


def read(kept: bytes) -> Kept:
    """Read an event that the stream has kept.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return _kept.decode(kept)


def concerned(kept: bytes) -> Concerned:
    """Read whom an event that the stream has kept is about; one that nobody understands is about nobody."""
    try:
        return _with_data.decode(kept).data
    except msgspec.MsgspecError:
        return Concerned()


def numbered(kept: bytes, sequence: int) -> bytes:
    """Add its place in the stream to an encoded event: the extension `sequence`, which sorts as text."""
    return b'%b,"sequence":"%020d"}' % (kept.rstrip()[:-1], sequence)


def batch_of(events: list[bytes]) -> bytes:
    """Put encoded events into one batch (application/cloudevents-batch+json)."""
    return b"[%b]" % b",".join(events)
