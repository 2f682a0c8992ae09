"""What a change of a record means for others, as values that are stored with it until they are carried out.

An effect is written in the same compare-and-set as the change that causes it, and dropped by the next write.
A process that dies in between leaves it in the record, and the next process that touches the record carries
it out first. So each effect may be carried out more than once, and says everything that its repetition needs
to be the very same: frames are named after what happened (`presence.announce`), and receivers drop the
repetition.

`presence.effects` carries effects out. Pure; times are Unix milliseconds. Records are decoded by other
versions, so classes and fields are only ever added, at the end and with defaults (docs/decisions/0060).
"""

from typing import Literal, NamedTuple

import msgspec

from tieline.wire.events import Happened
from tieline.wire.ids import (
    NO_CALL,
    Address,
    CallId,
    ConnectionId,
    FrameDigest,
    GatewayId,
    RoomId,
    SessionId,
    UserId,
)
from tieline.wire.replies import HangupReason, LeftReason


class _Effect(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """One thing to do for others: positional, tagged by its class."""


class Changed(_Effect, frozen=True, array_like=True, tag=True):
    """Make every router forget what it remembers of a user."""

    user: UserId


class CloseConnection(_Effect, frozen=True, array_like=True, tag=True):
    """Have a gateway close a connection that has lost its session."""

    user: UserId
    session: SessionId
    gateway: GatewayId
    connection: ConnectionId
    code: int
    """A `CloseCode`."""


class RemoveNote(_Effect, frozen=True, array_like=True, tag=True):
    """Remove the note that a session is one of this gateway's."""

    session: SessionId
    gateway: GatewayId
    revision: int
    last: bool = False
    """Only when all else is carried out and the record is settled: if this process dies before, another one
    finds the session by its note, as nobody else asks for the sessions of a dead gateway."""


class EndCalls(_Effect, frozen=True, array_like=True, tag=True):
    """End every negotiation of a session that has ended, and tell the peers (`disconnected`)."""

    session: SessionId
    at: int


class EndCallsWithoutRoom(_Effect, frozen=True, array_like=True, tag=True):
    """End the negotiations with users who share no room with this one now, and tell them."""

    reason: Literal["left", "kicked"]
    cause: str
    """What ended them, which tells one hangup from the next."""
    at: int
    tell_user: bool = False
    """The user is told, too."""


class MemberCame(_Effect, frozen=True, array_like=True, tag=True):
    """Tell the other members of a room that this user has come."""

    room: RoomId
    entry: int
    """The revision of the user's roster entry."""
    at: int
    again: bool = False
    """It has been told before: somebody may have missed it."""


class MemberWent(_Effect, frozen=True, array_like=True, tag=True):
    """Tell the other members of a room that this user is none any more; then remove its roster entry."""

    room: RoomId
    session: SessionId
    entry: int
    reason: LeftReason
    at: int
    tell_user: bool = False
    again: bool = False
    """See `MemberCame`. There is no roster entry any more."""


class SessionBegan(_Effect, frozen=True, array_like=True, tag=True):
    """Tell the other members of all rooms of the record that this user has come. See `MemberCame`."""

    at: int


class SessionEnded(_Effect, frozen=True, array_like=True, tag=True):
    """Tell the other members of all rooms of the record that this user is none any more (`disconnected`).

    See `MemberWent`. The rooms stay in the record: it must not grow by them once more.
    """

    session: SessionId
    at: int


class StatusChanged(_Effect, frozen=True, array_like=True, tag=True):
    """Tell the members of the user's rooms that the session went away or came back."""

    is_silent: bool = False
    """It did neither: only what else is listed of a member has changed."""
    at: int = 0
    """0: a process that did not say so has written it."""


class HangUp(_Effect, frozen=True, array_like=True, tag=True):
    """Tell one user that the server has ended its negotiation with `peer`."""

    user: UserId
    session: SessionId
    peer: UserId
    reason: HangupReason
    cause: str
    call: CallId = NO_CALL


class CallEnded(_Effect, frozen=True, array_like=True, tag=True):
    """Tell backends that the server has ended a negotiation."""

    at: int
    user: UserId
    """Who ended it, or offered it."""
    peer: UserId
    reason: HangupReason
    call: CallId = NO_CALL


class Woken(_Effect, frozen=True, array_like=True, tag=True):
    """Send one user the offer that was kept for it.

    Only where offers are kept: a process of 0.1.0 cannot read a record that has one of these.
    """

    user: UserId
    session: SessionId
    peer: UserId
    """Who has made the offer."""
    digest: FrameDigest
    call: CallId


OneRoomEffect = (
    Changed
    | CloseConnection
    | RemoveNote
    | EndCalls
    | EndCallsWithoutRoom
    | MemberCame
    | MemberWent
    | StatusChanged
)
"""What is carried out: an effect on all rooms of a record is carried out for each of them."""

UserEffect = OneRoomEffect | SessionBegan | SessionEnded
"""What the change of a user's record may cause."""

CallEffect = HangUp | CallEnded | Woken
"""What the change of a negotiation may cause."""

Effect = UserEffect | CallEffect


class Deliver(NamedTuple):
    """Send one frame to one session, with a reply; it is not stored."""

    to: Address
    frame: bytes


class Happening(NamedTuple):
    """Tell backends something, with a reply, and again with the reply to each retry; it is not stored."""

    kind: Literal["joined", "left", "offered", "answered", "ended"]
    fact: Happened


class Replaced(NamedTuple):
    """Take an offer that nobody has had out of the mailbox, when the newer one is stored."""

    user: UserId
    """For whom the two are."""
    older: FrameDigest
    newer: FrameDigest


Said = Changed | Deliver | Happening | Replaced
"""What goes with a reply."""


def is_cheap(effect: Effect) -> bool:
    """Whether an effect may be repeated at any time for a message, and need not be known to be done.

    A note is removed by its revision: that it is done costs every process less to find out than to be told.
    """
    if isinstance(effect, RemoveNote):
        return not effect.last
    return isinstance(effect, Changed | CloseConnection)


def is_for_others(effect: Effect) -> bool:
    """Whether nobody would ever hear of it if its record went first; a note is found without the record."""
    return not isinstance(effect, Changed | CloseConnection | RemoveNote)
