"""Before the WebSocket: the upgrade request, its answer, and clients that send something else."""

import json

import pytest
from websockets.frames import Frame, Opcode

from gateway.client.connection import HANDSHAKE_S
from gateway.client.deliveries import Missed
from tests.support.metrics import value_of
from tests.unit.gateway.client.stage import WELCOME, Stage, connected, event, ping, session
from tieline import metrics
from tieline.wire.codes import CloseCode, HandshakeError


def http_answer(stage: Stage) -> tuple[bytes, dict[str, object]]:
    """Return the status line and the JSON body of a refusal."""
    head, _, body = stage.socket.taken().partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert b"Content-Length: %d" % len(body) in lines
    return lines[0], json.loads(body)


# The request.


def test_a_request_is_decided_before_anything_is_read_or_said() -> None:
    stage = Stage()

    stage.put(stage.request())

    ((request, response),) = stage.requests
    assert (request.path, response.status_code) == ("/ws", 101)
    assert not stage.socket.is_read
    assert stage.socket.taken() == b""
    assert stage.connection.session is None


def test_a_request_that_comes_byte_by_byte_arrives_once() -> None:
    stage = Stage()

    for byte in stage.request():
        assert not stage.requests
        stage.put(bytes([byte]))

    assert len(stage.requests) == 1


def test_a_request_without_an_upgrade_is_decided_like_any_other() -> None:
    stage = Stage()

    stage.put(b"GET /ws HTTP/1.1\r\nHost: h\r\n\r\n")

    ((_, response),) = stage.requests
    assert response.status_code == 426


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n\r\n",
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\n" * 4,
        b"GET /ws\r\n\r\n",
        b"GET /ws\xff HTTP/1.1\r\n\r\n",
        b"GET /ws HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /ws HTTP/1.1\r\nX: " + b"x" * 100_000,
        b"GET /ws?" + b"x" * 100_000,
        b"GET /ws HTTP/1.1\r\n" + b"X: x\r\n" * 1000,
        b"GET /ws HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    ],
    ids=range(10),
)
def test_what_is_no_http_request_is_refused_with_400_and_json(data: bytes) -> None:
    stage = Stage()

    stage.put(data)

    status, body = http_answer(stage)
    assert status == b"HTTP/1.1 400 Bad Request"
    assert body == {"code": 400, "msg": HandshakeError.MALFORMED.msg, "reason": "MALFORMED"}
    assert stage.socket.is_closing()
    assert not stage.requests


@pytest.mark.parametrize(
    "early",
    [
        Frame(Opcode.TEXT, b"too early").serialize(mask=True),
        Frame(Opcode.PING, b"").serialize(mask=True),
        Frame(Opcode.CLOSE, b"").serialize(mask=True),
        Frame(Opcode.TEXT, b"not masked either").serialize(mask=False),
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff" * 10,
    ],
    ids=["text", "ping", "close", "unmasked", "pipelined", "junk"],
)
def test_a_client_that_does_not_wait_for_the_answer_is_refused(early: bytes) -> None:
    stage = Stage()

    stage.put(stage.request() + early)

    status, _ = http_answer(stage)
    assert status == b"HTTP/1.1 400 Bad Request"
    assert stage.socket.is_closing()
    assert not stage.requests


def test_a_frame_while_nothing_is_read_ends_the_connection() -> None:
    stage = Stage()
    stage.put(stage.request())

    stage.send_frames(Frame(Opcode.TEXT, b"too early"))

    assert stage.socket.is_aborted
    assert stage.socket.taken() == b""


# The answer.


def test_a_welcome_precedes_what_was_missed() -> None:
    stage = Stage()
    stage.put(stage.request())

    stage.welcome(missed=Missed([], [event("missed 1"), event("missed 2")], is_whole=True))

    assert stage.texts() == [WELCOME, event("missed 1"), event("missed 2")]
    assert stage.socket.is_read
    stage.send(ping("p-1"))
    assert stage.names() == ["p-1"]


def test_a_connection_that_is_welcome_has_a_session_and_an_age() -> None:
    stage, alice = Stage(), session()
    stage.put(stage.request())
    stage.clock.advance(2)

    stage.welcome(alice)

    assert stage.connection.session is alice
    stage.clock.advance(3)
    assert stage.connection.seconds_open == 3


@pytest.mark.parametrize("denial", HandshakeError)
def test_a_denial_is_an_http_answer_and_the_end(denial: HandshakeError) -> None:
    stage = Stage()
    stage.put(stage.request())

    stage.connection.deny(denial)

    status, body = http_answer(stage)
    assert status.startswith(b"HTTP/1.1 %d " % denial.status)
    assert body["reason"] == denial.reason
    assert stage.connection.is_closing
    stage.connection.connection_lost(None)
    assert stage.clock.is_idle


def test_a_second_denial_says_nothing_more_and_is_not_counted() -> None:
    stage, counter = Stage(), metrics.HANDSHAKES_REFUSED.labels("DRAINING")
    before = value_of(counter)
    stage.put(stage.request())
    stage.connection.deny(HandshakeError.FULL)
    stage.socket.taken()

    stage.connection.deny(HandshakeError.DRAINING)

    assert stage.socket.taken() == b""
    assert value_of(counter) == before


def test_before_the_welcome_a_close_has_no_effect() -> None:
    stage = Stage()
    stage.put(stage.request())

    stage.connection.close(CloseCode.REPLACED)
    stage.welcome()

    assert stage.texts() == [WELCOME]
    assert stage.close_code is None
    assert stage.host.told == []


# Time and loss.


@pytest.mark.parametrize("data", [b"", b"GET /ws HTTP/1.1\r\n"], ids=["nothing", "half a request"])
def test_a_client_that_does_not_ask_in_time_is_cut_off(data: bytes) -> None:
    stage = Stage()
    if data:
        stage.put(data)

    stage.clock.advance(HANDSHAKE_S - 0.1)
    assert not stage.socket.is_closing()
    stage.clock.advance(0.1)

    assert stage.socket.is_aborted


def test_a_client_that_is_not_let_in_in_time_is_cut_off() -> None:
    stage = Stage()
    stage.put(stage.request())

    stage.clock.advance(HANDSHAKE_S)

    assert stage.connection.is_closing


def test_a_client_that_does_not_read_its_refusal_is_cut_off() -> None:
    stage = Stage()
    stage.put(stage.request())
    stage.connection.deny(HandshakeError.FULL)
    assert not stage.socket.is_aborted  # its transport waits until the client has read all, however long

    stage.clock.advance(HANDSHAKE_S)

    assert stage.socket.is_aborted


def test_a_client_that_is_welcome_is_not_cut_off_later() -> None:
    stage = connected()

    stage.clock.advance(HANDSHAKE_S)

    assert not stage.connection.is_closing


def test_a_connection_lost_before_its_welcome_keeps_no_timer() -> None:
    stage = Stage()
    stage.put(stage.request())

    stage.lose()

    assert stage.gone_with == [1006]
    assert stage.clock.is_idle
    stage.connection.deny(HandshakeError.DRAINING)


def test_a_client_that_ends_before_it_has_asked_is_no_trouble() -> None:
    stage = Stage()
    stage.put(b"GET /ws HTT")

    keep_open = stage.connection.eof_received()
    stage.lose()

    assert not keep_open
    assert stage.gone_with == [1006]
