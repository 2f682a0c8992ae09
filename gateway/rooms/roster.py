"""Who is in a room, as this gateway has it: a list of presence, and the changes of the room's log. Pure.

Which of two is newer, an entry of a list or a change, is told by the revision of the user's record: the list
may have been read before the change was made, or after.
"""

import bisect
from collections.abc import Iterable

import msgspec

from gateway.client.pages import Page, Standing, cursor
from gateway.rooms.changes import Change
from tieline.wire.ids import RoomId, UserId
from tieline.wire.internal.rooms import RoomMembers
from tieline.wire.replies import Member, RosterPage

_encode = msgspec.json.Encoder().encode


class _Row(msgspec.Struct, frozen=True, gc=False):
    """One member."""

    standing: Standing
    revision: int
    encoded: bytes


class Roster:
    """The members of one room."""

    __slots__ = ("_gone", "_order", "_room", "_rows")

    def __init__(self, room: RoomId, listed: RoomMembers, changes: Iterable[Change]) -> None:
        """Begin with a list, which has revisions, and what may be newer than it, in order."""
        self._room = room
        self._rows: dict[UserId, _Row] = {}
        self._order: list[Standing] = []
        self._gone: dict[UserId, int] = {}
        """Users who have left, by the revision with which they did."""
        for member, revision in zip(listed.members, listed.revisions, strict=True):
            self._enter(member, revision)
        for change in changes:
            self.apply(change)

    def __len__(self) -> int:
        return len(self._rows)

    def apply(self, change: Change) -> None:
        """Take a change, unless what is known is newer."""
        user, revision = change.user, change.entry.revision
        row = self._rows.get(user)
        if revision <= (self._gone.get(user, 0) if row is None else row.revision):
            return
        if row is not None:
            self._remove(row)
        if change.has_left:
            self._gone[user] = revision
        else:
            self._enter(change.member, revision)

    def joined_at(self, user: UserId) -> int | None:
        """Say when a member joined; None: it is none."""
        row = self._rows.get(user)
        return None if row is None else row.standing.joined_at

    def forget_gone(self) -> None:
        """Forget who has left. Nothing older than that may come any more."""
        self._gone.clear()

    def whole(self, number: int) -> RosterPage:
        """List all members, at the number of the last change."""
        return RosterPage(self._room, self._encoded(self._order), number)

    def page(self, page: Page, number: int) -> RosterPage:
        """List some members, at the number of the last change."""
        start = self._start(page)
        standings = self._order[start : start + page.limit]
        has_more = start + page.limit < len(self._order)
        rest = cursor(standings[-1]) if has_more else ""
        return RosterPage(self._room, self._encoded(standings), number, len(self._rows), rest)

    def length(self, page: Page | None) -> int:
        """Say how many members a page has; None: of the whole list."""
        return len(self._order) if page is None else min(page.limit, len(self._order) - self._start(page))

    def _start(self, page: Page) -> int:
        return 0 if page.after is None else bisect.bisect_right(self._order, page.after)

    def _encoded(self, standings: list[Standing]) -> msgspec.Raw:
        rows = self._rows
        return msgspec.Raw(b"[" + b",".join([rows[standing.user].encoded for standing in standings]) + b"]")

    def _enter(self, member: Member, revision: int) -> None:
        user = member.user_id
        row = _Row(Standing(member.joined_at, user), revision, _encode(member))
        self._rows[user] = row
        self._gone.pop(user, None)
        if not self._order or row.standing > self._order[-1]:
            self._order.append(row.standing)
        else:
            bisect.insort(self._order, row.standing)

    def _remove(self, row: _Row) -> None:
        del self._rows[row.standing.user]
        del self._order[bisect.bisect_left(self._order, row.standing)]
