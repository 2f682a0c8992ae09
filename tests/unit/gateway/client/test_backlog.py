"""How much a client has sent ahead, and how much of that has to be seen."""

import pytest
from websockets.frames import Frame, Opcode

from gateway.client.backlog import AWAITED_BYTES, AWAITED_FRAMES, Backlog


def frame(size: int) -> bytes:
    return Frame(Opcode.TEXT, b"x" * size).serialize(mask=True)


def behind(*sent: bytes) -> tuple[Backlog, int]:
    """A backlog whose first frame may be taken, and where what lies behind it begins."""
    first = frame(10)
    return Backlog(bytearray(b"".join((first, *sent)))), len(first)


@pytest.mark.parametrize(
    ("sent", "is_long"),
    [
        ((), False),
        ((frame(60_000),), False),
        ((frame(60_000)[:-1],), False),
        ((frame(10),) * AWAITED_FRAMES, False),
        ((frame(10),) * AWAITED_FRAMES + (frame(10)[:-1],), False),
        ((frame(10),) * (AWAITED_FRAMES + 1), True),
        ((frame(60_000), *(frame(8_000),) * 7, frame(60_000)[: AWAITED_BYTES - 7 * 8_008 - 1]), False),
        ((frame(60_000), *(frame(8_000),) * 7, frame(60_000)[: AWAITED_BYTES - 7 * 8_008]), True),
    ],
)
def test_a_flood_is_more_than_one_sends_that_waits(sent: tuple[bytes, ...], is_long: bool) -> None:
    backlog, at = behind(*sent)
    assert backlog.is_long(at) is is_long


def test_a_client_is_read_on_only_while_it_has_to_be_seen() -> None:
    first, rest = frame(60_000), bytearray()
    backlog = Backlog(rest)
    rest += first
    backlog.wait(len(first))
    assert not backlog.lacks_bytes
    backlog.is_wanted = True
    assert backlog.lacks_bytes
    rest += frame(5_000)
    rest += bytes(AWAITED_BYTES - 1)
    assert backlog.lacks_bytes
    rest += b"x"
    assert not backlog.lacks_bytes
