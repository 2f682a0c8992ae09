"""A room that is being closed: what is stored of that, and who sees it."""

import pytest

from presence.rules.change import Facts
from presence.rules.closing import Closing, is_closing, order_of, read, with_more, write
from tests.unit.presence.rules.frames import NOW
from tieline.wire.ids import RoomId, UserId
from tieline.wire.internal import codec
from tieline.wire.internal.backend import CloseRoom, Disconnect
from tieline.wire.subjects import Keys

HALL, CELLAR = RoomId("hall"), RoomId("cellar")
ORDER = CloseRoom("1", 60.0, HALL, 30.0)
CLOSING = Closing(codec.encode(ORDER), NOW, 2)


def test_what_is_written_is_read_again() -> None:
    assert read(write(CLOSING)) == CLOSING
    assert order_of(CLOSING) == ORDER


@pytest.mark.parametrize("value", [b"", b"?", b"\xc1"])
def test_what_cannot_be_understood_is_nothing(value: bytes) -> None:
    assert read(value) is None


@pytest.mark.parametrize("order", [b"?", codec.encode(Disconnect("1", 60.0, UserId("alice")))])
def test_an_order_of_another_kind_is_none(order: bytes) -> None:
    assert order_of(Closing(order, NOW)) is None


def test_those_who_are_put_out_are_counted() -> None:
    more = with_more(3, CLOSING)
    assert more is not None
    assert more.out == 5
    assert with_more(3, None) is None


def test_a_room_is_closing_while_its_record_says_something() -> None:
    facts = Facts(NOW, read={Keys.closing(HALL): (write(CLOSING), 7), Keys.closing(CELLAR): (b"", 8)})
    assert is_closing(HALL, facts)
    assert not is_closing(CELLAR, facts)
    assert not is_closing(RoomId("another"), facts)
