"""Attacks by WebSocket frames: what a gateway takes apart before it knows a message."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Final

from tests.attacks.line import Line, frame, text
from tests.attacks.scene import Attack, Scene, flooding
from tests.support.frames import command

PING: Final = 9
PONG: Final = 10
TEXT: Final = 1
CONTINUATION: Final = 0
CLOSE: Final = 8

HALF_CLOSED: Final = 40
CUT_S: Final = 5.0
"""In which a line is cut whose client says nothing more: the server gives it three."""

READING: Final = "A connection's turn of reading ends after so many frames, bytes and so much time."


async def pings_unread(scene: Scene) -> AsyncIterator[None]:
    lines = await scene.deaf_crowd(20)
    yield
    for line in lines:
        line.stop_reading()
    await scene.flood_all(lines, frame(PING) * 10_000)


def fragments() -> bytes:
    """Write a message in fragments of no byte and of one."""
    empty = frame(TEXT, b"", is_last=False) + frame(CONTINUATION, b"", is_last=False) * 50
    tiny = b"".join(frame(CONTINUATION, bytes([byte]), is_last=False) for byte in b'{"a":1') * 5
    return empty + tiny + frame(CONTINUATION, b"}")


async def byte_by_byte(scene: Scene) -> AsyncIterator[None]:
    lines = await scene.deaf_crowd(scene.some(500))
    message = text(command("PING", {}, "slow"))
    for line in lines:
        line.send_byte_by_byte()
    yield
    for byte in itertools.cycle(message):
        for line in lines:
            line.write(bytes([byte]))
        scene.counts["bytes of each"] += 1
        await asyncio.sleep(0.002)


def broken() -> list[bytes]:
    """List frames that break RFC 6455, or what docs/protocol.md says of frames."""
    whole = text(command("PING", {}, "p"))
    return [
        bytes([0xF1, 0x80]) + bytes(4),  # reserved bits
        bytes([0x83, 0x80]) + bytes(4),  # opcode 3
        bytes([0x8B, 0x80]) + bytes(4),  # opcode 11
        bytes([0x81, 0x02]) + b"{}",  # not masked
        bytes([0x09, 0x80]) + bytes(4),  # a ping in parts
        frame(PING, b"x" * 126),  # a ping too long
        frame(CONTINUATION, b"x"),  # nothing to continue
        frame(TEXT, b"{", is_last=False) + whole,  # a message within a message
        frame(2, b"binary"),
        text(b"\xff\xfe"),
        text(b"\xed\xa0\x80"),
        frame(CLOSE, b"\x03"),
        frame(CLOSE, (999).to_bytes(2, "big")),
        frame(CLOSE, (1000).to_bytes(2, "big") + b"\xff"),
        bytes([0x81, 0xFF]) + (1 << 63).to_bytes(8, "big") + bytes(4),
        bytes([0x81, 0xFF]) + (65_537).to_bytes(8, "big") + bytes(4) + b"x" * 65_537,
        bytes([0x81, 0xFE]) + (5).to_bytes(2, "big") + bytes(4) + b"short",  # a length in too many bytes
    ]


async def broken_frames(scene: Scene) -> AsyncIterator[None]:
    kinds = itertools.cycle(broken())
    sources = itertools.cycle([scene.address() for _ in range(20)])
    yield

    async def one() -> None:
        line = await scene.deaf(source=next(sources))
        line.write(next(kinds))
        await asyncio.wait([line.closed], timeout=0.5)
        line.cut()

    await scene.again_and_again(one, 20)


async def after_close(scene: Scene) -> AsyncIterator[None]:
    yield

    async def one() -> None:
        line = await scene.deaf()
        line.close()
        while line.is_open:
            line.write(text(b"{}") * 4_000 + frame(PING) * 4_000)
            await line.writable()

    await scene.again_and_again(one, 20)


async def half_closed(scene: Scene) -> AsyncIterator[None]:
    ping = text(command("PING", "x" * 30_000, "p"))
    lines = await scene.crowd([lambda: scene.deaf(receive_buffer=4096)] * HALF_CLOSED)
    before = await scene.metric("gateway", "tieline_connections")
    yield
    for line in lines:
        line.stop_reading()
    await scene.all(_fill(line, ping) for line in lines)
    for line in lines:
        line.end_writing()
    scene.counts["half-closed"] += len(lines)
    await asyncio.sleep(CUT_S)
    left = HALF_CLOSED + await scene.metric("gateway", "tieline_connections") - before
    scene.expect(left <= HALF_CLOSED / 2, f"{left:.0f} of {HALF_CLOSED} half-closed lines were not cut")


async def _fill(line: Line, message: bytes) -> None:
    for _ in range(80):
        line.write(message)
    await asyncio.sleep(1)


async def unread_replies(scene: Scene) -> AsyncIterator[None]:
    ping = text(command("PING", "x" * 30_000, "p"))
    lines = await scene.crowd([lambda: scene.deaf(receive_buffer=4096)] * scene.some(300))
    yield
    for line in lines:
        line.stop_reading()
    await scene.flood_all(lines, ping)


async def unfinished_messages(scene: Scene) -> AsyncIterator[None]:
    lines = await scene.deaf_crowd(scene.some(500))
    yield
    half = frame(TEXT, b'"' + b"x" * 32_000, is_last=False) + frame(
        CONTINUATION, b"x" * 32_000, is_last=False
    )
    for line in lines:
        line.write(half)
        scene.counts["half-sent"] += 1
        await line.writable()
    await asyncio.sleep(60)


ROWS: Final = (
    Attack(
        "pings-from-one",
        "One connection sends empty WebSocket pings at full speed.",
        READING,
        flooding(1, frame(PING) * 10_000),
    ),
    Attack(
        "pings-from-20",
        "Twenty send empty WebSocket pings at full speed.",
        READING,
        flooding(20, frame(PING) * 10_000),
    ),
    Attack("pings-unread", "Twenty send pings and read none of the pongs.", READING, pings_unread),
    Attack(
        "pongs", "Twenty send pongs that nobody has asked for.", READING, flooding(20, frame(PONG) * 10_000)
    ),
    Attack(
        "full-pings",
        "Twenty send pings of 125 bytes.",
        READING,
        flooding(20, frame(PING, b"x" * 125) * 1_000),
    ),
    Attack("bad-messages", "Twenty send `{}`, which is refused.", READING, flooding(20, text(b"{}") * 8_000)),
    Attack(
        "fragments",
        "Twenty send messages in fragments of no byte and of one.",
        READING,
        flooding(20, fragments() * 100),
    ),
    Attack("byte-by-byte", "Five hundred send a message a byte at a time.", READING, byte_by_byte),
    Attack(
        "broken-frames",
        "Twenty send frames that break RFC 6455 in 17 ways, and come again.",
        "Connects a user and an address.",
        broken_frames,
    ),
    Attack(
        "after-close",
        "Twenty close, and go on sending.",
        "After a close nothing is parsed, and the socket is cut after 3 s.",
        after_close,
    ),
    Attack(
        "half-closed",
        "Forty read nothing, and close their half of the line.",
        "A line whose other half is closed is cut.",
        half_closed,
        least_s=CUT_S + 5,
    ),
    Attack(
        "unread-replies",
        "Three hundred ask for long replies and read none.",
        "Bytes that wait to be read: a connection, and the whole gateway.",
        unread_replies,
    ),
    Attack(
        "unfinished-messages",
        "Five hundred send 64 KB of a message each, and not its end.",
        "Bytes of messages that wait: a connection, and the whole gateway.",
        unfinished_messages,
    ),
)
