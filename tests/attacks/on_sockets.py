"""Attacks before the upgrade: sockets, heads of requests, what is no request, other pages."""

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from tests.attacks.line import request_of
from tests.attacks.scene import HOME, Attack, OfAttack, Scene
from tests.support.http_get import http_get

DOOR: Final = "Connections before the upgrade: an address, and the whole gateway."
CONNECTS: Final = "Connects and resumes a minute: a user, and an address."
FEW_FILES: Final = 1_024
"""What a process may open where nobody has raised the limit."""

SLOW_HEADER: Final = b"GET /ws HTTP/1.1\r\nHost: x\r\nX-Slow: "
SLOW_BODY: Final = b"POST /ws HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"

KNOCKS_AT_ONCE: Final = 50
"""Lines that are begun and ended, before the attacker looks at anything else."""


async def endless_headers(scene: Scene) -> AsyncIterator[None]:
    yield

    async def one(source: str) -> None:
        line = await scene.dial(source, is_deaf=True)
        line.write(b"GET /ws HTTP/1.1\r\nHost: x\r\n")
        for number in range(126):
            line.write(f"X-{number:05}: {'y' * 8_170}\r\n".encode())
            await line.writable()
            if not line.is_open:
                break
        scene.counts["sent"] += 1
        await asyncio.wait([line.closed], timeout=6)

    await scene.all(scene.again_and_again(partial(one, scene.address())) for _ in range(scene.some(300)))


async def descriptors(scene: Scene) -> AsyncIterator[None]:
    source = scene.address()
    yield

    async def one() -> None:
        line = await scene.dial(source, is_deaf=True)
        scene.counts["dialled"] += 1
        await asyncio.wait([line.closed], timeout=6)

    try:
        await scene.again_and_again(one, FEW_FILES + 300)
    finally:
        port = urlsplit(scene.document["ops"]["gateway"][0]).port or 0
        status, _ = await asyncio.to_thread(http_get, port, "/healthz")
        scene.expect(status == 200, f"the ops port answers {status}")


async def half_open(scene: Scene) -> AsyncIterator[None]:
    half = b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
    yield

    async def one() -> None:
        line = await scene.dial(is_deaf=True)
        line.write(half)
        scene.counts["begun"] += 1
        await asyncio.wait([line.closed], timeout=6)
        line.cut()

    await scene.again_and_again(one, scene.some(1_000))


def dripping(head: bytes) -> OfAttack:
    """Make the attack of three hundred who send the rest of a request byte by byte."""

    async def run(scene: Scene) -> AsyncIterator[None]:
        yield

        async def one() -> None:
            line = await scene.dial(is_deaf=True)
            line.write(head)
            while line.is_open:
                line.write(b"y")
                scene.counts["bytes"] += 1
                await asyncio.sleep(0.1)

        await scene.again_and_again(one, scene.some(300))

    return run


def junk() -> list[bytes]:
    """List what is no request, or a request of another kind."""
    end = b"\r\n\r\n"
    good = request_of("ws://x/ws?token=x")
    return [
        b"",
        b"\r\n" * 500,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.0" + end,
        b"GET /ws HTTP/9.9" + end,
        b"POST /ws HTTP/1.1\r\nContent-Length: 5" + end + b"hello",
        b"CONNECT a:1 HTTP/1.1" + end,
        b"GET  /ws HTTP/1.1" + end,
        b"GET http://[::1/ws HTTP/1.1\r\nHost: x" + end,
        b"GET /ws?token=" + b"%FF" * 2_000 + b" HTTP/1.1\r\nHost: x" + end,
        b"GET /ws HTTP/1.1\r\nHost: x\r\nHost: y" + end,
        b"GET /ws HTTP/1.1\r\n: x" + end,
        b"GET /ws HTTP/1.1\r\nA\x00B: x" + end,
        b"GET /ws HTTP/1.1\r\n A: folded" + end,
        b"GET /ws HTTP/1.1\r\nA: \xff\xfe" + end,
        b"GET /ws HTTP/1.1\r\n" + b"A: b\r\n" * 127 + b"\r\n",
        b"GET /" + b"x" * 8_100 + b" HTTP/1.1" + end,
        b"GET /../../etc/passwd HTTP/1.1\r\nHost: x" + end,
        b"\x00" * 1_000 + end,
        good.replace(b"13", b"8"),
        good.replace(b"websocket", b"websockets"),
        good.replace(b"Sec-WebSocket-Key: ", b"Sec-WebSocket-Key: x"),
        good + b"\x89\x80\x00\x00\x00\x00",
        good * 3,
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + good,
        b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes(12) + good,
    ]


async def http_junk(scene: Scene) -> AsyncIterator[None]:
    kinds = itertools.cycle(junk())
    yield

    async def one(source: str) -> None:
        line = await scene.dial(source, is_deaf=True)
        line.write(next(kinds))
        await asyncio.wait([line.closed, line.answered], timeout=0.3, return_when=asyncio.FIRST_COMPLETED)
        line.cut()

    await scene.all(scene.again_and_again(partial(one, scene.address())) for _ in range(20))


async def pages_and_tokens(scene: Scene) -> AsyncIterator[None]:
    yield

    async def one(source: str) -> None:
        line = await scene.dial(source, is_deaf=True)
        line.write(b"GET /token?user=u&room=r HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.wait([line.closed, line.answered], timeout=1, return_when=asyncio.FIRST_COMPLETED)
        line.cut()

    await scene.all(scene.again_and_again(partial(one, scene.address())) for _ in range(20))


async def knocks(scene: Scene) -> AsyncIterator[None]:
    parts = urlsplit(scene.urls[0])
    sources = itertools.cycle([scene.address() for _ in range(50)])
    yield
    while True:
        for _ in range(KNOCKS_AT_ONCE):
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
                sock.setblocking(False)
                sock.bind((next(sources), 0))
                sock.connect_ex((parts.hostname or "", parts.port or 0))
            scene.counts["knocks"] += 1
        await asyncio.sleep(0)


async def scrapes(scene: Scene) -> AsyncIterator[None]:
    port = urlsplit(scene.document["ops"]["gateway"][0]).port
    yield

    async def one() -> None:
        reader, writer = await asyncio.open_connection(HOME, port, family=socket.AF_INET)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        async with asyncio.timeout(5):  # no `wait_for`, which may lose the cancellation that ends this
            await reader.read()
        writer.close()

    await scene.again_and_again(one, 4)


ROWS: Final = (
    Attack(
        "endless-headers",
        "Three hundred strangers send a megabyte of headers each.",
        "Bytes of a request's head; connections before the upgrade.",
        endless_headers,
    ),
    Attack(
        "descriptors",
        "A stranger opens 1,324 connections to a gateway of 1,024 files, and says nothing.",
        DOOR,
        descriptors,
        files=FEW_FILES,
    ),
    Attack("half-open", "A thousand strangers begin a request and do not end it.", DOOR, half_open),
    Attack("slow-headers", "Three hundred send a header byte by byte.", DOOR, dripping(SLOW_HEADER)),
    Attack("slow-body", "Three hundred send a body byte by byte.", DOOR, dripping(SLOW_BODY)),
    Attack("http-junk", "Twenty send what is no request of a WebSocket client.", CONNECTS, http_junk),
    Attack("pages-and-tokens", "Twenty ask for tokens of the demo.", CONNECTS, pages_and_tokens),
    Attack("knocks", "One opens lines and cuts them, as fast as it can, and says nothing.", DOOR, knocks),
    Attack(
        "scrapes", "Somebody reads `/metrics` as fast as it comes.", "The text is kept for a second.", scrapes
    ),
)
