"""`python -m bench.talk`: pairs in calls who talk at an even pace, to see how long others make them wait.

A process of its own, so that what it measures is not the work of a load generator beside it. Callers are on
the first gateway, callees on the second. It takes both URLs, and the secret from `TIELINE_JWT_SECRET`. For
each message that has come it prints when it was sent, by the monotonic clock, and for how many seconds it was
under way. It ends when it is told to, or when a message was refused or lost.
"""

import asyncio
import os
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import uvloop

from bench.people import Person, name_of
from tieline.cli.dev.child import die_with
from tieline.cli.options import option_parser
from tieline.load.client import LoadError
from tieline.load.figures import percentile
from tieline.tokens import SECRET_VARIABLE

PAIRS: Final = 20

BEAT_S: Final = 0.1
"""Between two messages of a caller: half of what one user may send to another one for long."""

STOP_TIMEOUT_S: Final = 5.0
"""For the process to end when it is told to."""


class Talk:
    """What the process has measured so far."""

    def __init__(self) -> None:
        self._took: list[tuple[float, float]] = []

    async def _read(self, lines: asyncio.StreamReader) -> None:
        while line := await lines.readline():
            at, took = line.split()
            self._took.append((float(at), float(took)))

    def since(self, at: float) -> list[float]:
        """List for how long each message was under way that was sent after a moment, the shortest first."""
        return sorted(took for sent, took in self._took if sent >= at)

    def p99_ms(self, since: float) -> float:
        """Return what 99 of 100 messages did not exceed that were sent after a moment; nan without any."""
        return percentile(self.since(since), 99) * 1000


@asynccontextmanager
async def talking(sender_url: str, receiver_url: str, secret: str) -> AsyncIterator[Talk]:
    """Let pairs talk while the block runs.

    Raises:
        LoadError: they do not talk any more.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.talk", sender_url, receiver_url),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {SECRET_VARIABLE: secret},
        start_new_session=True,
        preexec_fn=die_with(os.getpid()),
    )
    assert process.stdout is not None
    talk = Talk()
    reading = asyncio.ensure_future(talk._read(process.stdout))
    try:
        yield talk
        if process.returncode is not None:
            raise LoadError("those who talk were refused something, or lost a message")
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
        await reading


async def _call(number: int, name: str, sender_url: str, receiver_url: str, secret: str) -> None:
    """Let one pair talk for ever."""
    caller = Person(f"{name}_{number}_a", secret, sender_url, source=f"127.1.1.{number + 1}")
    callee = Person(f"{name}_{number}_b", secret, receiver_url, source=f"127.1.2.{number + 1}")
    for one in (caller, callee):
        await one.arrive()
        await one.ask("JOIN", {"room": f"{name}_{number}"})
    await caller.say("OFFER", callee)
    await callee.say("ANSWER", caller)
    sent: dict[str, float] = {}

    def on_signal(request_id: str) -> None:
        at = sent.pop(request_id)
        sys.stdout.write(f"{at} {time.monotonic() - at}\n")

    async def say() -> None:
        frame = caller.signal("ICE_CANDIDATE", callee)
        sent[name_of(frame)] = time.monotonic()
        if await caller.send(frame) != 200:
            raise LoadError("a candidate was refused")

    callee.on_signal = on_signal
    await asyncio.sleep(BEAT_S * number / PAIRS)
    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(say())
            sys.stdout.flush()
            await asyncio.sleep(BEAT_S)


async def _main(sender_url: str, receiver_url: str, secret: str) -> None:
    name = f"talk_{uuid.uuid4().hex[:8]}"
    async with asyncio.TaskGroup() as group:
        for number in range(PAIRS):
            group.create_task(_call(number, name, sender_url, receiver_url, secret))


if __name__ == "__main__":
    parser = option_parser("python -m bench.talk", __doc__)
    parser.add_argument("urls", nargs=2, metavar="URL", help="the callers' gateway, and the callees'")
    options = parser.parse_args()
    if not os.environ.get(SECRET_VARIABLE):
        parser.error(f"set {SECRET_VARIABLE} to the secret of the gateways")
    first, second = options.urls
    uvloop.run(_main(first, second, os.environ[SECRET_VARIABLE]))
