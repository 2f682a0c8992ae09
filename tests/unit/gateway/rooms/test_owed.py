"""What holds back how far a client may say that it was told of its rooms."""

from gateway.rooms.owed import Owed
from tests.unit.gateway.rooms.hall import CELLAR, HALL


def test_nothing_is_held_back_while_nothing_is_owed() -> None:
    owed = Owed()
    owed.pay(HALL)
    assert (owed.reached(7), owed.floor, owed.rooms) == (7, None, {})


def test_no_place_is_beyond_the_room_that_was_told_least() -> None:
    owed = Owed()
    owed.owe(HALL, 5)
    owed.owe(CELLAR, 3)
    assert (owed.reached(7), owed.reached(2)) == (3, 2)
    owed.pay(CELLAR)
    assert (owed.reached(7), owed.rooms) == (5, {HALL: 5})
    owed.pay(HALL)
    assert (owed.reached(7), owed.rooms) == (7, {})


def test_while_a_list_is_awaited_nothing_counts_as_told() -> None:
    owed = Owed()
    owed.owe(HALL, 5)
    owed.owe_list(CELLAR)
    assert (owed.reached(7), owed.rooms) == (0, {HALL: 5})
    owed.pay(CELLAR)
    assert owed.reached(7) == 5
