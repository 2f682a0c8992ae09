"""Attacks by messages that a gateway answers itself, or that cost it much to read."""

import itertools
import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Final

from tests.attacks.line import Line, text
from tests.attacks.on_frames import READING
from tests.attacks.scene import Attack, Scene, flooding
from tests.support.frames import CANDIDATE, OFFER, command, token

LONGEST: Final = 65_536
PRICE: Final = (
    "Each message costs its user what it costs the processes; over the limit the socket is not read."
)
READ_FIRST: Final = (
    "No message costs the loop more than a millisecond: what is long is bounded before it is read."
)

ICE_SERVERS: Final = text(b'{"requestId":"1","module":"ROOM","cmd":"ICE_SERVERS"}')


def _envelope(data: str, cmd: str = "PING") -> bytes:
    """Write a message with `data` as it is, valid JSON or not."""
    return text(f'{{"requestId":"1","module":"ROOM","cmd":"{cmd}","data":{data}}}'.encode())


def _filled(begin: str, again: str, end: str, size: int = 65_000) -> str:
    return begin + again * ((size - len(begin) - len(end)) // len(again)) + end


def bombs() -> list[bytes]:
    """List messages that are short of the limit and dear to read."""
    return [
        _envelope(_filled("[", "[],", "[]]")),
        _envelope("[" * 500 + "]" * 500),
        _envelope("[" * 32_000 + "]" * 32_000),
        _envelope(_filled('"', "\\ud800", '"')),
        _envelope(_filled('"', "\\u0041", '"')),
        _envelope(_filled('"', "\\n", '"')),
        _envelope(_filled("[", "1e-300,", "1]")),
        _envelope("9" * 65_000),
        _envelope(_filled("{", '"a":1,', '"a":1}')),
        _envelope("{" + ",".join(f'"k{number}":{{}}' for number in range(4_500)) + "}"),
        _envelope(_filled('"', "好", '"', 21_000)),
        _envelope(_filled('"', "\\ud83d\\ude00", '"')),
        _envelope(" " * 65_000 + "1"),
        text(_filled("{", '"cmd":"PING",', '"cmd":"JOIN"}').encode()),
        text(_filled('{"requestId":"', "\\ud800", '"}').encode()),
    ]


def brackets() -> bytes:
    """Write a candidate of nothing else."""
    data = _filled('{"from":"u","to":"nobody","data":[', "[],", "[]]}", 65_300)
    return _envelope(data, CANDIDATE)


def lone_surrogates() -> bytes:
    """Write a candidate of nothing else."""
    return _envelope(_filled('{"from":"u","to":"nobody","data":"', "\\ud800", '"}', 65_300), CANDIDATE)


async def refreshes(scene: Scene) -> AsyncIterator[None]:
    users = [scene.name() for _ in range(20)]
    rooms = [f"room-{number:06}" for number in range(3_000)]

    def refresh(user: str) -> bytes:
        return text(command("REFRESH_TOKEN", {"token": token(user, {"rooms": rooms})}, "r"))

    yield

    async def one(user: str) -> None:
        source = scene.address()
        await scene.flood(lambda: scene.deaf(user, source=source), refresh(user))

    await scene.all(one(user) for user in users)


async def small_refreshes(scene: Scene) -> AsyncIterator[None]:
    claims = {"join": [scene.name("room") for _ in range(5)]}
    users = [scene.name() for _ in range(20)]
    yield

    async def one(user: str) -> None:
        source = scene.address()
        tokens = [token(user, {**claims, "voice": nth % 2 == 0}) for nth in range(2)]
        frames = b"".join(text(command("REFRESH_TOKEN", {"token": each}, "r")) for each in tokens)
        await scene.flood(lambda: scene.deaf(user, claims, source=source), frames * 10)

    await scene.all(one(user) for user in users)


async def to_everybody(scene: Scene) -> AsyncIterator[None]:
    users = [scene.name() for _ in range(20)]
    yield

    async def one(user: str) -> None:
        line = await scene.deaf(user)
        for number in itertools.count():
            body = {"from": user, "to": f"{user}-{number:0>90}", "data": number}
            line.write(text(command((OFFER, CANDIDATE)[number % 2], body, f"{number}")))
            scene.counts["targets"] += 1
            await line.writable()

    await scene.all(scene.again_and_again(partial(one, user)) for user in users)


async def bytes_that_wait(scene: Scene) -> AsyncIterator[None]:
    lines = await scene.deaf_crowd(scene.some(150))
    yield
    await scene.flood_all(lines, _to_nobody("u", 65_300))


def _to_nobody(sender: str, size: int) -> bytes:
    return text(command(CANDIDATE, {"from": sender, "to": "nobody", "data": "x" * (size - 120)}, "c"))


async def to_nobody_from_one(scene: Scene) -> AsyncIterator[None]:
    yield
    await _to_nobody_by(scene, 1)


async def to_nobody_from_20(scene: Scene) -> AsyncIterator[None]:
    yield
    await _to_nobody_by(scene, 20)


async def _to_nobody_by(scene: Scene, count: int) -> None:
    async def one() -> None:
        user, source = scene.name(), scene.address()
        await scene.flood(lambda: scene.deaf(user, source=source), _to_nobody(user, 330) * 50)

    await scene.all(one() for _ in range(count))


IDS: Final = (
    "*",
    ">",
    "a.b",
    "a\r\nb",
    "$JS.API.>",
    "=2A",
    "\0",
    "x" * 129,
    "",
    "\ud800",
    "\u202ea",
    "好" * 43,
)
"""What stands for something in NATS, or is no id."""


def spoofed() -> bytes:
    """Write messages of each kind that names somebody or some room, with each of `IDS`."""
    frames = [
        json.dumps({"requestId": "1", "module": "ROOM", "cmd": cmd, "data": data}).encode()
        for name in IDS
        for cmd, data in (
            (OFFER, {"from": name, "to": "bob", "data": 1}),
            (CANDIDATE, {"from": "somebody", "to": name, "data": 1}),
            ("JOIN", {"room": name}),
            ("MEMBERS", {"room": name}),
            (name, {}),
        )
    ]
    return b"".join(text(each) for each in frames)


async def wakes_at_once(scene: Scene) -> AsyncIterator[None]:
    lines: list[Line] = await scene.deaf_crowd(scene.some(2_000))
    yield
    message = text(command("PING", "x" * 1_000, "wake")) * 5
    while True:
        for line in lines:
            line.write(message)
        scene.counts["waves"] += 1
        for line in lines:
            await line.writable()


ROWS: Final = (
    Attack(
        "long-pings",
        "Twenty send PING messages of 64 KiB.",
        PRICE,
        flooding(20, text(command("PING", "x" * 65_400, "p"))),
    ),
    Attack(
        "brackets-from-20",
        "Twenty send candidates with 21,700 brackets.",
        READ_FIRST,
        flooding(20, brackets()),
    ),
    Attack(
        "brackets-from-one", "One sends candidates with 21,700 brackets.", READ_FIRST, flooding(1, brackets())
    ),
    Attack(
        "json-bombs",
        "Twenty send JSON of 15 kinds that is dear to read.",
        READ_FIRST,
        flooding(20, b"".join(bombs())),
    ),
    Attack(
        "lone-surrogates",
        "Twenty send 64 KiB of escaped lone surrogates.",
        READ_FIRST,
        flooding(20, lone_surrogates()),
    ),
    Attack(
        "refreshes",
        "Twenty refresh with tokens of 45 KB, each of which grants 3,000 rooms.",
        "The length of a token, its rooms, and refreshes a user.",
        refreshes,
    ),
    Attack(
        "small-refreshes",
        "Twenty refresh with good tokens that grant now more, now less.",
        "Refreshes a user.",
        small_refreshes,
    ),
    Attack("to-everybody", "Twenty signal to users whose names nobody has, each once.", PRICE, to_everybody),
    Attack("ice-servers", "One asks for ICE servers at full speed.", PRICE, flooding(1, ICE_SERVERS * 4_000)),
    Attack(
        "bytes-that-wait",
        "A hundred and fifty send 64 KiB without waiting for an answer.",
        "Bytes that wait: a connection, and the whole gateway.",
        bytes_that_wait,
    ),
    Attack(
        "to-nobody-from-one", "One sends candidates to a user who is not there.", PRICE, to_nobody_from_one
    ),
    Attack(
        "to-nobody-from-20", "Twenty send candidates to a user who is not there.", PRICE, to_nobody_from_20
    ),
    Attack(
        "spoofed",
        "Twenty name others as the sender, and ids that mean something in NATS.",
        PRICE,
        flooding(20, spoofed() * 5),
    ),
    Attack(
        "unknown-commands",
        "Twenty send commands that there are not.",
        PRICE,
        flooding(20, text(command("WEBRTC_DANCE", {}, "d")) * 1_000),
    ),
    Attack("wakes-at-once", "Two thousand who were idle all send at one moment.", READING, wakes_at_once),
)
