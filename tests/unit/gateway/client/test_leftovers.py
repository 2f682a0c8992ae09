"""Of a connection that has ended nothing is left for the collector of cycles, which would stop everybody."""

import asyncio
import functools
import ssl
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import uvloop
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response

from gateway.admission.certificate import Files, load
from gateway.client.connection import CLOSING_S, HANDSHAKE_S, Connection
from gateway.client.tls import Tls
from gateway.client.trickle import Trickle
from gateway.client.turns import Turns
from gateway.client.waiting import Waiting
from gateway.limits.rate import rate
from gateway.limits.rates import NO_LIMITS
from tests.support.certificates import self_signed
from tests.support.leftovers import nothing_is_left
from tests.unit.gateway.client.harness import (
    ANYBODY,
    WELCOME,
    Harness,
    connected,
    forget,
    join,
    ping,
    session,
    signal,
    signals,
)
from tests.unit.gateway.client.host import FakeHost
from tests.unit.gateway.client.tls_line import TlsLine, trusting_anybody
from tieline.wire.codes import CloseCode, HandshakeError
from tieline.wire.internal.answers import SessionGone

# Each way to end, with time and answers in the test's hands.


def asked() -> Harness:
    harness = Harness()
    harness.put(harness.request())
    return harness


def refused(data: bytes) -> Callable[[], Harness]:
    def live() -> Harness:
        harness = Harness()
        harness.put(data)
        harness.lose()
        return harness

    return live


def denied() -> Harness:
    harness = asked()
    harness.connection.deny(HandshakeError.UNAUTHORIZED)
    harness.lose()
    return harness


def not_asked_in_time() -> Harness:
    harness = Harness()
    harness.put(b"GET /ws HTTP/1.1\r\n")
    harness.clock.advance(HANDSHAKE_S)
    harness.lose()
    return harness


def not_let_in_in_time() -> Harness:
    harness = asked()
    harness.clock.advance(HANDSHAKE_S)
    harness.lose()
    return harness


def let_in_only_to_be_closed() -> Harness:
    harness = asked()
    ((_, response),) = harness.requests
    harness.connection.refuse(response, CloseCode.REPLACED)
    harness.clock.advance(CLOSING_S)
    harness.lose()
    return harness


def closed_by_the_client() -> Harness:
    harness = connected()
    harness.send(ping("p"), signal("s"))
    harness.answer()
    harness.say_goodbye()
    harness.lose()
    return harness


def closed_with_questions_under_way() -> Harness:
    harness = connected()
    harness.send(*signals(3), join("j"))
    harness.say_goodbye()
    harness.lose()
    for _ in range(3):
        harness.answer()
    harness.answer_room(None)
    return harness


def cut() -> Harness:
    harness = connected()
    harness.put(Frame(Opcode.TEXT, ping("p")).serialize(mask=True)[:9])
    harness.connection.eof_received()
    harness.lose()
    return harness


def cut_within_a_message() -> Harness:
    harness = connected()
    harness.send_frames(Frame(Opcode.TEXT, ping("p")[:9], fin=False))
    harness.lose()
    return harness


def closed_by_us(code: CloseCode) -> Callable[[], Harness]:
    def live() -> Harness:
        harness = connected()
        harness.connection.close(code)
        harness.look()
        harness.flush()
        harness.lose()
        return harness

    return live


def closed_by_us_without_an_answer() -> Harness:
    harness = connected()
    harness.connection.close(CloseCode.SERVICE_RESTART)
    harness.clock.advance(CLOSING_S)
    harness.lose()
    return harness


def silent() -> Harness:
    harness = connected()
    harness.clock.advance(100)
    harness.lose()
    return harness


def out_of_time() -> Harness:
    harness = connected(session(token_lasts_s=40))
    harness.live_on(50)
    harness.lose()
    return harness


def broke_the_rules(*frames: Frame) -> Callable[[], Harness]:
    def live() -> Harness:
        harness = connected()
        harness.send_frames(*frames)
        harness.lose()
        return harness

    return live


def gone_for_presence() -> Harness:
    harness = connected()
    harness.send(join("j"))
    harness.answer_room(SessionGone(replaced=True))
    harness.lose()
    return harness


def over_its_limit() -> Harness:
    harness = connected(session(rates=NO_LIMITS._replace(units=rate(1, 1))))
    harness.send(*(ping(f"p-{number}") for number in range(20)))
    harness.lose()
    harness.clock.settle()
    return harness


def too_slow() -> Harness:
    harness = connected()
    harness.socket.waiting_bytes = 1 << 30
    harness.connection.say(b"{}")
    harness.connection.pause_writing()
    harness.clock.advance(CLOSING_S)
    harness.lose()
    return harness


def given_up() -> Harness:
    harness = Harness(waiting=Waiting(20_000))
    harness.put(harness.request())
    harness.welcome()
    harness.send_frames(Frame(Opcode.TEXT, b"x" * 30_000, fin=False))
    harness.lose()
    return harness


WAYS = {
    "another page": refused(b"GET /else HTTP/1.1\r\nHost: a\r\n\r\n"),
    "no request": refused(b"\x16\x03\x01\x02\x00\r\n\r\n"),
    "a request that is too long": refused(b"GET /ws HTTP/1.1\r\nX: " + b"y" * 33_000),
    "no upgrade": refused(b"GET /ws HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a key that is none": refused(
        b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: %%%\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ),
    "nothing": refused(b""),
    "half a request": refused(b"GET /ws HTTP/1.1\r\n"),
    "denied": denied,
    "not asked in time": not_asked_in_time,
    "not let in in time": not_let_in_in_time,
    "let in only to be closed": let_in_only_to_be_closed,
    "closed by the client": closed_by_the_client,
    "closed with questions under way": closed_with_questions_under_way,
    "cut": cut,
    "cut within a message": cut_within_a_message,
    "replaced": closed_by_us(CloseCode.REPLACED),
    "drained": closed_by_us(CloseCode.SERVICE_RESTART),
    "closed without an answer": closed_by_us_without_an_answer,
    "silent": silent,
    "out of time": out_of_time,
    "a binary frame": broke_the_rules(Frame(Opcode.BINARY, b"x")),
    "no UTF-8": broke_the_rules(Frame(Opcode.TEXT, b"\xff")),
    "a frame of nothing": broke_the_rules(Frame(Opcode.CONT, b"x")),
    "too long": broke_the_rules(Frame(Opcode.TEXT, b"x" * 70_000)),
    "a close that is none": broke_the_rules(Frame(Opcode.CLOSE, b"\x03")),
    "gone for presence": gone_for_presence,
    "over its limit": over_its_limit,
    "too slow": too_slow,
    "given up": given_up,
}


@pytest.mark.parametrize("way", WAYS)
def test_of_a_connection_that_has_ended_nothing_is_left(way: str) -> None:
    with nothing_is_left():
        WAYS[way]().end()


@pytest.mark.parametrize("way", ["in its handshake", "asked", "closed by the client", "cut", "closed by us"])
def test_of_a_connection_behind_tls_nothing_is_left(way: str) -> None:
    context = a_context()

    with nothing_is_left():
        line = TlsLine(context)
        if way == "in its handshake":
            line.arrive(line.client.hello()[:100])
        elif way == "asked":
            line.shake_hands()
            line.say(b"GET /ws HTTP/1.1\r\nHost: a\r\n\r\n")
        else:
            line.open()
            line.send(ping("p"))
        if way == "closed by the client":
            line.arrive(line.client.goodbye())
        elif way == "closed by us":
            line.connection.close(CloseCode.SERVICE_RESTART)
        line.lose()
        assert line.clock.is_idle
        line.clock.forget()
        line.requests.clear()
        forget(line.websocket)
        del line.connection, line.tls, line


# The same on the loop, the sockets and the timers of a gateway.


def a_context() -> ssl.SSLContext:
    with tempfile.TemporaryDirectory() as folder:
        pair = self_signed(Path(folder))
        return load(Files(pair.certificate, pair.key)).context


REQUEST = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
SAID: Mapping[str, tuple[bytes, int | None]] = {
    "nothing": (b"", None),
    "half a request": (REQUEST[:30], None),
    "another page": (REQUEST.replace(b"/ws", b"/else"), None),
    "no request": (b"\xff\r\n\r\n", None),
    "messages, and cut": (REQUEST + b"", 0),
    "messages, and closed by the client": (REQUEST, 1000),
    "messages, and closed by the gateway": (REQUEST, 1012),
}


class Noticed(Connection):
    """A connection of which it is noticed that it is lost."""

    lost: asyncio.Event

    def connection_lost(self, exc: Exception | None) -> None:
        """See `Connection.connection_lost`."""
        super().connection_lost(exc)
        self.lost.set()


class Gateway:
    """Takes connections, welcomes those who ask for `/ws`, and answers nobody else."""

    def __init__(self, loop: asyncio.AbstractEventLoop, context: ssl.SSLContext | None) -> None:
        self._loop = loop
        self._context = context
        self._host = FakeHost()
        self._turns = Turns(loop, time.perf_counter)
        self._waiting = Waiting(1 << 30)
        self.lost = asyncio.Event()
        self.closes: Callable[[], None] | None = None

    def __call__(self) -> asyncio.BaseProtocol:
        connection = Noticed(
            self._loop, ANYBODY, self._host, self._ask, lambda _: None, self._turns, self._waiting
        )
        connection.lost = self.lost
        return (
            connection
            if self._context is None
            else Tls(connection, self._context, self._turns, Trickle(self._loop))
        )

    def _ask(self, connection: Connection, request: Request, response: Response) -> None:
        if request.path != "/ws":
            connection.deny(HandshakeError.NOT_FOUND)
            return
        connection.welcome(response, session(), WELCOME)
        self.closes = functools.partial(connection.close, CloseCode.SERVICE_RESTART)


async def come_and_go(gateway: Gateway, port: int, said: bytes, code: int | None, *, tls: bool) -> None:
    """Let a client come, say this, and go in this way."""
    context = trusting_anybody() if tls else None
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    writer.write(said)
    if code is not None:
        await reader.readuntil(WELCOME)
        writer.write(Frame(Opcode.TEXT, ping("p")).serialize(mask=True))
        await reader.readuntil(b'"p"')
    if code == 1000:
        writer.write(Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True))
        await reader.read()
    elif code == 1012:
        assert gateway.closes is not None
        gateway.closes()
        await reader.readuntil(b"restarting")
    elif said and b"/else" in said:
        await reader.read()
    writer.transport.abort()
    gateway.closes = None


@pytest.mark.parametrize("tls", [False, True], ids=["in the clear", "behind TLS"])
@pytest.mark.parametrize("way", SAID)
def test_on_a_real_loop_nothing_is_left_either(way: str, tls: bool) -> None:
    context = a_context() if tls else None

    async def live() -> None:
        loop = asyncio.get_running_loop()
        gateway = Gateway(loop, context)
        server = await loop.create_server(gateway, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        await come_and_go(gateway, port, *SAID[way], tls=tls)
        await gateway.lost.wait()
        server.close()
        await server.wait_closed()

    uvloop.run(live())  # what is made once is made
    with nothing_is_left():
        uvloop.run(live())
