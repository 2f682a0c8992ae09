"""What an order gives, and what is taken back if it is refused: only what that very copy of it has given."""

import msgspec
import pytest

from presence.rules.giving import MOST_AT_ONCE, given, taken_back
from presence.rules.orders import OVERTAKEN, Place, of_room
from presence.rules.standing import NONE, NUMBERS_KEPT_MS, Gift, Standing, take
from tests.unit.presence.rules.frames import NOW
from tieline.wire.codes import ErrorCode
from tieline.wire.ids import RoomId, UserId
from tieline.wire.internal.answers import Refused

ALICE, HALL, CELLAR = UserId("alice"), RoomId("hall"), RoomId("cellar")
FIRST = NOW * 1000
MOST = 3


def place(order: int, copy: int = 1, room: RoomId = HALL) -> Place:
    return Place(ALICE, of_room(room), FIRST + order, "0a", copy)


def gave(before: Standing, *orders: tuple[int, int], room: RoomId = HALL) -> Standing:
    """Have copies of orders give a room."""
    for each in orders:
        after = given(before, room, place(*each, room=room), MOST, NOW)
        assert isinstance(after, Standing)
        before = after
    return before


def took_back(before: Standing, order: int, copy: int = 1) -> Standing:
    after = taken_back(before, HALL, place(order, copy), NOW)
    assert after is not None
    return after


def test_what_an_order_gives_it_takes_back() -> None:
    before = msgspec.structs.replace(NONE, orders=((of_room(HALL), FIRST),))
    after = gave(before, (1, 1))
    assert after == Standing(
        given=(HALL,),
        orders=((of_room(HALL), FIRST + 1),),
        gifts=(Gift(HALL, FIRST + 1, 1, FIRST, was_given=False),),
    )
    assert took_back(after, 1) == before


@pytest.mark.parametrize("another", [(1, 2), (2, 1), (2, 2)])
def test_what_another_copy_or_order_has_given_stands(another: tuple[int, int]) -> None:
    other = gave(NONE, another)
    assert taken_back(other, HALL, place(1), NOW) is None
    assert taken_back(other, CELLAR, place(*another), NOW) is None


def test_a_copy_gives_what_another_one_has_given() -> None:
    first = gave(NONE, (1, 1))
    second = gave(first, (1, 2))
    assert second != first, "or nobody would find that there is another one"
    assert taken_back(second, HALL, place(1, 1), NOW) is None
    assert took_back(second, 1, 2) == NONE


def test_a_copy_takes_back_no_more_than_its_order_has_given() -> None:
    both = gave(NONE, (1, 1), (2, 1), (2, 2))
    after = took_back(both, 2, 2)
    assert after == gave(NONE, (1, 1))
    assert took_back(after, 1) == NONE


def test_of_what_is_given_twice_the_first_may_be_taken_back_first() -> None:
    after = took_back(gave(NONE, (1, 1), (2, 1)), 1)
    assert (after.given, after.newest(of_room(HALL))) == ((HALL,), FIRST + 2)
    assert took_back(after, 2) == NONE


def test_of_many_the_first_count_as_carried_out() -> None:
    many = gave(NONE, *((order, 1) for order in range(MOST_AT_ONCE + 2)))
    assert len(many.gifts) == MOST_AT_ONCE
    for order in range(MOST_AT_ONCE + 1, 1, -1):
        many = took_back(many, order)
    assert (many.given, many.gifts) == ((HALL,), ())


def test_a_room_is_given_beside_another_one() -> None:
    both = gave(gave(NONE, (1, 1)), (2, 1), room=CELLAR)
    assert [each.room for each in both.gifts] == [HALL, CELLAR]
    assert took_back(both, 1) == gave(NONE, (2, 1), room=CELLAR)
    assert [each.room for each in take(both, CELLAR, 0, NOW).gifts] == [HALL]


def test_what_may_not_be_given_is_refused() -> None:
    full = gave(gave(gave(NONE, (1, 1)), (2, 1), room=CELLAR), (3, 1), room=RoomId("attic"))
    assert given(full, RoomId("loft"), place(4, room=RoomId("loft")), MOST, NOW) == Refused(
        ErrorCode.TOO_MANY_ROOMS.name
    )
    assert isinstance(given(full, HALL, place(4), MOST, NOW), Standing)
    assert given(full, HALL, place(0), MOST, NOW) == OVERTAKEN
    assert given(full, HALL, place(1), MOST, NOW + NUMBERS_KEPT_MS + 1) == OVERTAKEN


def test_what_was_given_long_ago_is_not_remembered() -> None:
    now = NOW + NUMBERS_KEPT_MS
    later = Place(ALICE, of_room(HALL), now * 1000, "0b", 1)
    after = given(gave(NONE, (0, 1)), HALL, later, MOST, now)
    assert isinstance(after, Standing)
    assert after.gifts == (Gift(HALL, now * 1000, 1, FIRST, was_given=True),)
