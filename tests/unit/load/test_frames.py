"""`tieline.load.frames`: against the framing of websockets itself."""

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol

from tieline.load.frames import CLOSE, PING, TEXT, FrameError, FrameReader, client_frame

MASK = b"\x01\x80\xff\x37"


def server_frame(payload: bytes, opcode: Opcode = Opcode.TEXT) -> bytes:
    return Frame(opcode, payload).serialize(mask=False)


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 330, 65_535, 65_536, 100_000])
def test_a_server_reads_what_a_client_frame_holds(length: int) -> None:
    payload = bytes(number % 251 for number in range(length))
    server = ServerProtocol(max_size=None)
    server.state = server.state.OPEN
    server.parser = server.parse()
    next(server.parser)
    server.receive_data(client_frame(TEXT, payload, MASK))
    (frame,) = server.events_received()
    assert frame == Frame(Opcode.TEXT, payload)


@given(st.lists(st.binary(max_size=700), max_size=8), st.lists(st.integers(0, 3000), max_size=12))
def test_frames_are_the_same_however_the_bytes_are_cut(payloads: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(map(server_frame, payloads))
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    reader = FrameReader()
    frames = [frame for start, stop in itertools.pairwise(edges) for frame in reader.feed(stream[start:stop])]
    assert frames == [(TEXT, payload) for payload in payloads]


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 5])
def test_a_frame_with_two_bytes_of_length_is_read_however_cut(cut: int) -> None:
    payload = b"x" * 200
    stream = server_frame(payload)
    reader = FrameReader()
    assert reader.feed(stream[:cut]) == []
    assert reader.feed(stream[cut:]) == [(TEXT, payload)]


def test_a_long_frame_cut_inside_its_length_is_read_once_whole() -> None:
    payload = b"x" * 70_000
    stream = server_frame(payload)
    reader = FrameReader()
    assert reader.feed(stream[:5]) == []
    assert reader.feed(stream[5:]) == [(TEXT, payload)]


def test_pings_and_closes_are_told_from_text() -> None:
    stream = server_frame(b"are you there", Opcode.PING) + server_frame(struct.pack("!H", 1012), Opcode.CLOSE)
    assert FrameReader().feed(stream) == [(PING, b"are you there"), (CLOSE, b"\x03\xf4")]


@pytest.mark.parametrize(
    "data",
    [
        client_frame(TEXT, b"masked", MASK),
        Frame(Opcode.TEXT, b"the first part", fin=False).serialize(mask=False),
        Frame(Opcode.CONT, b"the last part").serialize(mask=False),
        b"\xc1\x08deflated",
    ],
    ids=["masked", "first fragment", "last fragment", "extension"],
)
def test_what_a_server_under_load_never_sends_is_an_error(data: bytes) -> None:
    with pytest.raises(FrameError):
        FrameReader().feed(data)
