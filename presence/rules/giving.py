"""What an order gives, and what is taken back if it is refused. Pure.

A user is made a member in its standing first, and then put into the room, which may be refused: it is full.
Meanwhile another order, or another copy of the same one, may have given the same. So a standing remembers of
each `Gift` which copy of which order it is of, and what was before. Taken back is only what that very copy
has given: what stands is then what the others have, or what was before them.
"""

from typing import Final

import msgspec

from presence.rules.orders import OVERTAKEN, Place
from presence.rules.standing import Gift, Standing, give, in_turn, is_too_old, take
from tieline.wire.codes import ErrorCode
from tieline.wire.ids import RoomId
from tieline.wire.internal.answers import Refused

MOST_AT_ONCE: Final = 4
"""Orders to give one user the same room that may wait for their end side by side. Of more, the first ones
count as carried out."""


def given(before: Standing, room: RoomId, place: Place, most: int, now: int) -> Standing | Refused:
    """Make a user a member of a room by an order's word, if it is not given more rooms than so many."""
    numbered = None if is_too_old(place.number, now) else in_turn(before, place.what, place.number, now)
    if numbered is None:
        return OVERTAKEN
    if room not in before.given and len(before.given) >= most:
        return Refused(ErrorCode.TOO_MANY_ROOMS.name)
    kept = [each for each in before.gifts if not is_too_old(each.number, now)]
    of_room = [each for each in kept if each.room == room]
    if of_room and of_room[-1].number == place.number:
        of_room[-1] = msgspec.structs.replace(of_room[-1], claim=place.claim)
    else:
        last = before.newest(place.what)
        of_room.append(Gift(room, place.number, place.claim, last, room in before.given))
    gifts = (*(each for each in kept if each.room != room), *of_room[-MOST_AT_ONCE:])
    return msgspec.structs.replace(give(numbered, room, now), gifts=gifts)


def taken_back(before: Standing, room: RoomId, place: Place, now: int) -> Standing | None:
    """Undo what this copy of an order has given, as if it had not come; None: it has given nothing."""
    of_room = [each for each in before.gifts if each.room == room]
    mine = next((each for each in of_room if (each.number, each.claim) == (place.number, place.claim)), None)
    if mine is None:
        return None
    at = of_room.index(mine)
    del of_room[at]
    if at < len(of_room):  # a later one stands, before which is now what was before this one
        of_room[at] = msgspec.structs.replace(
            of_room[at], number_before=mine.number_before, was_given=mine.was_given
        )
    gifts = (*(each for each in before.gifts if each.room != room), *of_room)
    after = msgspec.structs.replace(before, gifts=gifts)
    if at < len(of_room):
        return after
    after = _renumbered(after, place.what, mine.number_before)
    return after if mine.was_given else take(after, room, 0, now)


def _renumbered(standing: Standing, what: str, number: int) -> Standing:
    """Have an order about a thing be the last one again, as if the one after it had not come; 0: none."""
    orders = {**dict(standing.orders), what: number}
    return msgspec.structs.replace(standing, orders=tuple(each for each in orders.items() if each[1]))
