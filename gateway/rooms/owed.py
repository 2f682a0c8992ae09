"""What a client is still to be told of its rooms: a seat in some, a list of others. Pure.

While anything is owed the client may say, when it comes back, that it was told no more of its rooms than it
was of these (`floor`). A room is owed until the client has its seat there, or is no member any more; nothing
else decides who gets a seat late (`gateway.rooms.entering`).
"""

from typing import Final

from tieline.wire.ids import RoomId

_NOTHING: Final[dict[RoomId, int]] = {}
_NO_LISTS: Final[frozenset[RoomId]] = frozenset()
"""What is owed to nearly all clients."""


class Owed:
    """What is owed to one client."""

    __slots__ = ("_lists", "floor", "rooms")

    def __init__(self) -> None:
        self.rooms = _NOTHING
        """The rooms in which it has no seat yet, and up to where it was told of each before."""
        self._lists = _NO_LISTS
        """The rooms of which it waits for a list. It does not know what it has been told of them."""
        self.floor: int | None = None
        """How far the client may say that it was told of its rooms; None: nothing is owed."""

    def owe(self, room: RoomId, position: int) -> None:
        """Take note of a room in which the client gets its seat later; up to `position` it has been told."""
        self._set(self.rooms | {room: position}, self._lists)

    def owe_list(self, room: RoomId) -> None:
        """Take note of a room of which the client gets a list later."""
        self._set(self.rooms, self._lists | {room})

    def pay(self, room: RoomId) -> None:
        """Take note that nothing of a room is owed any more."""
        if self.floor is not None:
            rest = {name: position for name, position in self.rooms.items() if name != room}
            self._set(rest or _NOTHING, self._lists - {room})

    def reached(self, number: int) -> int:
        """Say how far the client has been told of its rooms when it has had what has this number."""
        return number if self.floor is None else min(number, self.floor)

    def _set(self, rooms: dict[RoomId, int], lists: frozenset[RoomId]) -> None:
        self.rooms, self._lists = rooms, lists
        self.floor = 0 if lists else min(rooms.values(), default=None)
