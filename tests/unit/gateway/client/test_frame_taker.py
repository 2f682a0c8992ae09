"""WebSocket frames as a client may send them, and as it must not."""

import pytest
from websockets.frames import Frame, Opcode

from gateway.client.connection import CLOSING_S
from gateway.client.trickle import RESTS_S
from tests.unit.gateway.client.harness import Harness, connected, ping, signal
from tests.unit.wire import samples
from tieline.wire.codes import CLOSE_REASONS, CloseCode
from tieline.wire.envelope import MAX_MESSAGE_BYTES

TEXT, CONT, BINARY = Opcode.TEXT, Opcode.CONT, Opcode.BINARY


def ping_of_size(size: int) -> bytes:
    """A PING of so many bytes."""
    empty = samples.frame(samples.ping_message() | {"data": ""})
    return empty[:-2] + b"x" * (size - len(empty)) + empty[-2:]


def has_failed(harness: Harness, code: CloseCode) -> bool:
    """Whether the gateway has closed with a code, will hear nothing more, and will cut the wire."""
    if harness.close_code != code or not harness.socket.is_ended:
        return False
    harness.texts()
    harness.send_frames(Frame(TEXT, ping("late")))
    harness.clock.advance(CLOSING_S)
    return harness.texts() == [] and harness.socket.is_aborted


# Fragments.


def test_a_message_in_fragments_is_put_together_wherever_it_was_cut() -> None:
    frame = samples.frame(samples.ping_message() | {"requestId": "用户 😀"})

    for cut in range(len(frame)):
        harness = connected()
        harness.send_frames(Frame(TEXT, frame[:cut], fin=False), Frame(CONT, frame[cut:]))
        assert harness.names() == ["用户 😀"]


def test_control_frames_may_come_between_fragments_of_one_byte() -> None:
    harness, frame = connected(), ping("p-1")

    harness.send_frames(Frame(TEXT, b"", fin=False))
    for byte in frame:
        harness.send_frames(Frame(CONT, bytes([byte]), fin=False), Frame(Opcode.PING, b"still there?"))
    harness.send_frames(Frame(CONT, b""))

    assert harness.names() == ["p-1"]


@pytest.mark.parametrize("size", [MAX_MESSAGE_BYTES - 20, MAX_MESSAGE_BYTES])
def test_control_frames_may_come_amid_the_longest_message(size: int) -> None:
    harness, frame = connected(), ping_of_size(size)
    before = harness.socket_pongs()

    harness.send_frames(Frame(TEXT, frame[:-1], fin=False))
    for payload in (b"", b"still there?", b"x" * 125):
        harness.send_frames(Frame(Opcode.PING, payload), Frame(Opcode.PONG, payload))
    harness.send_frames(Frame(CONT, frame[-1:]))

    assert len(harness.texts()) == 1
    assert harness.socket_pongs() - before == 3


def test_a_message_is_too_big_whatever_comes_amid_it() -> None:
    harness, frame = connected(), ping_of_size(MAX_MESSAGE_BYTES + 1)

    harness.send_frames(Frame(TEXT, frame[:-1], fin=False), Frame(Opcode.PING, b"?"), Frame(CONT, frame[-1:]))

    assert has_failed(harness, CloseCode.TOO_BIG)


def test_the_next_message_starts_afresh() -> None:
    harness = connected()

    harness.send_frames(
        Frame(TEXT, ping("p-1")[:9], fin=False),
        Frame(CONT, ping("p-1")[9:]),
        Frame(TEXT, ping("p-2")),
        Frame(TEXT, ping("p-3")[:5], fin=False),
        Frame(CONT, ping("p-3")[5:]),
    )

    assert harness.names() == ["p-1", "p-2", "p-3"]


def test_a_message_may_arrive_in_any_pieces_of_the_network_s() -> None:
    harness = connected()
    data = Frame(TEXT, ping("p-1")).serialize(mask=True) + Frame(TEXT, ping("p-2")).serialize(mask=True)

    for byte in data:
        harness.put(bytes([byte]))
    harness.clock.advance(max(RESTS_S))  # for a socket that rests
    harness.arrive()

    assert harness.names() == ["p-1", "p-2"]


# What ends the connection.


def test_a_binary_frame_closes_with_1003() -> None:
    harness = connected()

    harness.send_frames(Frame(BINARY, ping("p-1")))

    assert has_failed(harness, CloseCode.BINARY_FRAME)


@pytest.mark.parametrize(
    "frames",
    [
        [Frame(TEXT, b'"\xff"')],
        [Frame(TEXT, b'"\xed\xa0\x80"')],
        [Frame(TEXT, "用".encode()[:2])],
        [Frame(TEXT, "用".encode()[:2], fin=False), Frame(CONT, b"x")],
        [Frame(TEXT, b"", fin=False), Frame(CONT, b"\xc0\x80")],
    ],
    ids=["no UTF-8 at all", "a surrogate", "cut short", "wrongly continued", "overlong"],
)
def test_text_that_is_not_utf_8_closes_with_1007(frames: list[Frame]) -> None:
    harness = connected()

    harness.send_frames(*frames)

    assert has_failed(harness, CloseCode.NOT_UTF8)


def test_the_longest_message_is_answered_one_byte_more_closes() -> None:
    harness = connected()

    harness.send(ping_of_size(MAX_MESSAGE_BYTES))
    assert len(harness.texts()) == 1
    harness.send(ping_of_size(MAX_MESSAGE_BYTES + 1))

    assert has_failed(harness, CloseCode.TOO_BIG)


def test_fragments_that_are_too_big_together_close_with_1009() -> None:
    harness, frame = connected(), ping_of_size(MAX_MESSAGE_BYTES + 1)

    harness.send_frames(Frame(TEXT, frame[:40_000], fin=False), Frame(CONT, frame[40_000:]))

    assert has_failed(harness, CloseCode.TOO_BIG)


@pytest.mark.parametrize(
    "data",
    [
        Frame(TEXT, ping("p-1")).serialize(mask=False),
        Frame(CONT, b"of what?").serialize(mask=True),
        b"\xc1\x80\0\0\0\0",
        Frame(TEXT, b"x", fin=False).serialize(mask=True) + Frame(TEXT, b"y").serialize(mask=True),
        b"\x83\x80\0\0\0\0",
        b"\x81\xfe\0\x02\0\0\0\0{}",
        b"\x89\xff" + bytes(8 + 4),
        b"\x89\xfe\x00\x7e",
        Frame(TEXT, b"x", fin=False).serialize(mask=True) + b"\x8a\xfe\x00\x7e",
    ],
    ids=[
        "not masked",
        "continues nothing",
        "compressed",
        "not continued",
        "unknown opcode",
        "a length in two bytes that fits into one",
        "a ping's in eight",
        "a ping that is too long",
        "a pong that is, amid a message",
    ],
)
def test_what_is_no_websocket_closes_with_1002(data: bytes) -> None:
    harness = connected()

    harness.put(data)

    assert harness.close_code == 1002
    harness.clock.advance(CLOSING_S)
    assert harness.socket.is_aborted


@pytest.mark.parametrize(
    ("last", "code"),
    [
        (Frame(BINARY, b""), 1003),
        (Frame(TEXT, b"\xff"), 1007),
        (Frame(TEXT, b"x" * (MAX_MESSAGE_BYTES + 1)), 1009),
        (Frame(CONT, b""), 1002),
    ],
)
def test_what_was_said_before_a_wrong_frame_is_carried_out(last: Frame, code: int) -> None:
    harness = connected()

    harness.send_frames(
        Frame(TEXT, signal("s-1")), Frame(TEXT, signal("s-2")), last, Frame(TEXT, signal("late"))
    )

    assert harness.close_code == code
    harness.answer()
    harness.answer()
    harness.lose()
    assert harness.host.asked == ["s-1", "s-2"]
    assert len(harness.gone_with) == 1


def test_a_wrong_frame_from_a_client_that_is_leaving_changes_nothing() -> None:
    harness = connected()

    harness.send_frames(Frame(Opcode.CLOSE, b"\x03\xe8"), Frame(BINARY, b""))

    assert harness.close_code == 1000


def test_of_a_wrong_frame_and_a_close_the_first_counts() -> None:
    together, apart = connected(), connected()

    together.send_frames(Frame(BINARY, b""), Frame(Opcode.CLOSE, b"\x03\xe8"))
    apart.send_frames(Frame(BINARY, b""))
    apart.send_frames(Frame(Opcode.CLOSE, b"\x03\xe8"))

    assert (together.close_code, apart.close_code) == (1003, 1003)
    assert (together.gone_with, apart.gone_with) == ([1003], [1003])


@pytest.mark.parametrize("code", [CloseCode.BINARY_FRAME, CloseCode.NOT_UTF8, CloseCode.SLOW_CONSUMER])
def test_a_close_frame_says_in_words_why(code: CloseCode) -> None:
    harness = connected()

    match code:
        case CloseCode.BINARY_FRAME:
            harness.send_frames(Frame(BINARY, b""))
        case CloseCode.NOT_UTF8:
            harness.send_frames(Frame(TEXT, b"\xff"))
        case _:
            harness.connection.close(code)

    assert harness.close_code == code
    assert harness.client.close_rcvd is not None
    assert harness.client.close_rcvd.reason == CLOSE_REASONS[code]


# Control frames.


def test_a_client_s_ping_is_answered_while_a_message_is_under_way() -> None:
    harness = connected()
    harness.send(signal("s-1"))
    harness.texts()

    harness.client.send_ping(b"hello?")
    harness.flush()

    assert harness.socket.taken() == Frame(Opcode.PONG, b"hello?").serialize(mask=False)


def test_a_pong_nobody_asked_for_is_ignored() -> None:
    harness = connected()

    harness.send_frames(Frame(Opcode.PONG, b"?"))

    assert harness.close_code is None
