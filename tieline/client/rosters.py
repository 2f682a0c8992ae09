"""Who is in the rooms of one client, as lists and changes tell it, in whatever order these come. Pure.

A gateway tells of many changes at once, or sends a list instead
(docs/protocol.md#a-rooms-changes-and-large-rooms). The application is told of one member after the other, as
by a server that knows neither: `Rosters` makes those events. A change that is older than the list is none.
Pages are asked for by `client` and `listings`; the gateway's side is `gateway.rooms`.
"""

from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from tieline.client.events import MemberJoined, MemberLeft, MemberUpdated
from tieline.wire.ids import RoomId, UserId
from tieline.wire.replies import Member, RoomChanged, Roster

RoomEvent = MemberJoined | MemberLeft | MemberUpdated

MISSED_REASON: Final = "left"
"""The reason in the event of a member who is missing in a list: what happened is not known."""


class Change(NamedTuple):
    """What a gateway says in one frame of the changes of a room."""

    room: RoomId
    number: int
    """Of the last of them; 0: unknown."""
    events: tuple[RoomEvent, ...]
    members: tuple[Member, ...] = ()
    """Whoever came or has changed, as far as the frame says more than the events."""


def single(event: RoomEvent) -> Change:
    """Take the event of a server that tells of each member by itself."""
    return Change(event.room, event.number, (event,))


def batch(changed: RoomChanged, request_id: str) -> Change:
    """Take a ROOM_CHANGED apart."""
    room, number = changed.room, changed.number
    events: list[RoomEvent] = [
        MemberLeft(room, left.user_id, left.reason, request_id, number) for left in changed.left
    ]
    events += [MemberJoined(room, member.user_id, request_id, number) for member in changed.joined]
    events += [
        MemberUpdated(room, member.user_id, member.status, request_id, number)
        for member in (*(member for member in changed.joined if member.status == "away"), *changed.updated)
    ]
    return Change(room, number, tuple(events), (*changed.joined, *changed.updated))


class Listing:
    """A list of a room's members that is on its way: its pages so far, and what changes meanwhile."""

    def __init__(self, room: RoomId, *, is_news: bool = False) -> None:
        self.room = room
        self.is_news = is_news
        """Nobody has asked for it: whoever is in it and was not known has joined."""
        self.is_void = False
        """The client has left the room since, or its session is over."""
        self._number: int | None = None
        self._members: dict[UserId, Member] = {}
        self._changes: list[Change] = []

    def add(self, page: Roster) -> str:
        """Add a page; returns where the next one begins, or "" when the list is whole."""
        if self._number is None:
            self._number = page.number
        self._members.update((member.user_id, member) for member in page.members)
        return page.next

    def hear(self, change: Change) -> None:
        """Take note of a change that came since the list was asked for."""
        self._changes.append(change)

    def roster(self) -> Roster:
        """Make the list, at the number of its first page, with what has changed since.

        What changed between two pages may be about a member of either, so all of it is applied to the whole.
        A list that does not say its number is left as it came, for nobody can tell which is newer.
        """
        number = self._number or 0
        members = dict(self._members)
        for change in self._changes if number else ():
            if not 0 < change.number < number:
                _apply(members, change)
        return Roster(self.room, tuple(members.values()), number)


def _apply(members: dict[UserId, Member], change: Change) -> None:
    """Apply a change to a list. A member of whom an event says no more than the name is not in the list."""
    for event in change.events:
        if isinstance(event, MemberLeft):
            members.pop(event.user_id, None)
    members.update((member.user_id, member) for member in change.members)


class _Room:
    """A room as the application has been told of it."""

    def __init__(self, number: int, members: Iterable[Member], *, is_whole: bool) -> None:
        self.number = number
        """Of the list; 0: there was none, or it has none."""
        self.is_whole = is_whole
        """All its members are known, and not only those who came since."""
        self.statuses: dict[UserId, str] = {member.user_id: member.status for member in members}

    def differs(self, event: RoomEvent) -> bool:
        """Whether an event says anything else than what is known."""
        status = self.statuses.get(event.user_id)
        match event:
            case MemberJoined():
                return status is None
            case MemberLeft():
                return status is not None
            case MemberUpdated():  # pragma: no branch  # there is no other
                return status != event.status

    def apply(self, event: RoomEvent) -> None:
        match event:
            case MemberJoined():
                self.statuses[event.user_id] = "online"
            case MemberLeft():
                self.statuses.pop(event.user_id, None)
            case MemberUpdated():  # pragma: no branch  # there is no other
                self.statuses[event.user_id] = event.status


class Rosters:
    """The rooms of one client. `rooms` are those of its new session, whose members are not known."""

    def __init__(self, user: UserId, rooms: Iterable[RoomId]) -> None:
        self._user = user
        self._rooms = _unlisted(rooms)
        self._listings: list[Listing] = []

    def begin(self, room: RoomId, *, is_news: bool = False) -> Listing:
        """Begin with a list, before it is asked for. End it with `finish` or `abandon`."""
        listing = Listing(room, is_news=is_news)
        self._listings.append(listing)
        return listing

    def abandon(self, listing: Listing) -> None:
        """End a list that does not become whole; nothing if it has ended."""
        if listing in self._listings:
            self._listings.remove(listing)

    def finish(self, listing: Listing, request_id: str = "") -> tuple[Roster, list[RoomEvent]]:
        """End a list that is whole; returns it, and the events of what is new in it.

        No event will come of that any more, for whatever is older than the list is none.
        """
        self.abandon(listing)
        roster = listing.roster()
        if listing.is_void:
            return roster, []
        known = self._rooms.pop(listing.room, None)
        is_member = any(member.user_id == self._user for member in roster.members)
        if not roster.number or not is_member:
            return roster, []  # of a server that knows no numbers; or of a room that was left meanwhile
        events: list[RoomEvent] = []
        if known is not None:
            events = self._news(known, roster, request_id, joins=listing.is_news)
        elif listing.is_news:  # the backend has made this client a member
            events = [MemberJoined(listing.room, self._user, request_id, roster.number)]
            events += self._news(_unlisted((listing.room,))[listing.room], roster, request_id, joins=True)
        self._rooms[listing.room] = _Room(roster.number, roster.members, is_whole=True)
        return roster, events

    def _news(self, known: _Room, roster: Roster, request_id: str, *, joins: bool) -> list[RoomEvent]:
        """Say how a list differs from what is known; of those who came only if all were known, or `joins`."""
        room, number = roster.room, roster.number
        there = {member.user_id for member in roster.members}
        events: list[RoomEvent] = [
            MemberLeft(room, user, MISSED_REASON, request_id, number)
            for user in known.statuses
            if user not in there and user != self._user
        ]
        for member in roster.members:
            user = member.user_id
            status: str | None = known.statuses.get(user)
            if user == self._user or (status is None and not (known.is_whole or joins)):
                continue
            if status is None:
                events.append(MemberJoined(room, user, request_id, number))
            if (status or "online") != member.status:
                events.append(MemberUpdated(room, user, member.status, request_id, number))
        return events

    def hear(self, change: Change) -> tuple[RoomEvent, ...]:
        """Take a change; returns what of it the application is to be told."""
        for listing in self._listings:
            if listing.room == change.room:
                listing.hear(change)
        room = self._rooms.get(change.room)
        if room is None or change.number == 0:
            events = change.events
        elif change.number < room.number:
            return ()  # the list is newer
        elif change.number == room.number:
            # It repeats the end of the list, or tells of a change that came late to the gateway.
            events = tuple(event for event in change.events if room.differs(event))
        else:
            events = change.events
        for event in events:
            if isinstance(event, MemberLeft) and event.user_id == self._user:
                self._rooms.pop(change.room, None)
            elif room is not None:
                room.apply(event)
            elif isinstance(event, MemberJoined) and event.user_id == self._user:
                self._rooms |= _unlisted((change.room,))  # the backend has made this client a member
        return events

    def asked(self) -> tuple[Listing, ...]:
        """Return the lists that are on their way."""
        return tuple(self._listings)

    def may_meet(self, user: str, asked: Collection[Listing] | None = None) -> bool:
        """Say whether a user is in a room of this client, or may be: of some not all members are known.

        With `asked` only of these lists: one that was asked for later says nothing of who was met until then.
        """
        rooms = self._rooms.values()
        is_asking = any(
            not listing.is_void and (asked is None or listing in asked) for listing in self._listings
        )
        return is_asking or any(not room.is_whole or user in room.statuses for room in rooms)

    def leave(self, room: RoomId, asked: Collection[Listing] | None = None) -> None:
        """Forget a room that was left.

        With `asked`, the lists that were on their way when leaving it was asked for, only these are void: one
        that was asked for behind that is of the room that is joined again.
        """
        self._rooms.pop(room, None)
        for listing in self._listings if asked is None else asked:
            listing.is_void = listing.is_void or listing.room == room

    def reset(self, rooms: Iterable[RoomId]) -> None:
        """Begin with a new session."""
        self._rooms = _unlisted(rooms)
        for listing in self._listings:
            listing.is_void = True
        self._listings.clear()


def _unlisted(rooms: Iterable[RoomId]) -> dict[RoomId, _Room]:
    return {room: _Room(0, (), is_whole=False) for room in rooms}
