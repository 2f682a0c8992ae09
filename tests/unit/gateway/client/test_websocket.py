"""The protocol of one client: its subprotocol, and that it refers to itself no more when it is let go."""

import gc
import sys

import pytest
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import SEND_EOF, State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from gateway.client.websocket import WebSocket
from tieline.wire.envelope import MAX_MESSAGE_BYTES

REQUEST = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def asked(request: bytes) -> tuple[WebSocket, Request]:
    """A protocol that has read a request."""
    protocol = WebSocket()
    protocol.receive_data(request)
    (event,) = protocol.events_received()
    assert isinstance(event, Request)
    return protocol, event


@pytest.mark.parametrize(("offered", "answered"), [("chat, tieline.v1", "tieline.v1"), ("chat", None)])
def test_the_one_subprotocol_is_answered_if_it_is_offered(offered: str, answered: str | None) -> None:
    line = f"Sec-WebSocket-Protocol: {offered}\r\n\r\n".encode()
    protocol, request = asked(REQUEST[:-2] + line)

    response = protocol.accept(request)

    assert response.status_code == 101
    assert response.headers.get("Sec-WebSocket-Protocol") == answered


def test_a_message_has_as_many_bytes_as_the_protocol_says() -> None:
    assert WebSocket().max_message_size == MAX_MESSAGE_BYTES


def test_a_request_that_was_answered_is_kept_no_longer() -> None:
    gc.disable()
    try:
        protocol, request = asked(REQUEST)
        protocol.send_response(protocol.accept(request))
        headers = request.headers
        del request

        assert sys.getrefcount(headers) == 2  # the name, and the argument
    finally:
        gc.enable()


def test_frames_are_read_behind_a_request_that_was_forgotten() -> None:
    protocol, request = asked(REQUEST)
    protocol.send_response(protocol.accept(request))

    protocol.receive_data(b"\x89\x80\x00\x00\x00\x00")

    (ping,) = protocol.events_received()
    assert isinstance(ping, Frame)
    assert ping.opcode is Opcode.PING


def test_a_plain_request_is_answered_in_the_librarys_words() -> None:
    protocol, request = asked(REQUEST)

    ours, librarys = (each.accept(request) for each in (protocol, ServerProtocol()))

    said, meant = (dict(response.headers.raw_items()) for response in (ours, librarys))
    assert list(said) == list(meant)
    assert said | {"Date": ""} == meant | {"Date": ""}
    assert (ours.status_code, ours.reason_phrase) == (librarys.status_code, librarys.reason_phrase)
    assert protocol.accept_called


@pytest.mark.parametrize("cut", [0, 1, 50])
def test_whether_a_request_is_followed_is_known_either_way(cut: int) -> None:
    for behind in (b"", b"\x81", b"\x81\x80"):
        protocol, said = WebSocket(), REQUEST + behind
        for piece in filter(None, (said[:cut], said[cut:])):
            protocol.receive_data(piece)

        assert len(protocol.events_received()) == 1
        assert protocol.is_followed == bool(behind)


def test_a_second_request_is_read_for_frames_and_is_none() -> None:
    protocol, _ = asked(REQUEST)

    protocol.receive_data(REQUEST)

    assert protocol.events_received() == []
    assert protocol.close_expected()


def opened() -> WebSocket:
    """A protocol whose request was answered."""
    protocol, request = asked(REQUEST)
    protocol.send_response(protocol.accept(request))
    protocol.data_to_send()
    return protocol


def test_between_two_frames_a_protocol_has_no_parser_of_its_own() -> None:
    one, other = opened(), opened()
    assert one.reader is other.reader

    one.receive_data(Frame(Opcode.PING, b"1").serialize(mask=True))
    assert one.reader is not other.reader
    one.rest()

    assert one.reader is other.reader
    assert one.parser is other.parser


def test_a_message_goes_on_in_the_fragments_that_come_after_a_rest() -> None:
    protocol = opened()

    for fragment in (Frame(Opcode.TEXT, b"a", fin=False), Frame(Opcode.CONT, b"b")):
        protocol.receive_data(fragment.serialize(mask=True))
        protocol.rest()

    assert [event.data for event in protocol.events_received() if isinstance(event, Frame)] == [b"a", b"b"]
    assert protocol.current_size is None


def test_a_protocol_that_rests_closes_when_the_client_does() -> None:
    protocol = opened()

    protocol.receive_data(Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True))
    protocol.rest()

    assert protocol.data_to_send() == [Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=False), SEND_EOF]
    protocol.receive_eof()
    assert protocol.state is State.CLOSED


def test_a_protocol_that_rests_may_close_first() -> None:
    protocol = opened()

    protocol.send_close(1000)
    protocol.receive_data(Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True))
    protocol.rest()
    protocol.receive_eof()

    assert protocol.state is State.CLOSED


def test_a_protocol_that_rests_can_be_failed_and_shares_nothing_then() -> None:
    protocol, other = opened(), opened()

    protocol.fail(1003)
    protocol.receive_data(b"whatever comes")
    protocol.receive_eof()

    assert protocol.state is State.CLOSED
    assert protocol.reader is not other.reader
    assert not other.reader.eof


def test_a_protocol_that_rests_notes_an_abnormal_end() -> None:
    protocol, other = opened(), opened()

    protocol.receive_eof()

    assert (protocol.state, protocol.close_code) == (State.CLOSED, 1006)
    assert not other.reader.eof


@pytest.mark.parametrize(
    "said",
    [
        b"",
        REQUEST,
        REQUEST[:20],
        b"\xff\r\n\r\n",
        REQUEST.replace(b"13", b"8"),
        REQUEST.replace(b"dGhl", b"%%%%"),
        b"GET /" + b"x" * 40_000,
    ],
    ids=["nothing", "a request", "half of one", "no request", "another version", "no key", "too much"],
)
def test_a_protocol_that_was_let_go_is_referred_to_by_nothing(said: bytes) -> None:
    gc.disable()
    try:
        protocol = WebSocket()
        protocol.receive_data(said)
        requests = [event for event in protocol.events_received() if isinstance(event, Request)]
        answered = [protocol.accept(request) for request in requests]
        protocol.let_go()
        assert sys.getrefcount(protocol) == 2  # this name, and the argument
        del answered, requests
    finally:
        gc.enable()


def test_a_client_s_protocol_takes_the_answer() -> None:
    client = ClientProtocol(parse_uri("ws://a/ws"))
    client.send_request(client.connect())
    protocol, request = asked(b"".join(client.data_to_send()))

    protocol.send_response(protocol.accept(request))
    client.receive_data(b"".join(protocol.data_to_send()))

    assert client.handshake_exc is None
