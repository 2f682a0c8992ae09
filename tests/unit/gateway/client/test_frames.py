"""The short way for whole text frames gives what the long way gives."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from gateway.client.frames import (
    completes_message,
    head_size,
    is_long_control,
    next_text,
    opcode_of,
    payload_size,
    shape_of,
    text_head,
    wastes_bytes,
)
from tests.unit.gateway.client.harness import connected
from tests.unit.wire import samples

TEXT, CONT, PING = Opcode.TEXT, Opcode.CONT, Opcode.PING
SIZES = (0, 1, 125, 126, 127, 65_535)


def masked(frame: Frame) -> bytes:
    return frame.serialize(mask=True)


def sized(first: int, size: int, form: int) -> bytes:
    """Write a frame whose length stands in 2 or 8 bytes."""
    mark = 126 if form == 2 else 127
    return bytes((first, 0x80 | mark)) + size.to_bytes(form, "big") + bytes(4 + size)


def a_ping(number: int, size: int) -> bytes:
    return samples.frame(samples.ping_message() | {"requestId": f"p-{number}", "data": "用" * size})


def opened() -> ServerProtocol:
    protocol = ServerProtocol()
    protocol.receive_data(
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    (request,) = protocol.events_received()
    assert isinstance(request, Request)
    protocol.send_response(protocol.accept(request))
    return protocol


@given(
    st.lists(st.tuples(st.sampled_from(("whole", "fragments", "ping")), st.integers(0, 300)), max_size=6),
    st.lists(st.integers(0, 3000), max_size=6),
)
def test_however_messages_are_cut_each_is_received_in_order(
    sent: list[tuple[str, int]], cuts: list[int]
) -> None:
    harness, names, stream, control = connected(), [], b"", 0
    for number, (kind, size) in enumerate(sent):
        message = a_ping(number, size)
        if kind == "ping":
            stream += masked(Frame(PING, b"?"))
            control += 1
            continue
        names.append(f"p-{number}")
        if kind == "whole":
            stream += masked(Frame(TEXT, message))
        else:
            stream += masked(Frame(TEXT, message[:size], fin=False)) + masked(Frame(CONT, message[size:]))

    pongs = harness.socket_pongs()
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    for start, end in itertools.pairwise(places):
        if start < end:
            harness.put(stream[start:end])

    assert harness.names() == names
    assert harness.socket_pongs() - pongs == control


@pytest.mark.parametrize("size", SIZES)
def test_a_whole_frame_is_read_wherever_it_stands(size: int) -> None:
    payload = bytes(range(256)) * 256
    frame = masked(Frame(TEXT, payload[:size]))

    assert next_text(b"before" + frame + b"behind", 6) == (payload[:size], 6 + len(frame))


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        Frame(TEXT, b"hello").serialize(mask=False),
        masked(Frame(TEXT, b"hello", fin=False)),
        b"\xc1" + masked(Frame(TEXT, b"hello"))[1:],
        masked(Frame(Opcode.BINARY, b"hello")),
        masked(Frame(PING, b"hello")),
        masked(Frame(TEXT, b"x" * 65_536)),
        masked(Frame(TEXT, b"hello"))[:-1],
        masked(Frame(TEXT, b"x" * 126))[:-1],
        masked(Frame(TEXT, b"x" * 126))[:7],
        masked(Frame(TEXT, b""))[:5],
        sized(0x81, 125, 2),
        sized(0x81, 125, 8),
    ],
    ids=range(13),
)
def test_anything_else_is_left_to_the_protocol(frame: bytes) -> None:
    assert next_text(frame, 0) is None


@pytest.mark.parametrize("size", [*SIZES, 65_536, 70_000])
def test_what_is_written_is_what_the_protocol_would_write(size: int) -> None:
    payload = b"x" * size

    assert text_head(size) + payload == Frame(TEXT, payload).serialize(mask=False)
    assert head_size(text_head(size)) == len(text_head(size))
    assert payload_size(text_head(size) + payload) == size


@pytest.mark.parametrize(
    ("frame", "header"),
    [
        (masked(Frame(TEXT, b"")), 2),
        (masked(Frame(PING, b"x" * 125)), 2),
        (masked(Frame(TEXT, b"x" * 126, fin=False)), 4),
        (masked(Frame(CONT, b"x" * 65_535)), 4),
        (masked(Frame(Opcode.BINARY, b"x" * 65_536)), 10),
    ],
    ids=range(5),
)
def test_the_end_of_a_frame_is_known_from_its_header_on(frame: bytes, header: int) -> None:
    for there in range(header + 1):
        shape = shape_of(b"before" + frame[:there], 6, 65_536)
        assert shape.end > 6 + there
        assert not shape.is_refused
    for there in (header, len(frame)):
        assert shape_of(b"before" + frame[:there], 6, 65_536).end == 6 + len(frame)
    assert shape_of(frame, 0, 65_536).size == len(frame) - header - 4


@pytest.mark.parametrize(
    ("frame", "most", "end"),
    [
        (masked(Frame(TEXT, b"x" * 65_537)), 65_536, 10),
        (masked(Frame(CONT, b"x" * 126)), 125, 4),
        (masked(Frame(CONT, b"x")), 0, 2),
        (Frame(TEXT, b"not masked").serialize(mask=False), 65_536, 2),
        (b"\x83\x80", 65_536, 2),
    ],
    ids=["too long", "too long together", "one byte too long", "not masked", "unknown"],
)
def test_a_frame_that_is_refused_by_its_header_ends_with_it(frame: bytes, most: int, end: int) -> None:
    assert (shape_of(frame[:end], 0, most).end, shape_of(frame, 0, most).is_refused) == (end, True)

    protocol = opened()
    protocol.max_message_size = most
    protocol.current_size = None if frame[0] & 15 else 0
    protocol.receive_data(frame[:end])

    assert protocol.state is State.CLOSING  # the protocol needs no more of it either


@pytest.mark.parametrize(
    ("size", "form", "wastes"),
    [
        (0, 2, True),
        (125, 2, True),
        (126, 2, False),
        (65_535, 2, False),
        (0, 8, True),
        (125, 8, True),
        (126, 8, True),
        (65_535, 8, True),
        (65_536, 8, False),
    ],
)
@pytest.mark.parametrize("first", [0x81, 0x01, 0x80, 0x89, 0x8A, 0x88])
def test_a_length_in_more_bytes_than_it_needs_is_refused(
    first: int, size: int, form: int, wastes: bool
) -> None:
    frame = sized(first, size, form)
    header = 2 + form

    assert wastes_bytes(frame[:header]) == wastes
    assert shape_of(frame[: header - 1], 0, 1 << 17).end == header
    shape = shape_of(frame, 0, 1 << 17)
    is_refused = wastes or (first > 0x87 and size > 125)
    assert (shape.is_refused, shape.end) == (is_refused, header if is_refused else len(frame))
    assert not wastes_bytes(masked(Frame(PING, b"x" * 125)))


@pytest.mark.parametrize("size", [*SIZES, 65_536])
@pytest.mark.parametrize("opcode", Opcode)
@pytest.mark.parametrize("most", [0, 65_536])
def test_a_control_frame_has_a_bound_of_its_own(opcode: Opcode, size: int, most: int) -> None:
    form = 0 if size < 126 else 2 if size < 65_536 else 8
    frame = sized(0x80 | opcode, size, form) if form else masked(Frame(opcode, b"x" * size))
    is_control = opcode in (Opcode.CLOSE, PING, Opcode.PONG)

    assert shape_of(frame, 0, most).is_refused == (size > (125 if is_control else most))
    assert is_long_control(frame) == (is_control and size > 125)


@pytest.mark.parametrize("opcode", Opcode)
@pytest.mark.parametrize("fin", [True, False])
def test_the_first_byte_tells_what_a_frame_is(opcode: Opcode, fin: bool) -> None:
    first = fin << 7 | opcode

    assert opcode_of(first) == opcode
    assert completes_message(first) == (fin and opcode < Opcode.CLOSE)
