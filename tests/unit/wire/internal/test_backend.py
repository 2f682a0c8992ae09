"""What the backend asks, and what it is answered, over the wire."""

from typing import get_args

import msgspec
import pytest

from tieline.wire.ids import RoomId, UserId
from tieline.wire.internal import codec
from tieline.wire.internal.backend import AddMember, ListRooms, LookAtRoom, Ordered
from tieline.wire.internal.directions import OrderedChange


def test_an_order_is_read_as_it_was_written() -> None:
    order = AddMember("0a", 60.0, UserId("alice"), RoomId("hall"))
    assert codec.decode_presence_request(codec.encode(order)) == order
    assert not order.number


@pytest.mark.parametrize("kind", get_args(OrderedChange))
def test_what_has_a_place_among_all_orders_says_so_last(kind: type[Ordered]) -> None:
    assert issubclass(kind, Ordered)
    assert msgspec.structs.fields(kind)[-1].name == "number"


def test_a_page_that_says_nothing_is_the_first() -> None:
    assert (ListRooms().after, LookAtRoom(RoomId("hall")).after) == ("", "")
