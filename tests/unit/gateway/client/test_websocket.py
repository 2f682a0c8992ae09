"""The protocol of one client: its subprotocol, and that it refers to itself no more when it is let go."""

import gc
import sys

import pytest
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
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
