"""`python -m bench.crowd`: connections that do nothing, held by a process of their own.

One process may have so many descriptors, and what it measures should not be its own work for thousands. It
takes the gateways' URLs, and the secret from `TIELINE_JWT_SECRET`; it says when all are there, and holds them
until it is told to end.
"""

import asyncio
import os
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from bench.command import end_with
from bench.systems import StartError, run_process
from tieline.cli.exits import EXIT_OK
from tieline.cli.options import option_parser, whole
from tieline.load.client import ARRIVALS_AT_ONCE, LoadClient, LoadError, Target, arrive
from tieline.load.connection import UpgradeRefused
from tieline.tokens import SECRET_VARIABLE

EACH: Final = 5000
"""Connections of one process: many systems allow 20,000 descriptors, some 10,000."""

ATTEMPTS: Final = 5
AGAIN_S: Final = 1.0
"""Between two attempts to connect: a machine that others use may keep a broker waiting for seconds."""

READY: Final = b"ready\n"


@asynccontextmanager
async def crowd(target: Target, count: int) -> AsyncIterator[None]:
    """Hold so many connections to all gateways while the block runs.

    Raises:
        StartError: some could not be opened; they have said why.
    """
    assert target.secret is not None
    environment = {SECRET_VARIABLE: target.secret}
    async with AsyncExitStack() as stack:
        for start in range(0, count, EACH):
            words = ("--connections", str(min(EACH, count - start)), *target.urls)
            command = (sys.executable, "-m", "bench.crowd", *words)
            process = await stack.enter_async_context(
                run_process(command, environment, stdout=asyncio.subprocess.PIPE)
            )
            assert process.stdout is not None
            if await process.stdout.readline() != READY:
                raise StartError(f"only {start:,} of {count:,} connections could be opened")
        yield


async def hold(urls: list[str], secret: str, count: int) -> int:
    """Open connections, say so, and hold them until the process is ended."""
    name = f"crowd_{uuid.uuid4().hex[:8]}"
    target = Target(urls[0], urls[-1], secret)
    waiting = iter(range(count))
    clients: list[LoadClient] = []

    async def keep_arriving() -> None:
        for number in waiting:
            client = await _arrive(target, f"{name}_{number}", urls[number % len(urls)])
            clients.append(client)

    async with asyncio.TaskGroup() as group:
        for _ in range(ARRIVALS_AT_ONCE):
            group.create_task(keep_arriving())
    sys.stdout.buffer.write(READY)
    sys.stdout.flush()
    await asyncio.gather(*(client.connection.closed for client in clients))
    return EXIT_OK


async def _arrive(target: Target, user: str, url: str) -> LoadClient:
    """Connect, and come again when that is refused, as clients do: what is measured comes afterwards.

    Raises:
        LoadError, UpgradeRefused, OSError, TimeoutError: the last of several attempts failed.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return await arrive(target, user, url)
        except (LoadError, UpgradeRefused, OSError):  # a TimeoutError is one
            await asyncio.sleep(AGAIN_S)
    return await arrive(target, user, url)


def run(words: list[str]) -> int:
    """Hold connections; returns the exit status."""
    parser = option_parser("python -m bench.crowd", __doc__)
    parser.add_argument("--connections", type=whole(), metavar="N", default=EACH, help="(%(default)s)")
    parser.add_argument("urls", nargs="+", metavar="URL", help="of the gateways")
    options = parser.parse_args(words)
    secret = os.environ.get(SECRET_VARIABLE)
    if not secret:
        parser.error(f"set {SECRET_VARIABLE} to the secret of the gateways")
    return end_with("bench.crowd", lambda: hold(options.urls, secret, options.connections))


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
