"""The log of one room as far as this gateway has it. Pure: times are seconds of a monotonic clock.

Every change that was pushed is kept for a moment, so that members are told of each. The last change of each
user is kept for longer: a member that comes back after a while is told of those. `number` is that of the last
change.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final

from gateway.rooms.changes import UNNAMED, Change
from tieline.wire.ids import SessionId, UserId

MAX_RECENT: Final = 2_048
"""Changes of a room that are kept one by one, about 1 MB; of older ones the last of each user is kept."""


class RoomLog:
    """What has happened in a room."""

    __slots__ = ("_compared_from", "_last", "_recent", "_recent_since", "nonce", "number")

    def __init__(self, number: int = 0) -> None:
        """Begin with nothing that is newer than a number."""
        self.number = number
        self.nonce = UNNAMED
        """That of the last change."""
        self._recent: deque[Change] = deque()
        self._recent_since = number
        """Of what is newer, every change is in `_recent`."""
        self._last: dict[UserId, tuple[Change, float, int]] = {}
        """The last change of each user, in order, with when it came, and since which number the user is known
        to be what it says."""
        self._compared_from = number
        """Of what is newer revisions say which of two changes is newer; else they may be of another time."""

    def last_of(self, user: UserId) -> int:
        """Find the number of a user's last change; 0: none is known."""
        known = self._last.get(user)
        return 0 if known is None else known[0].number

    def add(self, change: Change, now: float) -> bool:
        """Take a change that was pushed; False: it is known already, or told once more."""
        known = self._last.get(change.user)
        if known is not None:
            if known[0].number >= change.number:
                return False
            if known[0].entry == change.entry:  # told once more, after the time in which that is recognized
                return False
        self._put(change, now)
        self._recent.append(change)
        if len(self._recent) > MAX_RECENT:
            self._recent_since = self._recent.popleft().number
        self._reach(change)
        return True

    def has(self, change: Change) -> bool:
        """Whether a change is the last one of its user that is known, under whatever number."""
        known = self._last.get(change.user)
        return known is not None and known[0].entry == change.entry

    def is_overtaken(self, change: Change) -> bool:
        """Whether a change that is stored behind the last one of its user is older than that."""
        known = self._last.get(change.user)
        if known is None or not self._compared_from < known[0].number < change.number:
            return False
        return change.entry.revision < known[0].entry.revision

    def forget_revisions(self) -> None:
        """Compare no later change with what is known now: a bucket that was lost counts anew."""
        self._compared_from = self.number

    def last_change(self, user: UserId) -> Change | None:
        """Find a user's last change; None: none is known."""
        known = self._last.get(user)
        return None if known is None else known[0]

    def catch_up(self, changes: Iterable[Change], now: float, whole_to: int = 0) -> list[Change]:
        """Take changes that were read, of each user the last; returns those that were not known, in order.

        There may be older ones among them than were pushed meanwhile. If they are all newer than a number up
        to which nothing is missing, they are kept one by one like those that are pushed: who has been told
        what is older needs no more. 0: there is no such number.
        """
        missing = sorted(
            (change for change in changes if change.number > self.last_of(change.user)),
            key=lambda change: change.number,
        )
        if missing and 0 < whole_to < missing[0].number:
            return [change for change in missing if self.add(change, now)]
        if missing:
            for change in missing:
                self._put(change, now)
            self._last = dict(sorted(self._last.items(), key=lambda item: item[1][0].number))
            self._reach(missing[-1])
            self._recent.clear()
            self._recent_since = self.number
        return missing

    def _put(self, change: Change, now: float) -> None:
        """Make a change the last of its user."""
        known = self._last.pop(change.user, None)
        since = change.number
        if known is not None and change.entry.kind == "updated" and not known[0].has_left:
            since = known[2] if known[0].entry.joined_at == change.entry.joined_at else since
        self._last[change.user] = change, now, since

    def _reach(self, change: Change) -> None:
        if change.number > self.number:
            self.number, self.nonce = change.number, change.nonce

    def remember(self, history: Iterable[Change]) -> None:
        """Take every change that is kept, if they are few, behind whose last one nothing is missing here."""
        known = {
            change.number: change for change in history if change.number <= self.number and not change.is_late
        }
        known.update((change.number, change) for change, *_ in self._last.values())
        known.update((change.number, change) for change in self._recent)
        if len(known) <= MAX_RECENT:
            self._recent = deque(known[number] for number in sorted(known))
            self._recent_since = 0

    def joined_at(self, user: UserId, session: SessionId) -> int:
        """Find the number of the change by which a session joined; 0: it is not kept."""
        for change in reversed(self._recent):
            if change.user == user and change.entry.session == session and change.entry.kind == "joined":
                return change.number
        return 0

    def since(self, position: int, up_to: int | None = None) -> list[Change]:
        """List what is newer than a position, in order: every change, or the last of each user.

        With `up_to` nothing that is newer than that.
        """
        if self.has_each_since(position):
            newest = _newer(reversed(self._recent), position)
        else:
            newest = _newer((change for change, *_ in reversed(self._last.values())), position)
        return newest if up_to is None else [change for change in newest if change.number <= up_to]

    def hidden_since(self, position: int) -> list[Change]:
        """List the updates that may hide that their users have come since a position.

        Of each user the last change is kept alone, and nothing says that the user was there before.
        """
        if self.has_each_since(position):
            return []
        return [
            change
            for change in self.since(position)
            if change.entry.kind == "updated" and self.may_have_come(change.user, position)
        ]

    def may_have_come(self, user: UserId, position: int) -> bool:
        """Whether a user, whose last change is known, is not known to have been there before a position."""
        return self._last[user][2] > position

    def has_each_since(self, position: int) -> bool:
        """Whether every change that is newer than a position is kept, not only the last of each user."""
        return position >= self._recent_since

    def forget(self, before: float) -> None:
        """Forget what came before a moment."""
        for user, (_, at, _) in list(self._last.items()):
            if at >= before:
                break
            del self._last[user]
        while self._recent and self._recent[0].user not in self._last:
            self._recent_since = self._recent.popleft().number


def _newer(changes: Iterable[Change], position: int) -> list[Change]:
    """List the changes that are newer than a position; they come newest first."""
    found = []
    for change in changes:
        if change.number <= position:
            break
        found.append(change)
    found.reverse()
    return found
