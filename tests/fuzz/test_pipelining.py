"""Requests to the API that come in one go, cut anywhere, are answered as they are when each comes alone."""

import asyncio
import itertools
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import pytest
from litestar import get, post

from api.app import make_app
from api.authority import Authority, demands
from api.requests import Ask
from api.server import serving
from api.signed_tokens import SignedTokens
from tests.support.examples import scaled
from tests.support.seed import SEED
from tests.support.waiting import PATIENCE_S

ROUNDS: Final = 60
"""In a whole run: a few seconds."""

Answer = tuple[bytes, bytes]
"""The status line, and the body."""


@get("/hello", sync_to_thread=False)
def hello() -> str:
    return "hello"


@post("/taken")
async def taken(request: Ask) -> str:
    return f"{len(await request.body())} bytes"


@post("/kept", opt=demands("messages:write"))
async def kept(request: Ask) -> None:
    await request.json()


def request(chance: random.Random) -> bytes:
    """Write a request, with a body or without."""
    path = chance.choice(
        ("/v1/hello", "/v1/taken", "/v1/taken", "/v1/kept", "/v1/nothing", "/v1/hello?x=%zz")
    )
    is_post = path in ("/v1/taken", "/v1/kept")
    head = f"{'POST' if is_post else 'GET'} {path} HTTP/1.1\r\nHost: a\r\n".encode()
    if not is_post and chance.randrange(4):
        return head + b"\r\n"
    body = chance.randbytes(chance.choice((0, 1, 10, 5_000, 100_000)))
    if chance.randrange(2):
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    chunks = b""
    while body:
        size = chance.choice((1_000, 30_000, 200_000))
        some, body = body[:size], body[size:]
        chunks += b"%x\r\n" % len(some) + some + b"\r\n"
    trailer = chance.choice((b"", b"X: y\r\n"))
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n" + trailer + b"\r\n"


async def _send(writer: asyncio.StreamWriter, pieces: Sequence[bytes], chance: random.Random) -> None:
    with suppress(ConnectionError):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            if chance.randrange(2):
                await asyncio.sleep(chance.random() / 200)


async def answered(port: int, pieces: Sequence[bytes], count: int, chance: random.Random) -> list[Answer]:
    """Send pieces on a connection, and read so many answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sending = asyncio.create_task(_send(writer, pieces, chance))
    found: list[Answer] = []
    try:
        async with asyncio.timeout(PATIENCE_S):
            for _ in range(count):
                head = await reader.readuntil(b"\r\n\r\n")
                status, *lines = head.lower().split(b"\r\n")
                sizes = [int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length")]
                found.append((status, await reader.readexactly(sizes[0])))
            await sending
    finally:
        sending.cancel()
        writer.close()
    return found


@pytest.mark.timeout(1_800)
async def test_what_comes_in_one_go_is_answered_as_it_is_alone() -> None:
    app = make_app(Authority([], SignedTokens([])), [hello, taken, kept])
    async with serving(app, "127.0.0.1", 0) as port:
        for number in range(scaled(ROUNDS)):
            chance = random.Random(f"{SEED}-{number}")
            asked = [request(chance) for _ in range(chance.randrange(1, 7))]
            alone = [(await answered(port, [each], 1, chance))[0] for each in asked]
            stream = b"".join(asked)
            places = sorted(chance.randrange(len(stream)) for _ in range(chance.randrange(6)))
            ends = [0, *places, len(stream)]
            pieces = [stream[start:end] for start, end in itertools.pairwise(ends)]
            assert await answered(port, pieces, len(asked), chance) == alone, f"round {number}"
