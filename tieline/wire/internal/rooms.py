"""What gateways and presence say to each other about rooms, and what presence writes into a room's log."""

from typing import Final, Literal, get_args

from tieline.wire.ids import ConnectionId, RoomId, SessionId, UserId
from tieline.wire.internal.message import Message
from tieline.wire.replies import LeftReason, Member


class JoinRoom(Message, frozen=True, array_like=True, tag=True, gc=False):
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
    asked: int = 0
    """See `OpenSession`: what was asked before the backend put the user out of a room comes too late."""
    is_ordered: bool = False
    """The backend wants it, not the client: it counts only while the backend still says so."""
    order: int = 0
    """The number of the backend's order (`backend.Ordered`)."""
    once: str = ""
    """The name of that order, as which it may have been carried out already."""


class LeaveRoom(Message, frozen=True, array_like=True, tag=True, gc=False):
    """End the user's membership."""

    user: UserId
    session: SessionId
    room: RoomId
    connection: ConnectionId = ConnectionId("")
    number: int = 0
    """See `JoinRoom`."""


class ListMembers(Message, frozen=True, array_like=True, tag=True, gc=False):
    """Ask for the room's members; only a member is told."""

    user: UserId
    session: SessionId
    room: RoomId
    hears: bool = False
    """See `OpenSession`. The answer has `revisions` then."""
    connection: ConnectionId = ConnectionId("")
    """See `Signal`."""


class Retell(Message, frozen=True, array_like=True, tag=True, gc=False):
    """Tell a room once more what a user is to it, for somebody may have missed the last change of that."""

    user: UserId
    room: RoomId


class RoomMembers(Message, frozen=True, array_like=True, tag=True, gc=False):
    """The room's roster, in the order of joining."""

    members: tuple[Member, ...]
    revisions: tuple[int, ...] = ()
    """Of each member's record, if asked for: a change in the room's log has another one, older or newer."""


class RoomJoined(Message, frozen=True, array_like=True, tag=True, gc=False):
    """The user is a member."""

    number: int
    """Of the change by which the user became one; 0: it is one already, and all is in the room's log."""
    members: RoomMembers | None = None
    """The roster with revisions, if it was asked for."""


class RoomChange(Message, frozen=True, array_like=True, tag=True, gc=False):
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
    in_call: bool = False
    """The user wants it to be seen that it is in a call."""
    at: int = 0
    """When it was decided, in Unix milliseconds of the broker; 0: that is not known."""

    @property
    def left_reason(self) -> LeftReason:
        """Why it left, as far as clients of this version know reasons."""
        return _LEFT_REASONS.get(self.reason or "", "left")


_LEFT_REASONS: Final[dict[str, LeftReason]] = {reason: reason for reason in get_args(LeftReason)}
