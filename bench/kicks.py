"""How soon a kicked user is gone: `python -m bench.kicks` starts a `tieline dev`, and kicks users in calls.

One half is disconnected, the other put out of its room. Measured is, from the moment at which the API has
answered, when the user's connection is closed, or it is told that it has left the room, and when the other
one of its call is told that the call has ended; before the answer counts as 0. With `--members`
a room of so many is sent a message, and closed. Nothing of it is a test.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Final

import tieline.client
from bench.command import end_with
from bench.people import Person
from tests.support.running_dev import READY, RunningDev
from tieline.api import Backend
from tieline.cli.options import option_parser, whole
from tieline.client import Client, Event, Hangup, MemberLeft, connect
from tieline.tokens import make_token

SECRET: Final = "the secret of this benchmark, and of nothing else"
COMING: Final = 20
"""Members who come side by side: so none is refused, and they are in soon."""

WAIT_S: Final = 10.0
"""For a closing or a hangup: what takes longer is lost."""


async def _end_of(client: Client) -> float:
    async for _ in client.events():
        pass
    return time.perf_counter()


async def _told(client: Client, user: str, *kinds: type[Event]) -> float:
    """Wait until a client is told something of these kinds, of itself where it is that it left a room."""
    async for event in client.events():
        if isinstance(event, kinds) and (not isinstance(event, MemberLeft) or event.user_id == user):
            return time.perf_counter()
    raise TimeoutError("the connection ended before that was told")


async def _kick(urls: list[str], backend: Backend, number: int, *, from_room: bool) -> tuple[float, float]:
    """Kick one user; returns how much later it and its call are gone, in seconds."""
    kicked, other = f"kicked-{number}-{from_room}", f"other-{number}-{from_room}"
    tokens = [make_token(SECRET, user, [], join=["hall"]) for user in (kicked, other)]
    async with connect(urls[0], tokens[0]) as one, connect(urls[1], tokens[1]) as two:
        await one.call(other, {"sdp": ""})
        async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as waiting:
            gone = waiting.create_task(_told(one, kicked, MemberLeft) if from_room else _end_of(one))
            ended = waiting.create_task(_told(two, other, Hangup))
            if from_room:
                await backend.kick_member("hall", kicked)
            else:
                await backend.disconnect_user(kicked)
            answered = time.perf_counter()
        return max(0.0, gone.result() - answered), max(0.0, ended.result() - answered)


async def _close(urls: list[str], backend: Backend, count: int) -> None:
    """Fill a room, send it a message, close it, and print how long that took."""
    members = [
        Person(
            f"member-{number}",
            SECRET,
            urls[number % len(urls)],
            source=f"127.2.{number // 250}.{number % 250 + 1}",
            batches=True,
        )
        for number in range(count)
    ]
    coming = asyncio.Semaphore(COMING)

    async def come(member: Person) -> None:
        async with coming:
            await member.arrive()
            code = await member.ask("JOIN", {"room": "large"})
            assert code == 200, code

    await asyncio.gather(*(come(member) for member in members))
    for what, ask in (
        ("a message to all", backend.message_room("large", "closing")),
        ("closing", backend.close_room("large")),
    ):
        began = time.perf_counter()
        changed = await ask
        took = time.perf_counter() - began
        print(f"a room of {count}: {what}: {took:.2f} s, {changed.affected} reached, {changed.left} left")
    await asyncio.gather(*(member.connection.close() for member in members))


async def measure(count: int, members: int) -> int:
    """Kick so many users, one after the other, close a room of so many, and print how long it took."""
    with tempfile.TemporaryDirectory() as folder:
        dev = RunningDev(
            Path(folder), ["--port", "0"], {"TIELINE_JWT_SECRET": SECRET, "TIELINE_LIMITS": "off"}
        )
        with dev as running:
            running.until_said(READY)
            document = running.document
            async with Backend(document["api"], document["apiKey"]) as backend:
                for from_room, gone in (
                    (False, "connection closed"),
                    (True, "told that it is out"),
                ):
                    kicks = [
                        await _kick(document["gateways"], backend, number, from_room=from_room)
                        for number in range(count)
                    ]
                    print("kicked from a room" if from_room else "disconnected")
                    for what, index in ((gone, 0), ("call ended", 1)):
                        _show(what, [kick[index] for kick in kicks])
                if members:
                    await _close(document["gateways"], backend, members)
    return 0


def _show(what: str, seconds: list[float]) -> None:
    took = sorted(1000 * each for each in seconds)
    print(f"  {what}: median {statistics.median(took):.1f} ms, longest {took[-1]:.1f} ms, of {len(took)}")


def main() -> int:
    """Measure as the options say."""
    parser = option_parser("python -m bench.kicks", __doc__)
    parser.add_argument("--count", type=whole(), default=100, metavar="N", help="of each half (%(default)s)")
    parser.add_argument(
        "--members",
        type=whole(0, 1000),
        default=0,
        metavar="N",
        help="of a room to close (%(default)s)",
    )
    options: argparse.Namespace = parser.parse_args()
    return end_with(
        "bench.kicks",
        lambda: measure(options.count, options.members),
        (tieline.client.ClientError, ExceptionGroup),
    )


if __name__ == "__main__":
    raise SystemExit(main())
