"""Attacks on routers and presence: by a neighbour on the broker, and while the broker is away."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

from tests.attacks.on_calls import _deaf_pairs, signal
from tests.attacks.scene import Attack, Scene
from tests.support.frames import OFFER

AWAY_S: Final = 4.0
GUARD: Final = "What cannot be read is counted, and logged once every few seconds."


def garbage() -> list[bytes]:
    """List what no process of this system sends."""
    return [
        b"",
        b"\x00",
        b"\xff" * 100,
        b"\xc1",
        b"[]",
        b"\x90",
        b"\x92\xa9KeepLease\xa1\xff",
        b"\x91\xa6Signal",
        b"\xdd\xff\xff\xff\xff",
        b"\x91" * 5_000,
        b"\x97\xa6Signal\xa1a\xa1b\xa1c\xc4\x02{}\xc3\xc0",
        "好".encode() * 1_000,
    ]


@asynccontextmanager
async def _neighbour(scene: Scene) -> AsyncIterator[asyncio.StreamWriter]:
    """Connect to the broker, in its own words: nats-py would not let itself be cancelled."""
    parts = urlsplit(scene.document["nats"])
    _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(b'CONNECT {"verbose":false}\r\n')
        yield writer
    finally:
        writer.transport.abort()


async def garbage_to_routers(scene: Scene) -> AsyncIterator[None]:
    subjects = ["tieline.signal.WEBRTC_OFFER", "tieline.signal.X", "tieline.changed.x"]
    async with _neighbour(scene) as neighbour:
        yield
        await _throw(scene, neighbour, subjects)


async def garbage_to_presence(scene: Scene) -> AsyncIterator[None]:
    words = ("open", "end", "join", "leave", "members", "check", "lease", "register", "x")
    async with _neighbour(scene) as neighbour:
        yield
        await _throw(scene, neighbour, [f"tieline.presence.{word}" for word in words])


async def garbage_to_gateways(scene: Scene) -> AsyncIterator[None]:
    async with _neighbour(scene) as neighbour:
        yield
        subjects = ["tieline.live.user.x.y", "tieline.live.mark.x", "tieline.events.x"]
        await _throw(scene, neighbour, subjects)


async def _throw(scene: Scene, neighbour: asyncio.StreamWriter, subjects: list[str]) -> None:
    thrown = itertools.cycle(itertools.product(subjects, garbage()))
    for nth, (subject, payload) in enumerate(thrown):
        reply = "tieline.gateway.none.reply.1 " if nth % 2 else ""
        neighbour.write(f"PUB {subject} {reply}{len(payload)}\r\n".encode() + payload + b"\r\n")
        scene.counts["thrown"] += 1
        if nth % 50 == 0:
            await neighbour.drain()
            await asyncio.sleep(0.01)


async def offers_expire_while_broker_away(scene: Scene) -> AsyncIterator[None]:
    pairs = await _deaf_pairs(scene, 60)
    yield

    async def offer() -> None:
        for number in itertools.count():
            for one, line, other, _ in pairs:
                line.write(signal(OFFER, one, other, number, f"{number}"))
            scene.counts["rounds of offers"] += 1
            await asyncio.sleep(0.5)

    offering = asyncio.ensure_future(offer())
    try:
        await asyncio.sleep(2)
        until = asyncio.get_running_loop().time() + AWAY_S
        while asyncio.get_running_loop().time() < until:
            scene.counts["ended"] += scene.end_broker()
            await asyncio.sleep(0.02)
        await asyncio.sleep(6)
    finally:
        offering.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await offering


ROWS: Final = (
    Attack("garbage-to-routers", "A neighbour sends routers what is no signal.", GUARD, garbage_to_routers),
    Attack(
        "garbage-to-presence", "A neighbour sends presence what is no request.", GUARD, garbage_to_presence
    ),
    Attack("garbage-to-gateways", "A neighbour sends gateways what is no frame.", GUARD, garbage_to_gateways),
    Attack(
        "offers-expire-while-broker-away",
        "Sixty offers expire over and over, and the broker ends, again and again for 4 s.",
        "No exception of a broker or of one timer ends a process.",
        offers_expire_while_broker_away,
        least_s=14,
        settings=(("TIELINE_OFFER_TIMEOUT", "2"),),
        kills_broker=True,
    ),
)
