"""`python -m tests.attacks --floods`: how long others wait while one client sends 4 MB at once.

The rows of `make attack` flood as well, with default limits, and are judged. This measures how reading is
shared out: without limits too, so that all that was sent is taken up and answered. The flooder is a thread
that writes and reads as fast as it can, and looks at nothing.
"""

import asyncio
import contextlib
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import uvloop

from tests.attacks.line import Line, frame, request_of, text
from tests.attacks.on_frames import PING, PONG
from tests.attacks.on_messages import ICE_SERVERS, brackets
from tests.attacks.player import Player
from tests.support.frames import command, new_id, token
from tests.support.running_dev import READY, RunningDev
from tests.support.system import SECRET

MEGABYTES: Final = 4_000_000
HONEST: Final = 5
EVERY_S: Final = 0.025
"""Between two PINGs of each of those: together one every 5 ms, and each of them within its limit."""

QUIET_S: Final = 3.0
MOST_S: Final = 120.0
"""For a flood to be answered: far more than the slowest takes."""

KINDS: Final[Mapping[str, bytes]] = {
    "`{}`": text(b"{}"),
    "empty pings": frame(PING),
    "empty pongs": frame(PONG),
    "PING messages": text(command("PING", {}, "p")),
    "ICE_SERVERS": ICE_SERVERS,
    "candidates of 43,000 brackets": brackets(),
}
LIMITS: Final = ("off", "on")
LAST: Final = b"the last of all"
HEAD_ENDS: Final = b"\r\n\r\n"
CLOSED: Final = " (closed)"
"""Behind the figure of a flood that was not answered to its end."""


class Waits:
    """Some who send PING, over and over; the longest of them counts that had to wait for the answer."""

    def __init__(self) -> None:
        self.longest_s = 0.0

    async def ask(self, player: Player, after_s: float) -> None:
        """Send PINGs until cancelled."""
        await asyncio.sleep(after_s)
        while True:
            began = time.perf_counter()
            await player.ask("PING", None)
            took = time.perf_counter() - began
            self.longest_s = max(self.longest_s, took)
            player.heard.clear()
            await asyncio.sleep(EVERY_S - took)


def url_for(url: str, user: str) -> str:
    """Write the URL with which a user connects."""
    return f"{url}?token={token(user)}"


async def honest(url: str) -> Player:
    """Connect somebody who behaves."""
    player = Player(new_id("honest"))
    player.line = await Line.dial(url, "127.0.0.1", player.on_text)
    await player.line.upgrade(url_for(url, player.user))
    return player


def flood(url: str, of: bytes) -> bool:
    """Send 4 MB; returns whether all of it was answered before the connection ended."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=MOST_S) as line:
        line.sendall(request_of(url_for(url, new_id("flooder"))))
        tail = b""
        while HEAD_ENDS not in tail:
            some = line.recv(1 << 16)
            assert some, "the flooder was not let in"
            tail += some
        writing = threading.Thread(target=partial(_write, line, of))
        writing.start()
        with contextlib.suppress(OSError):  # it may have been closed, by either side
            while LAST not in tail and (some := line.recv(1 << 18)):
                tail = tail[-len(LAST) :] + some
            line.shutdown(socket.SHUT_RDWR)
        writing.join()
    return LAST in tail


def _write(line: socket.socket, of: bytes) -> None:
    try:
        line.sendall(of * (MEGABYTES // len(of)) + text(command("PING", LAST.decode(), "last")))
    except OSError:
        return  # it was closed for what it does


async def longest_wait(players: list[Player], meanwhile: Callable[[], bool | None]) -> str:
    """Say how long they had to wait at most for an answer, in ms, while something is done in a thread."""
    waits = Waits()
    async with asyncio.TaskGroup() as group:
        asking = [
            group.create_task(waits.ask(player, place * EVERY_S / len(players)))
            for place, player in enumerate(players)
        ]
        was_answered = await asyncio.to_thread(meanwhile)
        for task in asking:
            task.cancel()
    return f"{waits.longest_s * 1000:.0f}{CLOSED if was_answered is False else ''}"


async def measured(url: str) -> dict[str, str]:
    """Measure all kinds at one gateway, and nothing at all."""
    found: dict[str, str] = {}
    doing: list[tuple[str, Callable[[], bool | None]]] = [("nothing", partial(time.sleep, QUIET_S))]
    doing += [(kind, partial(flood, url, of)) for kind, of in KINDS.items()]
    for kind, meanwhile in doing:
        players = [await honest(url) for _ in range(HONEST)]
        found[kind] = await longest_wait(players, meanwhile)
        for player in players:
            player.line.cut()
    return found


def measure(tell: Callable[[str], None]) -> None:
    """Measure everything, without limits and with the default ones, and print a table."""
    found: dict[str, dict[str, str]] = {}
    for limits in LIMITS:
        environ = {"TIELINE_JWT_SECRET": SECRET, "TIELINE_LIMITS": limits}
        with (
            tempfile.TemporaryDirectory() as folder,
            RunningDev(Path(folder), ["--port", "0", "--gateways", "1"], environ) as dev,
        ):
            dev.until_said(READY)
            found[limits] = uvloop.run(measured(dev.document["gateways"][0]))
    tell("| 4 MB of | longest wait without limits, ms | with the default limits, ms |\n|---|---:|---:|")
    for kind in found[LIMITS[0]]:
        tell(f"| {kind} | {' | '.join(found[limits][kind] for limits in LIMITS)} |")
