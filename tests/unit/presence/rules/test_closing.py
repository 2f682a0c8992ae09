"""A room that is being closed: what is stored of that, and who sees it."""

import msgspec
import pytest

from presence.rules.change import Facts
from presence.rules.closing import (
    Closing,
    begun,
    closing_of,
    finished,
    has_closed_since,
    is_closing,
    order_of,
    read,
    with_more,
    write,
)
from tests.unit.presence.rules.frames import NOW
from tieline.wire.ids import RoomId, UserId
from tieline.wire.internal import codec
from tieline.wire.internal.backend import CloseRoom, Disconnect
from tieline.wire.subjects import Keys

HALL, CELLAR = RoomId("hall"), RoomId("cellar")
ORDER = CloseRoom("1", 60.0, HALL, 30.0)
CLOSING = Closing(codec.encode(ORDER), NOW, 2, number=5)
DONE = msgspec.structs.replace(CLOSING, is_done=True)


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
    assert with_more(3, DONE) is None


def test_a_room_is_closed_whoever_has_put_its_members_out() -> None:
    more = msgspec.structs.replace(CLOSING, out=7)
    assert finished(CLOSING, more) == msgspec.structs.replace(more, is_done=True)
    assert finished(CLOSING, DONE) == DONE
    assert finished(CLOSING, None) is None
    assert finished(CLOSING, Closing(codec.encode(CloseRoom("2", 60.0, HALL)), NOW, number=6)) is None


def facts(value: bytes) -> Facts:
    return Facts(NOW, read={Keys.closing(HALL): (value, 7), Keys.closing(CELLAR): (b"", 8)})


def test_a_room_is_closing_while_its_record_says_so() -> None:
    assert is_closing(HALL, facts(write(CLOSING)))
    assert closing_of(HALL, facts(write(CLOSING))) == CLOSING
    for done in (write(DONE), b""):
        assert not is_closing(HALL, facts(done))
        assert closing_of(HALL, facts(done)) is None
    assert is_closing(HALL, facts(b"?")), "nobody knows that it is done"
    assert not is_closing(CELLAR, facts(write(CLOSING)))
    assert not is_closing(RoomId("another"), facts(write(CLOSING)))


@pytest.mark.parametrize("closing", [CLOSING, DONE])
def test_a_room_was_closed_since_an_older_order(closing: Closing) -> None:
    assert has_closed_since(HALL, 4, facts(write(closing)))
    assert not has_closed_since(HALL, 5, facts(write(closing)))
    assert not has_closed_since(CELLAR, 4, facts(write(closing)))


def test_a_room_is_closed_by_the_latest_order() -> None:
    later = b"later"
    assert begun(None, later, 6, NOW) == Closing(later, NOW, number=6)
    assert begun(CLOSING, later, 6, NOW - 1) == Closing(later, NOW, number=6)
    assert begun(CLOSING, later, 4, NOW) is None
    assert begun(DONE, later, 4, NOW) is None
    assert begun(DONE, later, 6, NOW - 1) == Closing(later, NOW - 1, number=6)
    for same in (CLOSING, DONE):
        assert begun(same, same.order, 5, NOW + 1) == same
