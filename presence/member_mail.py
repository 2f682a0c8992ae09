"""Tell members of a change in their room one by one, by their mailboxes: those who do not hear its log.

They are clients of gateways of version 0.1 (`presence.listeners`). All others are told by the log
(`presence.room_telling`).
"""

from collections.abc import Callable, Iterable

from presence.announce import Announcer
from presence.rules.effects import MemberCame, MemberWent, StatusChanged
from presence.rules.room import StoredEntry
from presence.rules.user import User
from tieline.wire.ids import Address, RoomId, UserId

RosterMap = dict[RoomId, list[StoredEntry]]


class MemberMail:
    """Sends members their frames. Raises what `Publisher` raises; repeating is always safe."""

    def __init__(self, announcer: Announcer, is_news: Callable[[MemberCame], bool]) -> None:
        """Take also what says whether somebody may not have heard of it."""
        self._announcer = announcer
        self._is_news = is_news

    def came(self, user: UserId, revision: int, effect: MemberCame, roster: list[StoredEntry]) -> None:
        """Tell the members that were entered before the record said so: later ones find it in the roster."""
        if not self._is_news(effect):
            return
        frame = self._announcer.joined_frame(effect.room, user, effect.entry)
        self._tell_others(user, revision, roster, frame)

    def went(
        self, user: UserId, record: User, revision: int, effect: MemberWent, roster: list[StoredEntry]
    ) -> None:
        """Tell the members that were entered before the record said so: later ones never saw this one.

        Tell the user itself, too, if that is wanted.
        """
        frame = self._announcer.left_frame(effect.room, user, effect.entry, effect.reason)
        self._tell_others(user, revision, roster, frame)
        if effect.tell_user and not effect.again and not record.session.hears:
            self._announcer.deliver(Address(user, effect.session), frame)

    def status_changed(
        self, user: UserId, record: User, revision: int, effect: StatusChanged, rosters: RosterMap
    ) -> None:
        """Tell the members that were entered before the record said so: later ones find it in the roster."""
        if effect.is_silent:
            return
        for room in record.rooms:
            frame = self._announcer.updated_frame(room, user, record.session)
            self._tell_others(user, revision, rosters[room], frame)

    def _tell_others(self, user: UserId, revision: int, roster: Iterable[StoredEntry], frame: bytes) -> None:
        """Send a frame to those other members whose gateway does not hear the room's log.

        They are as they were entered when this revision was written.
        """
        for other in roster:
            if other.user != user and other.revision < revision and not other.entry.hears:
                self._announcer.deliver(Address(other.user, other.entry.session), frame)
