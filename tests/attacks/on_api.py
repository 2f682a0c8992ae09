"""Attacks on the backend's API by whoever reaches its port, and has no key."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from tests.attacks.line import Line
from tests.attacks.scene import Attack, OfAttack, Scene
from tests.support.http_get import http_get

API: Final = (
    "A request to the API, and the reading of its answer, have their time; there are so many connections,"
    " and the silent give way."
)

DOCUMENT: Final = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
ROOMS: Final = b"GET /v1/rooms HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer none\r\n\r\n"
_POST: Final = b"POST /v1/rooms/r/messages HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
CHUNKS: Final = _POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\n[\r\n" * 40_000

LEAST_S: Final = 3.0
"""An attack begins with connections, and the attackers are nice to all others."""

READ_S: Final = 10.0
"""For one who behaves to be answered meanwhile."""


def _dial(scene: Scene) -> Awaitable[Line]:
    return Line.dial(scene.document["api"], scene.address(), is_deaf=True)


async def _is_served(scene: Scene) -> None:
    """Ask for the document as somebody who behaves, over and over."""
    port = urlsplit(scene.document["api"]).port or 0
    while True:
        try:
            async with asyncio.timeout(READ_S):
                status, _ = await asyncio.to_thread(http_get, port, "/openapi.json")
        except TimeoutError:
            status = 0
        scene.expect(status == 200, f"the API answers {status}")
        scene.counts["served"] += 1
        await asyncio.sleep(0.5)


def _beside(do: Callable[[Scene], Awaitable[None]], count: int) -> OfAttack:
    """Make the attack of so many who do it over and over, while somebody wants to be served."""

    async def run(scene: Scene) -> AsyncIterator[None]:
        yield
        attacking = scene.again_and_again(partial(do, scene), scene.some(count))
        await scene.all((attacking, _is_served(scene)))

    return run


async def _unread(scene: Scene) -> None:
    line = await _dial(scene)
    scene.lines.append(line)
    line.stop_reading()
    line.write(DOCUMENT * 400)
    scene.counts["asked"] += 400
    await asyncio.wait([line.closed])


async def _sends(chunk: bytes, scene: Scene) -> None:
    line = await _dial(scene)
    scene.lines.append(line)
    while line.is_open:
        line.write(chunk)
        scene.counts["chunks"] += 1
        await line.writable()


async def _keeps(scene: Scene) -> None:
    line = await _dial(scene)
    scene.lines.append(line)
    line.write(ROOMS)
    scene.counts["kept"] += 1
    await asyncio.wait([line.closed])


ROWS: Final = (
    Attack(
        "api-kept",
        "Fifteen hundred ask the API once, and keep their connections.",
        API,
        _beside(_keeps, 1_500),
        least_s=LEAST_S,
    ),
    Attack(
        "api-unread",
        "Two hundred ask the API for its document over and over, and read nothing.",
        API,
        _beside(_unread, 200),
        least_s=LEAST_S,
    ),
    Attack(
        "api-without-key",
        "Twenty ask the API without a key, as fast as it takes it.",
        API,
        _beside(partial(_sends, ROOMS * 200), 20),
        least_s=LEAST_S,
    ),
    Attack(
        "api-chunks",
        "Five send the API bodies in chunks of a byte.",
        API,
        _beside(partial(_sends, CHUNKS), 5),
        least_s=LEAST_S,
    ),
)
