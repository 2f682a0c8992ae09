"""How a client that is let in gets its seats: at once where its room is known, else as soon as it is. Pure.

What a client is owed (`gateway.rooms.owed`) says alone which rooms wait for it: JOIN and LEAVE pay, so that
nothing is entered twice, or after it was left. `gateway.rooms.delivery` makes rooms known meanwhile.
"""

from collections.abc import Iterable
from typing import NamedTuple

from gateway.rooms.live_room import LiveRoom
from gateway.rooms.seats import Seat, Seats
from tieline.wire.ids import RoomId


class Back(NamedTuple):
    """Where a client goes on in its rooms."""

    position: int | None
    """Up to where it has been told; None: unknown, and all counts that is kept since it has joined."""
    has_had: int = 0
    """The number of the last mail that it has had."""
    wants_lists: bool = False
    """It is told who is there instead."""


def owe(seats: Seats, room: RoomId, back: Back) -> None:
    """Take note of a room that is not known yet: the client gets its seat there later (`enter_late`)."""
    seats.owed.owe(room, back.position or 0)


def enter(seats: Seats, room: LiveRoom, back: Back) -> Seat:
    """Give a client its seat in a room that is known.

    If it was put out meanwhile, the seat ends when the client has been told that; if it has left, at once.
    """
    position = back.position
    if position is None:
        position = room.log.joined_at(seats.user, seats.session)
    seat = seats.enter(room, position)
    if position < max(back.has_had, seats.last_sequence):
        seat.go_back_to(position)
    if back.wants_lists:
        seat.wait_for_list()
    last = room.log.last_change(seats.user)
    if last is not None and last.number > position and last.ends(seats.session):
        seat.end(last)
    return seat


def enter_late(
    seats: Seats, rooms: Iterable[LiveRoom], back: Back, looked_up: Iterable[LiveRoom] = ()
) -> tuple[list[Seat], list[LiveRoom]]:
    """Give a client its seats in rooms that are known by now, and tell it of them together.

    Told one after the other, what is older in the second would come behind what is newer in the first.
    Returns the seats, and the rooms that must be remembered first (`LiveRooms.remember`), unless they are
    `looked_up` already.
    """
    entered: list[Seat] = []
    hiding: list[LiveRoom] = []
    for room in rooms:
        if room.name not in seats.owed.rooms:
            continue
        if room not in looked_up and _may_hide_who_came(room, seats, back.position):
            hiding.append(room)
        else:
            entered.append(enter(seats, room, back))
    seats.tell()
    return entered, hiding


def lacks(seats: Seats, room: RoomId) -> tuple[int, int] | None:
    """Say what a client that is gone was not told of a room that it is owed; None: it will say so itself.

    That is what is newer than the first number, up to the second, which it may name when it comes back.
    """
    position, up_to = seats.owed.rooms.get(room), seats.told_up_to
    return None if seats.places or position is None or up_to <= position else (position, up_to)


def _may_hide_who_came(room: LiveRoom, seats: Seats, position: int | None) -> bool:
    """Whether an update may hide that another user has come since a position.

    The client would be told that, though the user may have been there before.
    """
    hidden = () if position is None else room.log.hidden_since(position)
    return any(change.user != seats.user for change in hidden)
