"""What a router publishes for a signal, what becomes of it, and what is told of that. Pure.

How it is published is in `relay` and `in_order`.
"""

import enum
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import msgspec

from tieline.wire.codes import ErrorCode
from tieline.wire.ids import CallId, SessionId, UserId
from tieline.wire.internal.answers import Refused
from tieline.wire.internal.directions import RouterReply
from tieline.wire.internal.signals import Accepted, Relay

RELAYED: Final = Accepted("relayed")
NO_ROOM: Final = Refused(ErrorCode.INTERNAL.reason)


class Outcome(enum.Enum):
    """What became of a frame."""

    STORED = enum.auto()
    """It is stored, or published without a reason to think that it is not."""
    NO_ROOM = enum.auto()
    OVERTAKEN = enum.auto()
    """The mailbox does not store it, for the frame that it was to follow is not the last one there."""
    UNKNOWN = enum.auto()
    """No answer: it may be stored, or not."""


Done = Callable[[Outcome], None]
"""Called once, with what became of a frame."""


class Parcel(NamedTuple):
    """One frame for one session of one user."""

    user: UserId
    session: SessionId
    frame: bytes
    call: CallId
    """What it belongs to."""
    is_own: bool = False
    """It is the frame of a signal itself, and not one that this has to bring along."""


class Carried(NamedTuple):
    """How far several parcels were carried."""

    length: int
    """So many of them are in the mailbox, or published."""
    outcome: Outcome
    """What became of the next one, which ended it; STORED: nothing did, or nothing more was wanted."""
    published: tuple[int, ...]
    """The places of those that were not there before."""


def parcels_of(relay: Relay, own: bytes) -> tuple[Parcel, ...]:
    """List what a verdict delivers; `own` is the frame that it is about."""
    return tuple(
        Parcel(each.user, each.session, each.frame or own, each.call or relay.call, each.frame is None)
        for each in relay.deliveries
    )


class Telling:
    """What is told of a signal and of those that follow it, in their order, as far as it is known.

    Made while their verdicts are read, and complete when it is known how far their parcels were carried.
    """

    def __init__(self) -> None:
        self.parcels: list[Parcel] = []
        """All that is to be carried."""
        self._answers: list[tuple[RouterReply, int, int]] = []
        """Each with where its parcels begin, and where they end."""

    def add(self, answer: RouterReply, parcels: Iterable[Parcel] = ()) -> None:
        """Add what is told of the next one, once these are carried."""
        start = len(self.parcels)
        self.parcels += parcels
        self._answers.append((answer, start, len(self.parcels)))

    def after(self, carried: Carried) -> list[RouterReply]:
        """Return what is told when so much is carried. Nothing follows one that failed."""
        told: list[RouterReply] = []
        for answer, start, end in self._answers:
            if end > carried.length:
                if carried.outcome is Outcome.NO_ROOM:
                    told.append(NO_ROOM)
                break
            if isinstance(answer, Accepted):
                others = (self.parcels[place] for place in carried.published if start <= place < end)
                size = sum(len(other.frame) for other in others if not other.is_own)
                answer = msgspec.structs.replace(answer, other_bytes=size) if size else answer
            told.append(answer)
        return told
