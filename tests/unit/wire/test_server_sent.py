"""Server-sent events: what is written is read again, wherever it is cut."""

import pytest

from tieline.wire import server_sent
from tieline.wire.server_sent import LONGEST_BLOCK, Reader, Told, TooLong

STREAM = b"".join(
    (
        server_sent.opening(7),
        server_sent.event(8, b'{"a":"\xe2\x80\xa8"}'),
        server_sent.heartbeat(9),
        server_sent.gap(3),
        server_sent.end(9, "stopping"),
    )
)

TOLD = [
    Told("7", "", b""),
    Told("8", "", b'{"a":"\xe2\x80\xa8"}'),
    Told("9", "", b""),
    Told("9", "gap", b'{"lost":3}'),
    Told("9", "end", b'{"reason":"stopping"}'),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, len(STREAM)])
def test_a_stream_is_read_wherever_it_is_cut(size: int) -> None:
    reader = Reader()
    told = [each for at in range(0, len(STREAM), size) for each in reader.feed(STREAM[at : at + size])]
    assert told == TOLD


@pytest.mark.parametrize("size", [1, len(STREAM)])
def test_lines_may_end_as_a_proxy_writes_them(size: int) -> None:
    reader, stream = Reader(), STREAM.replace(b"\n", b"\r\n")
    told = [each for at in range(0, len(stream), size) for each in reader.feed(stream[at : at + size])]
    assert told == TOLD


def test_what_is_not_whole_is_told_when_it_is() -> None:
    reader = Reader()
    assert reader.feed(b"id: 1\ndata: x\n") == []
    assert reader.feed(b"\n") == [Told("1", "", b"x")]


def test_line_ends_between_the_words_of_json_end_no_event() -> None:
    (told,) = Reader().feed(server_sent.event(1, b'{\r\n"a":\n1}'))
    assert told.data == b'{  "a": 1}'


def test_data_of_several_lines_belong_together() -> None:
    (told,) = Reader().feed(b"data: 1\ndata:2\nnew: x\n\n")
    assert told.data == b"1\n2"


def test_what_goes_on_for_ever_is_no_stream() -> None:
    with pytest.raises(TooLong):
        Reader().feed(b"x" * (LONGEST_BLOCK + 1))
