"""`python -m bench.storm`: kill a gateway with thousands of clients, and time their return to another one.

All clients of one gateway can resume. They reconnect to the other one as `tieline.client` and the browser's
client do: each at a random moment within a second, then with growing waits. Meanwhile other pairs go on
sending on the gateway that lives. Ends with 1 if a session did not return, or a message has a fault.
"""

import argparse
import asyncio
import os
import random
import signal
import statistics
import sys
import time
import uuid
from dataclasses import dataclass, field
from typing import Final

import msgspec

from bench import machine
from bench.command import end_with
from bench.systems import tieline
from tieline.cli.exits import EXIT_FAILED, EXIT_OK
from tieline.cli.options import option_parser, whole
from tieline.client.gateway_pool import Backoff
from tieline.load.client import Target
from tieline.load.connection import Connection, UpgradeRefused, connect
from tieline.load.figures import RelayFigures
from tieline.load.relay import measure_relay
from tieline.tokens import EVERY_ROOM, make_token

ARRIVALS_AT_ONCE: Final = 16

PATIENCE_S: Final = 60.0
"""For all to be back: twice the resume window, after which no session can be resumed."""

TALK_S: Final = 8.0
"""For which the pairs send: before the storm, and through it."""

CALM_S: Final = 1.0
"""From the start of the second measurement until the gateway is killed."""


class _Welcome(msgspec.Struct):
    class Data(msgspec.Struct, rename="camel"):
        resume_token: str
        resumed: bool

    data: Data


_welcome = msgspec.json.Decoder(_Welcome)


@dataclass
class ResumingClient:
    """One client that can resume."""

    user: str
    token: str
    secret: str = ""
    resumed: bool = False
    attempts: int = 0
    connection: Connection | None = field(default=None, repr=False)

    async def arrive(self, url: str) -> None:
        """Connect, and wait for the welcome.

        Raises:
            UpgradeRefused, OSError, TimeoutError: not this time.
        """
        welcome: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def on_text(frame: bytes) -> None:
            if not welcome.done():
                welcome.set_result(frame)

        self.attempts += 1
        headers = {"Authorization": f"Bearer {self.token}"}
        self.connection = await connect(f"{url}?acks=1&resume={self.secret}", on_text, headers)
        data = _welcome.decode(await welcome).data
        self.secret, self.resumed = data.resume_token, data.resumed

    async def reconnect(self, url: str) -> float:
        """Reconnect until it succeeds; returns the monotonic time of that moment."""
        backoff = Backoff(random.random)
        while True:
            await asyncio.sleep(backoff.next_s())
            try:
                await self.arrive(url)
            except (UpgradeRefused, OSError):
                continue
            return time.monotonic()


async def storm(options: argparse.Namespace) -> tuple[str, bool]:
    """Run it; returns the lines to be printed, and whether there were no faults."""
    async with tieline() as system:
        secret = system.target.secret
        assert secret is not None
        assert system.target.receiver_url is not None
        dying, living = system.target.sender_url, system.target.receiver_url
        clients = [
            ResumingClient(user, make_token(secret, user, [EVERY_ROOM], join=[f"room_{user[:-2]}"]))
            for user in _names(options.sessions)
        ]
        await _connect_all(clients, dying)
        talking = Target(living, living, secret)
        calm, _ = await measure_relay(talking, options.pairs, TALK_S)
        async with asyncio.TaskGroup() as group:
            talk = group.create_task(measure_relay(talking, options.pairs, TALK_S))
            await asyncio.sleep(CALM_S)
            began = time.monotonic()
            os.kill(next(iter(system.pids()["gateways"])), signal.SIGKILL)
            async with asyncio.timeout(PATIENCE_S):
                back = await asyncio.gather(*(client.reconnect(living) for client in clients))
        stormy, faults = talk.result()
        for client in clients:
            assert client.connection is not None
            await client.connection.close()
    waits = sorted([moment - began for moment in back])
    lost = sum(not client.resumed for client in clients)
    failed = sum(client.attempts for client in clients) - 2 * len(clients)
    lines = (
        f"{len(clients)} sessions: all back after {waits[-1]:.2f} s (median {statistics.median(waits):.2f}"
        f" s), {failed} attempts failed, {lost} not resumed.",
        f"{options.pairs} pairs that sent meanwhile: {_describe(calm)} before, {_describe(stormy)} through"
        f" it; faults: {faults or 'none'}.",
    )
    return "\n".join(lines if options.pairs else lines[:1]), not lost and not faults


def _names(count: int) -> list[str]:
    """Make user ids: two users share a room, and so are told that the other is away, and back."""
    run = uuid.uuid4().hex[:8]
    return [f"guest_{run}_{number // 2}_{number % 2}" for number in range(count)]


async def _connect_all(clients: list[ResumingClient], url: str) -> None:
    waiting = iter(clients)

    async def keep_arriving() -> None:
        for client in waiting:
            await client.arrive(url)

    async with asyncio.TaskGroup() as group:
        for _ in range(ARRIVALS_AT_ONCE):
            group.create_task(keep_arriving())


def _describe(figures: RelayFigures) -> str:
    ways = f"p50 {figures.p50_ms:.2f} ms, p99 {figures.p99_ms:.2f} ms"
    return f"{figures.signals_per_second:,.0f} signals/s, {ways}"


def parse(words: list[str]) -> argparse.Namespace:
    """Read the options."""
    parser = option_parser("python -m bench.storm", __doc__)
    parser.add_argument(
        "--sessions", type=whole(), metavar="N", default=2000, help="on the gateway that dies (%(default)s)"
    )
    parser.add_argument(
        "--pairs", type=whole(0), metavar="N", default=10, help="that send meanwhile; 0: none (%(default)s)"
    )
    return parser.parse_args(words)


async def main(options: argparse.Namespace) -> int:
    """Measure, and print the figures; returns the exit status."""
    said, is_well = await storm(options)
    sys.stdout.write(f"{said}\nMachine: {machine.describe()}.\n")
    return EXIT_OK if is_well else EXIT_FAILED


def run(words: list[str]) -> int:
    """Run the benchmark; returns the exit status."""
    options = parse(words)
    return end_with("bench.storm", lambda: main(options))


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
