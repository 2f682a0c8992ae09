"""What the backend asks, and what it is answered, over the wire."""

from tieline.wire.ids import RoomId, UserId
from tieline.wire.internal import codec
from tieline.wire.internal.backend import AddMember, ListRooms, LookAtRoom


def test_an_order_is_read_as_it_was_written() -> None:
    order = AddMember("0a", 60.0, UserId("alice"), RoomId("hall"))
    assert codec.decode_presence_request(codec.encode(order)) == order


def test_a_page_that_says_nothing_is_the_first() -> None:
    assert (ListRooms().after, LookAtRoom(RoomId("hall")).after) == ("", "")
