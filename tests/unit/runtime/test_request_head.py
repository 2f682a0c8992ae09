"""How long a request may be: lines alone and together, in one piece and in many."""

import pytest
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from tieline.runtime.request_head import HEAD_BYTES, HeadReader, bound_head, was_too_long

UPGRADE = (
    b"Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
REQUEST_LINE = b"GET /ws HTTP/1.1\r\n"


def protocol() -> ServerProtocol:
    bounded = ServerProtocol()
    bound_head(bounded)
    return bounded


def request(size: int, *, line: bytes = REQUEST_LINE) -> bytes:
    """Make an upgrade request of exactly so many bytes, with one long cookie."""
    rest = size - len(line) - len(UPGRADE) - len(b"Cookie: \r\n\r\n")
    return line + UPGRADE + b"Cookie: " + b"x" * rest + b"\r\n\r\n"


def is_read(bounded: ServerProtocol) -> bool:
    return [type(event) for event in bounded.events_received()] == [Request]


def test_a_request_may_be_as_long_as_the_limit_says() -> None:
    bounded = protocol()
    bounded.receive_data(request(HEAD_BYTES))

    assert is_read(bounded)
    assert not was_too_long(bounded)


def test_a_request_of_one_byte_more_is_too_long() -> None:
    bounded = protocol()
    bounded.receive_data(request(HEAD_BYTES + 1))

    assert not is_read(bounded)
    assert was_too_long(bounded)


@pytest.mark.parametrize("size", [1, 100, 8192])
def test_a_request_may_come_in_pieces(size: int) -> None:
    bounded = protocol()
    whole = request(20_000)
    for start in range(0, len(whole), size):
        bounded.receive_data(whole[start : start + size])

    assert is_read(bounded)


def test_a_token_and_a_cookie_may_each_have_nearly_16_kib() -> None:
    bounded = protocol()
    bounded.receive_data(request(32_500, line=b"GET /ws?token=" + b"x" * 16_000 + b" HTTP/1.1\r\n"))

    assert is_read(bounded)


@pytest.mark.parametrize(
    "endless",
    [
        b"GET /" + b"x" * HEAD_BYTES,
        REQUEST_LINE + b"Cookie: " + b"x" * HEAD_BYTES,
        REQUEST_LINE + (b"X: " + b"y" * 5_000 + b"\r\n") * 8,
        REQUEST_LINE + b"X:\r\n" * 129,
    ],
)
def test_a_request_without_an_end_is_too_long_before_it_ends(endless: bytes) -> None:
    bounded = protocol()
    bounded.receive_data(endless)

    assert was_too_long(bounded)


def test_a_request_that_breaks_off_was_not_too_long() -> None:
    bounded = protocol()
    bounded.receive_data(REQUEST_LINE)
    bounded.receive_eof()

    assert not was_too_long(bounded)


@pytest.mark.parametrize("behind", [b"", b"\x81", b"\x81\x80", b"\r\n"])
@pytest.mark.parametrize("cut", [0, 1, 100, -1])
def test_whether_anything_follows_the_request_is_known(behind: bytes, cut: int) -> None:
    bounded, whole = protocol(), request(1_000) + behind
    assert isinstance(bounded.reader, HeadReader)
    for piece in (whole[:cut], whole[cut:]):
        bounded.receive_data(piece)

    assert is_read(bounded)
    assert bounded.reader.has_more == bool(behind)


def test_what_follows_the_request_has_no_limit_of_that_kind() -> None:
    bounded = protocol()
    bounded.receive_data(request(HEAD_BYTES))
    (asked,) = bounded.events_received()
    assert isinstance(asked, Request)
    bounded.send_response(bounded.accept(asked))

    bounded.receive_data(Frame(Opcode.TEXT, b"x" * 50_000).serialize(mask=True))

    (frame,) = bounded.events_received()
    assert isinstance(frame, Frame)
    assert len(frame.data) == 50_000
