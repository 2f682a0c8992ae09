"""Tell of the changes of rooms: backends, and the rooms themselves by their logs (`presence.room_log`).

What an entry of a log says is in `tieline.wire.internal.rooms.RoomChange`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

import msgspec

from presence.announce import Announcer
from presence.room_log import Added, RoomLog
from presence.rules.effects import (
    MemberCame,
    MemberWent,
    OneRoomEffect,
    SessionBegan,
    SessionEnded,
    StatusChanged,
)
from presence.rules.negotiated import RETRY_MS
from presence.rules.user import User
from presence.side_by_side import side_by_side
from tieline.wire.events import Happened
from tieline.wire.ids import RoomId, UserId
from tieline.wire.internal.rooms import RoomChange


class _Happened(NamedTuple):
    """What backends are told of one room."""

    room: RoomId
    kind: Literal["joined", "left"]
    fact: Happened


class RoomTelling:
    """Tells of changes of rooms. Raises what `RoomLog` and `Publisher` raise; repeating is always safe."""

    def __init__(self, log: RoomLog, announcer: Announcer, clock: Callable[[], int]) -> None:
        self._log = log
        self._announcer = announcer
        self._clock = clock

    async def tell(
        self,
        user: UserId,
        pending: Iterable[OneRoomEffect],
        changes: Mapping[RoomId, RoomChange],
        *,
        is_again: bool,
    ) -> Mapping[RoomId, Added]:
        """Tell backends, and write the logs of rooms; returns where the change stands in each.

        Backends are told first. So of what a log has already, they have been told.
        """
        happened = list(self._happened(user, pending))
        if not is_again:
            self._tell_backends(happened)
        adding = (self._log.add(room, user, change) for room, change in changes.items())
        added = dict(zip(changes, await side_by_side(*adding), strict=True))
        if is_again:
            self._tell_backends(each for each in happened if each.room in added and added[each.room].is_new)
        return added

    def is_news(self, effect: MemberCame) -> bool:
        """Whether somebody may not have heard of it: a repetition is recognized no longer than this.

        The client that asked for it has asked again long since, or is gone.
        """
        return self._clock() - effect.at < RETRY_MS

    def _happened(self, user: UserId, pending: Iterable[OneRoomEffect]) -> Iterator[_Happened]:
        """List what backends are told of rooms."""
        for effect in pending:
            match effect:
                case MemberCame(room=room, at=at, again=False) if self.is_news(effect):
                    yield _Happened(room, "joined", Happened(at, user, room=room))
                case MemberWent(room=room, at=at, again=False, reason=reason):
                    yield _Happened(room, "left", Happened(at, user, room=room, reason=reason))
                case _:
                    pass

    def _tell_backends(self, happened: Iterable[_Happened]) -> None:
        for each in happened:
            self._announcer.happened(each.kind, each.fact)


def by_room(record: User) -> Iterator[OneRoomEffect]:
    """List what is pending, with what concerns all rooms of the record for each of them."""
    for effect in record.pending:
        match effect:
            case SessionBegan():
                for room, member in record.rooms.items():
                    yield MemberCame(room, member.entry, effect.at)
            case SessionEnded():
                for room, member in record.rooms.items():
                    yield MemberWent(room, effect.session, member.entry, "disconnected", effect.at)
            case _:
                yield effect


def rooms_of(record: User, pending: Iterable[OneRoomEffect]) -> Iterator[RoomId]:
    """List the rooms whose members hear of what is pending."""
    for effect in pending:
        match effect:
            case MemberCame() | MemberWent():
                yield effect.room
            case StatusChanged():
                yield from record.rooms
            case _:
                pass


def changes_of(
    record: User, pending: Iterable[OneRoomEffect], revision: int, is_news: Callable[[MemberCame], bool]
) -> dict[RoomId, RoomChange]:
    """List what the logs of rooms say of what is pending; of several changes of one room the first."""
    changes: dict[RoomId, RoomChange] = {}
    for effect in pending:
        match effect:
            case MemberCame():
                if is_news(effect):
                    changes[effect.room] = _change("joined", effect.room, record, revision, effect.at)
            case MemberWent():
                changes[effect.room] = _departure(effect, record, revision)
            case StatusChanged():
                for room, member in record.rooms.items():
                    change = _change("updated", room, record, revision, member.since)
                    silent = msgspec.structs.replace(change, is_silent=effect.is_silent, at=effect.at)
                    changes.setdefault(room, silent)  # who has come just now came as it is
            case _:
                pass
    return changes


def _change(
    kind: Literal["joined", "updated"], room: RoomId, record: User, revision: int, at: int
) -> RoomChange:
    """Say in the room's log what a member is now."""
    session, member = record.session, record.rooms.get(room)
    status: Literal["online", "away"] = "away" if session.status == "away" else "online"
    since = at if member is None else member.since
    return RoomChange(kind, revision, session.id, status, record.voice, since, in_call=session.in_call, at=at)


def _departure(effect: MemberWent, record: User, revision: int) -> RoomChange:
    """Say in the room's log that a member is none any more."""
    return RoomChange(
        "left",
        revision,
        effect.session,
        "online",
        record.voice,
        0,
        effect.reason,
        effect.tell_user,
        at=effect.at,
    )
