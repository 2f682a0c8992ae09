"""Those who have gone from one room, and what they may lack of what they say that they were told. Pure.

A member that comes back says how far it was told. What is found, or comes, after it has gone is not among
that: presence is asked to tell once more of each user whose change it may lack. Numbers are those of the log.
"""

from typing import Final

from gateway.rooms.changes import Change
from gateway.rooms.log import RoomLog
from tieline.wire.ids import UserId

LATE_LOOKS: Final = 2
"""Looks (`live_rooms.LOOK_EVERY_S`) after which a member has had what it was told late, or is gone: more than
40 seconds, and a dead line is noticed in less."""


class Leavers:
    """What is known of all who have gone since nothing was missing."""

    __slots__ = ("_late", "_looks", "_told_most", "_up_to_of_others", "up_to")

    def __init__(self) -> None:
        self.up_to = 0
        """Up to which number they may say that they were told."""
        self._told_most: UserId | None = None
        """Who of them may say so."""
        self._up_to_of_others = 0
        """The same of all but that user: nobody is told its own changes."""
        self._late: dict[UserId, tuple[int, int]] = {}
        """Users whose change a member here was told after what is newer: its number, and at which look."""
        self._looks = 0

    def up_to_besides(self, user: UserId) -> int:
        """Say up to which number they may say that they were told, but for one user."""
        return self._up_to_of_others if user == self._told_most else self.up_to

    def note_late(self, log: RoomLog, member: UserId, position: int, up_to: int) -> None:
        """Take note that a member is told what is newer than a position after what has the number `up_to`.

        It may not have it when it goes.
        """
        for change in _lacking_between(log, member, position, up_to):
            self._late[change.user] = min(change.number, up_to), self._looks

    def add(self, log: RoomLog, member: UserId, position: int, up_to: int) -> list[UserId]:
        """Take note that a member is gone, which was told everything up to a position.

        Before it had been told something newer: `up_to` is what it may say when it comes back. Returns the
        users whose change it may lack then; never the member itself, but where it was put out.
        """
        if member == self._told_most:
            self.up_to = max(self.up_to, up_to)
        elif up_to > self.up_to:
            self._told_most, self._up_to_of_others, self.up_to = member, self.up_to, up_to
        else:
            self._up_to_of_others = max(self._up_to_of_others, up_to)
        late = [user for user, (number, _) in self._late.items() if number <= up_to and user != member]
        for user in late:
            del self._late[user]
        lacking = (change.user for change in _lacking_between(log, member, position, up_to))
        return list(dict.fromkeys([*late, *lacking]))

    def lack_nothing(self) -> None:
        """Take note that nothing is missing, so that those who have gone before lack nothing."""
        self._told_most, self._up_to_of_others, self.up_to = None, 0, 0

    def look(self) -> None:
        """Forget what was told late some looks ago."""
        self._looks += 1
        for user, (_, at) in list(self._late.items()):
            if self._looks - at > LATE_LOOKS:
                del self._late[user]


def _lacking_between(log: RoomLog, member: UserId, position: int, up_to: int) -> list[Change]:
    """Find what one lacks who was told all up to a position, and says that it was told more.

    A newer update may hide that its user has come before. Of its own only what puts it out is told.
    """
    lacking = (*log.since(position, up_to), *log.hidden_since(position))
    return [change for change in lacking if change.user != member or change.entry.tells_user]
