"""A change of a room as this gateway has it: read from the room's log, and told to clients. Pure.

Clients are told in one of two ways (docs/protocol.md#3-commands): one event a change, or all changes of a
moment in one ROOM_CHANGED. Both are written here as they go to the socket, because the same bytes go to many.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from gateway.client.frames import head_size, payload_size, text_head
from gateway.client.mail import Place, with_place
from tieline.wire import jetstream_headers, replies
from tieline.wire.ids import RoomId, SessionId, UserId
from tieline.wire.internal import codec
from tieline.wire.internal.rooms import RoomChange
from tieline.wire.limits import RETRY_WINDOW_S
from tieline.wire.replies import Left, Member, MemberJoined, MemberLeft, MemberUpdated, RoomChanged

_BEGIN: Final = b'{"requestId":"'
_ID: Final = re.compile(r"room-([1-9][0-9]{0,15})-([0-9a-f]{16})(?:-list)?(?:-after-([0-9]{1,16}))?")


LATE_MS: Final = int(RETRY_WINDOW_S * 1000)
"""What is stored so long after it was decided may be told once more, behind what is newer: the stream would
hardly recognize it (`presence.mailbox.MIN_KEEP_S`). Mostly that takes milliseconds."""

UNNAMED: Final = "0" * 16
"""The nonce of what has none, as a list to which no change has led. No place is believed that names it."""


class Change(msgspec.Struct, frozen=True, gc=False):
    """One entry of a room's log."""

    number: int
    user: UserId
    entry: RoomChange
    event: bytes
    """The frame that tells of it, with its head; empty for one of which only a batch tells."""
    says: int
    """The number that it has in that frame."""
    nonce: str
    """What nobody could foresee of it, and stands in the requestId of what tells of it."""
    is_late: bool = False
    """It may be older than what is stored before it."""

    @property
    def member(self) -> Member:
        """What the user is as a member."""
        entry = self.entry
        return Member(self.user, entry.status, entry.voice, entry.joined_at, entry.in_call)

    @property
    def has_left(self) -> bool:
        """Whether the user is no member any more."""
        return self.entry.kind == "left"

    def ends(self, session: SessionId) -> bool:
        """Whether a session of the user is no member any more.

        One that presence has ended may be registered again as long as its connection is here.
        """
        return self.has_left and self.entry.session == session and self.entry.reason != "disconnected"


class Position(NamedTuple):
    """How far a client has been told."""

    number: int
    """Of the last change that it was told."""
    whole_to: int
    """It was told everything up to this number, in all its rooms; no more than to the change itself."""
    nonce: str
    """That of the change. If the change has another one, its sender has made this requestId up."""


class Told(NamedTuple):
    """Changes as they are written to a client."""

    data: bytes
    """Frames with their heads."""
    last: int
    """The number of the last change."""
    changes: Sequence[Change] = ()
    """Those that are told; none if it is a list."""
    whole_to: int | None = None
    """Up to which number all is told before the last of them is, if each stands for older ones of its user,
    or if it is a list that goes beyond what follows; None: up to each of them."""
    placed: bytes = b""
    """The same frames for a client that is told the place of each; empty: they have not been made."""

    def is_behind(self, number: int) -> bool:
        """Whether any of the frames says less than that all is told up to a number."""
        first = self.changes[0].number if self.changes else self.last
        return first < number or (self.whole_to is not None and self.whole_to < number)


def read(room: RoomId, user: UserId, number: int, data: bytes, headers: bytes) -> Change:
    """Read an entry of a room's log, with the headers that the stream gives it.

    Raises:
        UNREADABLE: it is of another version, or none.
    """
    entry = codec.decode_room_change(data)
    nonce = jetstream_headers.nonce_of(headers) or UNNAMED
    is_late = 0 < entry.at < jetstream_headers.stored_at(headers) - LATE_MS
    change = Change(number, user, entry, b"", number, nonce, is_late)
    return change if entry.is_silent else _with_event(room, change)


def told_late(room: RoomId, change: Change, number: int) -> Change:
    """Have clients take a change for no older than a number: lists may go so far that lack it."""
    if change.number >= number:
        return change
    late = msgspec.structs.replace(change, says=number)
    return _with_event(room, late) if change.event else late


def told_anew(room: RoomId, change: Change) -> Change:
    """Have clients told all of a member who stays, for they may not have been told that it has come."""
    if change.entry.kind != "updated":
        return change
    entry = msgspec.structs.replace(change.entry, kind="joined", is_silent=False)
    return msgspec.structs.replace(change, event=_events(room, change, entry))


def framed(message: bytes) -> bytes:
    """Put a WebSocket head before a message."""
    return text_head(len(message)) + message


def position_in(request_id: str) -> Position | None:
    """Read from the requestId of what told of a change how far that is; None: it is no such requestId.

    Whether there is such a change the caller has to find out, with the nonce: clients may copy what was told.
    """
    match = _ID.fullmatch(request_id)
    if match is None:
        return None
    number = int(match[1])
    return Position(number, min(number, int(match[3] or number)), match[2])


def name_of(number: int, nonce: str) -> str:
    """Make the requestId of what tells of a change, and of those before it."""
    return f"room-{number}-{nonce}"


def name_before_all(number: int, nonce: str, whole_to: int) -> str:
    """Make the requestId of what tells of a change before all is told that is newer than another number."""
    return f"{name_of(number, nonce)}-after-{whole_to}"


def name_of_list(number: int, nonce: str) -> str:
    """Make the requestId of a list that goes as far as a change."""
    return f"{name_of(number, nonce)}-list"


def _with_event(room: RoomId, change: Change) -> Change:
    return msgspec.structs.replace(change, event=_events(room, change, change.entry))


def _events(room: RoomId, change: Change, entry: RoomChange) -> bytes:
    """Write what tells of a change; `entry` is what it says of the user."""
    user, number, says = change.user, change.number, change.says
    name = name_of(number, change.nonce)
    updated = MemberUpdated(room, user, entry.status, says)
    match entry.kind:
        case "left":
            left = MemberLeft(room, user, entry.left_reason, says)
            return framed(replies.success(name, "MEMBER_LEFT", left))
        case "updated":
            return framed(replies.success(name, "MEMBER_UPDATED", updated))
        case "joined":  # pragma: no branch  # there is no other
            joined = MemberJoined(room, user, says)
            if entry.status == "online":
                return framed(replies.success(name, "MEMBER_JOINED", joined))
            before = name_before_all(number, change.nonce, number - 1)
            came = framed(replies.success(before, "MEMBER_JOINED", joined))
            return came + framed(replies.success(name, "MEMBER_UPDATED", updated))


def told_singly(changes: Sequence[Change], whole_to: int | None = None) -> Told:
    """Tell of each change by itself; with `whole_to`, of all that is newer, of each user the last."""
    return Told(_singly(changes, whole_to), changes[-1].number, changes, whole_to)


def _singly(changes: Sequence[Change], whole_to: int | None) -> bytes:
    *others, last = (change.event for change in changes)
    if whole_to is not None:
        others = [_all_renamed(event, whole_to) for event in others]
    return b"".join([*others, last])


def told_together(room: RoomId, changes: Sequence[Change]) -> Told:
    """Tell of all changes at once, of each user as it has become."""
    latest = {change.user: change for change in changes}
    came = {change.user for change in changes if change.entry.kind == "joined"}
    last = changes[-1]
    changed = RoomChanged(
        room,
        max(change.says for change in changes),
        [change.member for user, change in latest.items() if not change.has_left and user in came],
        [Left(user, change.entry.left_reason) for user, change in latest.items() if change.has_left],
        [change.member for user, change in latest.items() if not change.has_left and user not in came],
    )
    message = replies.success(name_of(last.number, last.nonce), "ROOM_CHANGED", changed)
    return Told(framed(message), last.number, changes)


def listed_before(listed: Told, whole_to: int) -> Told:
    """Have a list say that all is told up to a number, for something follows that is older than the list."""
    return listed._replace(data=_renamed(listed.data, whole_to), whole_to=whole_to)


def in_one_order(told: Sequence[Told], *, batches: bool) -> bytes:
    """Write what is told of several rooms, for a client that may get a part of it and then come back.

    Single events stand in the order of their numbers. A batch before others does not say that all up to its
    number has been told; nor does an event, where others stand for older ones.
    """
    if not batches:
        changes = sorted((one for each in told for one in each.changes), key=lambda change: change.number)
        return _singly(changes, min((one.whole_to for one in told if one.whole_to is not None), default=None))
    *others, last = sorted(told, key=lambda one: one.last)
    whole_to = min(_all_before(one) for one in told)
    return b"".join([_renamed(one.data, whole_to) for one in others]) + last.data


def _all_before(told: Told) -> int:
    """Say up to which number all is told before a batch, or a list."""
    if told.changes:
        return told.changes[0].number - 1
    return told.last - 1 if told.whole_to is None else told.whole_to


def _all_renamed(frames: bytes, whole_to: int) -> bytes:
    """Give each of several frames the requestId of one that comes before others."""
    renamed = []
    while frames:
        start = head_size(frames)
        end = start + payload_size(frames)
        renamed.append(_renamed(frames[:end], whole_to))
        frames = frames[end:]
    return b"".join(renamed)


def with_places(
    frames: bytes, has_had: int = 0, before: int | None = None, after: int | None = None
) -> bytes:
    """Write its place into each frame of this module: how far a client has been told that has had it.

    It has had its mail up to the number `has_had` by then. Of rooms, no place is beyond `before`, that of the
    last frame not beyond `after`; None: that says nothing.
    """
    placed, start = [], 0
    while start < len(frames):
        size = head_size(frames[start : start + 10])
        end = start + size + payload_size(frames[start : start + 10])
        message = frames[start + size : end]
        name = message[len(_BEGIN) : message.index(b'"', len(_BEGIN))]
        position = position_in(name.decode())
        assert position is not None
        whole_to = position.whole_to
        most = before if end < len(frames) else after
        place = Place(max(whole_to, has_had), whole_to if most is None else min(most, whole_to))
        placed.append(framed(with_place(message, place)))
        start = end
    return b"".join(placed)


def _renamed(frame: bytes, whole_to: int) -> bytes:
    """Give a frame, which others share, the requestId of one that comes before others."""
    start = head_size(frame)
    end = frame.index(b'"', start + len(_BEGIN))
    name = frame[start:end].partition(b"-after-")[0]
    return framed(name + b"-after-%d" % whole_to + frame[end:])
