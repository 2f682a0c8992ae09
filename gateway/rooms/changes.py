"""A change of a room as this gateway has it: read from the room's log, and told to clients. Pure.

Clients are told in one of two ways (docs/protocol.md#3-commands): one event a change, or all changes of a
moment in one ROOM_CHANGED. Both are written here as they go to the socket, because the same bytes go to many.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from gateway.client.frames import text_head
from tieline.wire import internal, replies
from tieline.wire.ids import RoomId, UserId
from tieline.wire.internal import RoomChange
from tieline.wire.replies import (
    Left,
    Member,
    MemberJoined,
    MemberLeft,
    MemberUpdated,
    RoomChanged,
)

_ID: Final = re.compile(r"room-([1-9][0-9]{0,15})(?:-list)?")


class Change(msgspec.Struct, frozen=True, gc=False):
    """One entry of a room's log."""

    number: int
    user: UserId
    entry: RoomChange
    event: bytes
    """The frame that tells of it, with its head; empty for one of which only a batch tells."""

    @property
    def member(self) -> Member:
        """What the user is as a member."""
        return Member(self.user, self.entry.status, self.entry.voice, self.entry.joined_at)

    @property
    def has_left(self) -> bool:
        """Whether the user is no member any more."""
        return self.entry.kind == "left"


class Told(NamedTuple):
    """Changes as they are written to a client."""

    data: bytes
    """Frames with their heads."""
    last: int
    """The number of the last change."""


def read(room: RoomId, user: UserId, number: int, data: bytes) -> Change:
    """Read an entry of a room's log.

    Raises:
        msgspec.MsgspecError: it is of another version, or none.
    """
    entry = internal.decode_room_change(data)
    return Change(number, user, entry, b"" if entry.is_silent else framed(_event(room, user, number, entry)))


def framed(message: bytes) -> bytes:
    """Put a WebSocket head before a message."""
    return text_head(len(message)) + message


def position_in(request_id: str) -> int | None:
    """Read the number of a change from the requestId of what told of it; None: it is no such requestId."""
    match = _ID.fullmatch(request_id)
    return None if match is None else int(match[1])


def name_of(number: int) -> str:
    """Make the requestId of what tells of a change, and of those before it."""
    return f"room-{number}"


def name_of_list(number: int) -> str:
    """Make the requestId of a list that stands at a number."""
    return f"room-{number}-list"


def _event(room: RoomId, user: UserId, number: int, entry: RoomChange) -> bytes:
    match entry.kind:
        case "joined":
            return replies.success(name_of(number), "MEMBER_JOINED", MemberJoined(room, user, number))
        case "left":
            left = MemberLeft(room, user, entry.reason or "left", number)
            return replies.success(name_of(number), "MEMBER_LEFT", left)
        case "updated":  # pragma: no branch  # there is no other
            updated = MemberUpdated(room, user, entry.status, number)
            return replies.success(name_of(number), "MEMBER_UPDATED", updated)


def told_singly(changes: Sequence[Change]) -> Told:
    """Tell of each change by itself."""
    return Told(b"".join([change.event for change in changes]), changes[-1].number)


def told_together(room: RoomId, changes: Sequence[Change]) -> Told:
    """Tell of all changes at once, of each user as it has become."""
    latest = {change.user: change for change in changes}
    came = {change.user for change in changes if change.entry.kind == "joined"}
    last = changes[-1].number
    changed = RoomChanged(
        room,
        last,
        [change.member for user, change in latest.items() if not change.has_left and user in came],
        [Left(user, change.entry.reason or "left") for user, change in latest.items() if change.has_left],
        [change.member for user, change in latest.items() if not change.has_left and user not in came],
    )
    return Told(framed(replies.success(name_of(last), "ROOM_CHANGED", changed)), last)
