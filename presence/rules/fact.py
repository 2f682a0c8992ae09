"""The facts that a record keeps until the stream of events has them. Pure.

What makes them, and what becomes of them, is in `facts`; here they stand apart, because records hold them.
Times are Unix milliseconds. They are stored, so fields are only ever added at the end, with defaults.
"""

from typing import Literal

import msgspec

from tieline.wire.cloud_events import MemberKind
from tieline.wire.ids import CallId, RoomId, SessionId, UserId


class MemberFact(msgspec.Struct, frozen=True, array_like=True):
    """Something that a user did in one room, or in all of its rooms."""

    kind: MemberKind
    at: int
    session: SessionId
    mark: int
    """What tells it from the next one of its kind: a revision, or a count of the session's own."""
    rooms: tuple[RoomId, ...] | None = None
    """None: all rooms of the record in which it stands."""
    reason: str = ""


class Course(msgspec.Struct, frozen=True, array_like=True):
    """What is known of a call from its beginning on, for what is told of it later."""

    caller: UserId
    offered_at: int
    ringing_at: int = 0
    answered_at: int = 0
    """When it was established; 0: it is not."""
    answered_by_caller: bool = False
    """The two called one another, and who called first has answered."""
    rooms: tuple[RoomId, ...] = ()
    """Rooms in which both were when it began, some of them where they are many."""


class CallFact(msgspec.Struct, frozen=True, array_like=True):
    """Something that happened to a call."""

    kind: Literal[
        "call.offered",
        "call.ringing",
        "call.answered",
        "call.established",
        "call.ended",
        "call.unanswered",
        "call.waking",
    ]
    at: int
    call: CallId
    caller: UserId
    """Empty: an older process has forgotten it."""
    by_caller: bool | None = None
    """Whose doing it was; None: nobody's, or it is not known."""
    reason: str = ""
    offered_at: int = 0
    answered_at: int = 0
    until: int = 0
    """Of a call that is kept for its callee: when that ends."""
    rooms: tuple[RoomId, ...] = ()
    """See `Course`."""
