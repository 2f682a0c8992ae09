"""`python -m tests.attacks.attacking`: the process of the attackers, which does one row after the other.

A line of JSON is a row's order, a line of JSON its answer: `prepared`, then, when it was told to go and is
over, what came of it. It is nice to all others of this machine: to the system, and to the honest.
"""

import asyncio
import contextlib
import json
import os
import random
import resource
import sys
from pathlib import Path
from typing import Any, Final

import uvloop

from tests.attacks.rows import BY_NAME
from tests.attacks.scene import Scene
from tieline.cli.options import option_parser

NICE: Final = 19
PREPARING_S: Final = 75.0
"""For the set-up of a row: some have 2,000 users who have calls."""


def tell(answer: Any) -> None:
    """Write a line to whoever has ordered the row."""
    sys.stdout.write(f"{json.dumps(answer)}\n")
    sys.stdout.flush()


async def orders() -> asyncio.StreamReader:
    """Read standard input without waiting for it."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    return reader


async def one(order: Any, reader: asyncio.StreamReader) -> None:
    """Do one row."""
    attack = BY_NAME[order["name"]]
    scene = Scene(
        Path(order["ready_file"]),
        order["key_server"],
        order["share"],
        order["one_address"],
        order["run"],
        random.Random(order["run"]),
    )
    steps = attack.run(scene)
    problem = ""
    try:
        async with asyncio.timeout(PREPARING_S):
            await anext(steps)
        tell({"prepared": dict(scene.counts)})
        seconds = json.loads(await reader.readline())["seconds"]
        with contextlib.suppress(TimeoutError, StopAsyncIteration):
            async with asyncio.timeout(seconds):
                await anext(steps)
    except Exception as error:
        problem = repr(error.exceptions if isinstance(error, ExceptionGroup) else error)
    finally:
        await steps.aclose()  # type: ignore[attr-defined]
        scene.end_all()
    tell({"counts": dict(scene.counts), "amiss": scene.amiss, "problem": problem})


async def main() -> None:
    """Do what is ordered until nothing more is."""
    reader = await orders()
    while line := await reader.readline():
        await one(json.loads(line), reader)


if __name__ == "__main__":
    option_parser("python -m tests.attacks.attacking", __doc__).parse_args()
    os.nice(NICE)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvloop.run(main())
