"""Before the WebSocket: the upgrade request, its answer, and clients that send something else."""

import itertools
import json

import pytest
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response

from gateway.admission.handshake import MOST_ESCAPED, MOST_LISTED
from gateway.client.connection import HANDSHAKE_S, Connection
from gateway.client.deliveries import Missed
from gateway.client.trickle import RESTS_S
from gateway.client.turns import ROUND_S, Turns
from tests.support.metrics import value_of
from tests.unit.gateway.client.clock import Clock
from tests.unit.gateway.client.harness import ANYBODY, WELCOME, Harness, connected, event, ping, session
from tieline import metrics
from tieline.wire.codes import CloseCode, HandshakeError


def http_answer(harness: Harness) -> tuple[bytes, dict[str, object]]:
    """Return the status line and the JSON body of a refusal."""
    head, _, body = harness.socket.taken().partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert b"Content-Length: %d" % len(body) in lines
    return lines[0], json.loads(body)


# The request.


def test_a_request_is_decided_before_anything_is_read_or_said() -> None:
    harness = Harness()

    harness.put(harness.request())

    ((request, response),) = harness.requests
    assert (request.path, response.status_code) == ("/ws", 101)
    assert not harness.socket.is_read
    assert harness.socket.taken() == b""
    assert harness.connection.session is None


def test_a_request_that_comes_byte_by_byte_arrives_once() -> None:
    harness = Harness()

    for byte in harness.request():
        assert not harness.requests
        harness.put(bytes([byte]))
    for _ in range(20):
        harness.clock.advance(max(RESTS_S))  # for a socket that rests
        harness.arrive()

    assert len(harness.requests) == 1


def test_those_who_ask_at_the_same_time_are_answered_in_turns() -> None:
    clock, ticks = Clock(), itertools.count()
    turns = Turns(clock.loop, lambda: next(ticks) * ROUND_S)  # one turn fills a round
    several = [Harness(clock=clock, turns=turns) for _ in range(3)]

    for harness in several:
        harness.hand_over(harness.request())

    for nth in range(3):
        assert [len(harness.requests) for harness in several] == [1] * nth + [0] * (3 - nth)
        clock.iterate()
    assert [len(harness.requests) for harness in several] == [1] * 3
    assert clock.is_at_rest


def test_only_the_first_look_at_a_request_counts_as_a_newcomers() -> None:
    harness = Harness()
    request = harness.request()
    half, rest = request[:30], request[30:]

    harness.hand_over(half)
    assert harness.turns.newcomers == 1
    harness.clock.settle()
    harness.hand_over(rest)
    assert not harness.clock.is_at_rest
    assert harness.turns.newcomers == 0


def test_while_a_request_waits_for_its_turn_nothing_more_is_read() -> None:
    harness = Harness()
    request = harness.request()
    half, rest = request[:30], request[30:]

    harness.hand_over(half)
    assert not harness.socket.is_reading()
    harness.clock.settle()
    assert harness.socket.is_reading()
    harness.hand_over(rest)
    harness.clock.settle()
    assert len(harness.requests) == 1
    assert not harness.socket.is_reading()


def test_what_completes_no_line_is_not_looked_at_yet() -> None:
    harness = Harness()
    for piece in (b"GET /ws", b" HTTP/1.1", b"\r"):
        harness.hand_over(piece)
        assert harness.clock.is_at_rest
        assert harness.socket.is_reading()
    harness.hand_over(b"\n")
    assert not harness.clock.is_at_rest


def test_a_request_whose_client_was_cut_is_not_looked_at() -> None:
    harness = Harness()
    harness.hand_over(harness.request())
    harness.connection.abandon()
    harness.clock.settle()
    assert harness.requests == []


def test_a_bug_that_a_request_meets_cuts_its_client_alone(caplog: pytest.LogCaptureFixture) -> None:
    harness = Harness()
    harness.connection = Connection(
        harness.clock.loop, ANYBODY, harness.host, _fail, lambda _: None, harness.turns, harness.waiting
    )
    harness.connection.connection_made(harness.socket)
    harness.hand_over(harness.request())
    harness.clock.settle()
    assert harness.socket.is_aborted
    assert [record.message for record in caplog.records] == ["client cut: a bug"]


def _fail(_connection: Connection, _request: Request, _response: Response) -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize("name", ["Connection", "Upgrade", "Sec-WebSocket-Protocol"])
def test_a_request_with_a_long_list_is_refused_unread(name: str) -> None:
    harness = Harness()
    listed = ",".join(["a"] * (MOST_LISTED + 2)).encode()

    harness.put(b"GET /ws HTTP/1.1\r\nHost: h\r\n%b: %b\r\n\r\n" % (name.encode(), listed))

    assert harness.requests == []
    status, body = http_answer(harness)
    assert (status, body["reason"]) == (b"HTTP/1.1 431 Request Header Fields Too Large", "HEADERS_TOO_LARGE")


@pytest.mark.parametrize("query", ["a&" * (MOST_LISTED + 1), "a=" + "%41" * (MOST_ESCAPED + 1)])
def test_a_query_with_too_many_parts_is_refused_unread(query: str) -> None:
    harness = Harness()

    harness.put(b"GET /ws?%b HTTP/1.1\r\nHost: h\r\n\r\n" % query.encode())

    assert harness.requests == []
    assert http_answer(harness)[1]["reason"] == "HEADERS_TOO_LARGE"


def test_a_request_without_an_upgrade_is_decided_like_any_other() -> None:
    harness = Harness()

    harness.put(b"GET /ws HTTP/1.1\r\nHost: h\r\n\r\n")

    ((_, response),) = harness.requests
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
        b"GET /ws HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    ],
    ids=range(7),
)
def test_what_is_no_http_request_is_refused_with_400_and_json(data: bytes) -> None:
    harness = Harness()

    harness.put(data)

    status, body = http_answer(harness)
    assert status == b"HTTP/1.1 400 Bad Request"
    assert body == {"code": 400, "msg": HandshakeError.MALFORMED.msg, "reason": "MALFORMED"}
    assert harness.socket.is_closing()
    assert not harness.requests


@pytest.mark.parametrize(
    "endless",
    [
        b"GET /ws HTTP/1.1\r\nX: " + b"x" * 100_000,
        b"GET /ws?" + b"x" * 100_000,
        b"GET /ws HTTP/1.1\r\n" + b"X: x\r\n" * 1000,
        b"GET /ws HTTP/1.1\r\n" + (b"X: " + b"x" * 8_000 + b"\r\n") * 5,
    ],
    ids=["a long header", "a long path", "many headers", "long in all"],
)
def test_a_request_that_is_too_long_is_told_so_before_it_ends(endless: bytes) -> None:
    harness = Harness()

    harness.put(endless)

    status, body = http_answer(harness)
    assert status == b"HTTP/1.1 431 Request Header Fields Too Large"
    assert body["reason"] == "HEADERS_TOO_LARGE"
    assert harness.socket.is_closing()
    assert not harness.requests


def test_a_cookie_and_a_token_may_be_long() -> None:
    harness = Harness("/ws?token=" + "x" * 16_000)

    harness.put(harness.request()[:-2] + b"Cookie: " + b"x" * 16_000 + b"\r\n\r\n")

    assert len(harness.requests) == 1


@pytest.mark.parametrize(
    "early",
    [
        Frame(Opcode.TEXT, b"too early").serialize(mask=True),
        Frame(Opcode.PING, b"").serialize(mask=True),
        Frame(Opcode.CLOSE, b"").serialize(mask=True),
        Frame(Opcode.TEXT, b"not masked either").serialize(mask=False),
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff" * 10,
        b"\x81",
        b"\x81\x85",
        b"\x81\x85mask",
        Frame(Opcode.TEXT, b"half of one").serialize(mask=True)[:-5],
        b"\r\n",
    ],
    ids=[
        "text",
        "ping",
        "close",
        "unmasked",
        "pipelined",
        "junk",
        "a byte",
        "a header",
        "no payload",
        "half a frame",
        "an empty line",
    ],
)
@pytest.mark.parametrize("behind", [0, 1, 30], ids=["whole", "behind a byte", "behind more"])
def test_a_client_that_does_not_wait_for_the_answer_is_refused(early: bytes, behind: int) -> None:
    harness = Harness()
    said = harness.request() + early

    if behind:
        harness.put(said[:behind])
    harness.put(said[behind:])

    status, _ = http_answer(harness)
    assert status == b"HTTP/1.1 400 Bad Request"
    assert harness.socket.is_closing()
    assert not harness.requests


@pytest.mark.parametrize("some", [None, 1, 2, 8])
def test_a_frame_while_nothing_is_read_ends_the_connection(some: int | None) -> None:
    harness = Harness()
    harness.put(harness.request())

    harness.hand_over(Frame(Opcode.TEXT, b"too early").serialize(mask=True)[:some])
    harness.clock.settle()

    assert harness.socket.is_aborted
    assert harness.socket.taken() == b""


# The answer.


def test_a_welcome_precedes_what_was_missed() -> None:
    harness = Harness()
    harness.put(harness.request())

    harness.welcome(missed=Missed([], [event("missed 1"), event("missed 2")]))

    assert harness.texts() == [WELCOME, event("missed 1"), event("missed 2")]
    assert harness.socket.is_read
    harness.send(ping("p-1"))
    assert harness.names() == ["p-1"]


def test_a_connection_that_is_welcome_has_a_session_and_an_age() -> None:
    harness, alice = Harness(), session()
    harness.put(harness.request())
    harness.clock.advance(2)

    harness.welcome(alice)

    assert harness.connection.session is alice
    harness.clock.advance(3)
    assert harness.connection.seconds_open == 3


@pytest.mark.parametrize("denial", HandshakeError)
def test_a_denial_is_an_http_answer_and_the_end(denial: HandshakeError) -> None:
    harness = Harness()
    harness.put(harness.request())

    harness.connection.deny(denial)

    status, body = http_answer(harness)
    assert status.startswith(b"HTTP/1.1 %d " % denial.status)
    assert body["reason"] == denial.reason
    assert harness.connection.is_closing
    harness.connection.connection_lost(None)
    assert harness.clock.is_idle


def test_a_second_denial_says_nothing_more_and_is_not_counted() -> None:
    harness, counter = Harness(), metrics.HANDSHAKES_REFUSED.labels("DRAINING")
    before = value_of(counter)
    harness.put(harness.request())
    harness.connection.deny(HandshakeError.FULL)
    harness.socket.taken()

    harness.connection.deny(HandshakeError.DRAINING)

    assert harness.socket.taken() == b""
    assert value_of(counter) == before


def test_before_the_welcome_a_close_has_no_effect() -> None:
    harness = Harness()
    harness.put(harness.request())

    harness.connection.close(CloseCode.REPLACED)
    harness.welcome()

    assert harness.texts() == [WELCOME]
    assert harness.close_code is None
    assert harness.host.told == []


# Time and loss.


@pytest.mark.parametrize("data", [b"", b"GET /ws HTTP/1.1\r\n"], ids=["nothing", "half a request"])
def test_a_client_that_does_not_ask_in_time_is_cut_off(data: bytes) -> None:
    harness = Harness()
    if data:
        harness.put(data)

    harness.clock.advance(HANDSHAKE_S - 0.1)
    assert not harness.socket.is_closing()
    harness.clock.advance(0.1)

    assert harness.socket.is_aborted


def test_a_client_that_is_not_let_in_in_time_is_cut_off() -> None:
    harness = Harness()
    harness.put(harness.request())

    harness.clock.advance(HANDSHAKE_S)

    assert harness.connection.is_closing


def test_a_client_that_does_not_read_its_refusal_is_cut_off() -> None:
    harness = Harness()
    harness.put(harness.request())
    harness.connection.deny(HandshakeError.FULL)
    assert not harness.socket.is_aborted  # its transport waits until the client has read all, however long

    harness.clock.advance(HANDSHAKE_S)

    assert harness.socket.is_aborted


def test_a_client_that_is_welcome_is_not_cut_off_later() -> None:
    harness = connected()

    harness.clock.advance(HANDSHAKE_S)

    assert not harness.connection.is_closing


def test_a_connection_lost_before_its_welcome_keeps_no_timer() -> None:
    harness = Harness()
    harness.put(harness.request())

    harness.lose()

    assert harness.gone_with == [1006]
    assert harness.clock.is_idle
    harness.connection.deny(HandshakeError.DRAINING)


def test_a_client_that_ends_before_it_has_asked_is_no_trouble() -> None:
    harness = Harness()
    harness.put(b"GET /ws HTT")

    keep_open = harness.connection.eof_received()
    harness.lose()

    assert not keep_open
    assert harness.gone_with == [1006]
