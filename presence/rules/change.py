"""The words in which a rule answers: what to change, what to do first, what to say. Pure.

A rule is a function `(record, beside, facts) -> Step`. `presence.change_loop` reads the record and the
users beside it, asks the rule, does what a `Prepare` or an `Await` names, or reads what a `LookAt` does, and
asks again, commits a `Change` by compare-and-set, carries out its effects, and replies. When somebody else
has changed the record meanwhile, it reads and asks anew: so a rule may be asked any number of times, and must
not remember anything.
"""

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec

from presence.rules.effects import Effect, Said
from presence.rules.negotiated import Negotiation
from presence.rules.user import User
from tieline.wire.ids import FrameDigest, GatewayId, RoomId, SessionId, UserId
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.partitions import FIRST

RecordT = TypeVar("RecordT", User, Negotiation)


class ListRoom(NamedTuple):
    """A reply that is the roster of a room, as it stands when the change is made."""

    room: RoomId
    revisions: bool = False
    """With the revision of each member's record."""


class Entered(NamedTuple):
    """A reply that says that the user is in a room, to a gateway that hears the room's log."""

    room: RoomId
    lists: bool
    """With the roster, as it stands when the change is made."""


class Gathered(NamedTuple):
    """The replies to several signals that were judged in one change, in their order."""

    replies: "tuple[Reply, ...]"
    looks: int
    """Which of them is looked at again, if one is."""


Reply = PresenceReply | ListRoom | Entered | Gathered

NO_ENTRIES: Final[Mapping[RoomId, int]] = MappingProxyType({})

NOTHING_READ: Final[Mapping[str, tuple[bytes, int]]] = MappingProxyType({})


class Timer(NamedTuple):
    """A key that expires, and is handed to `presence.timers` then."""

    key: str
    seconds: float


class Apart(NamedTuple):
    """A frame that lies apart from the record that speaks of it, and goes by itself."""

    key: str
    seconds: float
    value: bytes


class Prepare(NamedTuple):
    """What must be stored before a change is, so that the indexes never lack what a record says."""

    session: SessionId
    note_of: GatewayId | None = None
    """Note that the session is one of this gateway's."""
    rooms: tuple[RoomId, ...] = ()
    """Enter the session into the rosters of these rooms."""
    renews_note: bool = False
    """Whether a note that is there is written anew: it may be about to be removed, by its revision."""
    hears: bool = False
    """Whether the session's gateway hears the logs of these rooms."""


class LookAt(NamedTuple):
    """What a rule has to see beside the record, which it mostly need not: by the leader's word.

    What is beside the record anyway is read once more with it.
    """

    keys: tuple[str, ...]


class Await(NamedTuple):
    """Who waits for whom: noted before an offer is kept, so that whoever comes finds it."""

    caller: UserId
    callee: UserId
    until: int
    """Unix milliseconds."""


class Facts(NamedTuple):
    """What a rule knows beside the records."""

    now: int
    """Unix milliseconds."""
    prepared: Prepare | Await | None = None
    """What has been prepared; `note`, `entries` and `entered` are its outcome."""
    note: int = 0
    """The revision of the note."""
    entries: Mapping[RoomId, int] = NO_ENTRIES
    """The revisions of the roster entries; a full room has none."""
    revision: int = 0
    """Of the record."""
    read: Mapping[str, tuple[bytes, int]] = NOTHING_READ
    """All that was read, by key: the value and the revision."""
    at: int = FIRST
    """The partition of the record, in which the lease of a gateway is looked at."""
    is_noted: bool = False
    """Who waits is noted; else too many wait already."""
    entered: Collection[RoomId] = ()
    """The rooms whose entries are new; those of others were there, and may be removed again."""


class LookAgain(NamedTuple):
    """What is looked at once more when the reply to an offer has left (`presence.second_look`)."""

    is_well: Callable[[Mapping[UserId, User]], bool]
    """Whether the two users, read anew, are still as the offer needs them."""
    is_being_ended: Callable[[Mapping[UserId, User]], bool]
    """Whether what has become of one of them is just about to end it, if it finds it."""
    end: "Callable[[Negotiation | None, Mapping[UserId, User], Facts], Step[Negotiation]]"
    """The rule that ends the offer if they are not."""
    target: UserId
    digest: FrameDigest | None
    """The frame behind which the end must come; None: nothing of it was delivered."""


class Change(msgspec.Struct, Generic[RecordT], frozen=True):
    """What a request does to a record, and what it is answered."""

    reply: Reply
    record: RecordT | None = None
    """The record as it must be stored; None: it stays as it is."""
    effects: tuple[Effect, ...] = ()
    """What the change means for others. They are stored with the record, if that changes."""
    timer: Timer | None = None
    """Set before the record is stored, so that nothing ever waits without one; it may be running already."""
    apart: Apart | None = None
    """Stored beside the record, and first, so that it is there for as long as the record speaks of it."""
    said: tuple[Said, ...] = ()
    """What goes with the reply."""
    timed_out: bool = False
    """An offer's time was up, which the metrics of calls count."""
    then: "Rule[RecordT] | None" = None
    """Decide once more by this rule, on what the leader says of the users beside; its step replies."""
    look_again: LookAgain | None = None
    passed: tuple[RecordT, ...] = ()
    """What the record was in between, for those who count its steps: this is several changes in one."""


Step = Prepare | LookAt | Await | Change[RecordT]

Rule = Callable[[RecordT | None, Mapping[UserId, User], Facts], Step[RecordT]]
