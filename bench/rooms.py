"""`python -m bench.rooms`: what large rooms cost others, with the default limits.

For each number of members: so many users join one room within ten seconds; then some come and go; then all
lose their lines at the same moment, and come back as the clients do, some of them to their calls. Meanwhile
pairs talk who have nothing to do with it (`bench.talk`): how long their messages take, and how long they took
before, is the other half of the table. Ends with 1 if a session did not return, or a call did not survive.
"""

import argparse
import asyncio
import functools
import random
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from bench import machine
from bench.command import end_with
from bench.people import Person
from bench.systems import System, tieline
from bench.table import NOTHING, markdown
from bench.talk import Talk, talking
from tieline.cli.exits import EXIT_FAILED, EXIT_OK
from tieline.cli.options import number, option_parser, seconds, whole
from tieline.client.gateway_pool import Backoff
from tieline.load.connection import UpgradeRefused
from tieline.load.figures import percentile
from tieline.load.processes import cpu_seconds_of

JOIN_S: Final = 10.0
"""In which all members come, one after the other."""

CALM_S: Final = 5.0
"""For measuring how long messages take while nothing else happens, and for a step's work to be done."""

GONE_S: Final = 3.5
"""From the loss of all lines to the first attempt to come back: of members who are away for less than three
seconds others are not told."""

PATIENCE_S: Final = 60.0
"""For all to come, and to come back: twice the resume window, after which no session can be resumed."""

MOST_CALLS: Final = 100
"""Pairs of members who are in a call when they lose their lines."""

COMERS: Final = 50
"""Members who come and go, each in its turn."""

MOST_MEMBERS: Final = 60_000
"""As there are addresses of this machine for them. A room takes 1,000 (`TIELINE_ROOM_MAX_MEMBERS`)."""

MOST_CHANGES: Final = 1000.0
"""A second: more than this load generator does."""


@dataclass
class Step:
    """What was measured of one step."""

    name: str
    members: int
    took_s: float = 0.0
    attempts_failed: int = 0
    waits: list[float] = field(default_factory=list)
    """For how long each of those who did it waited for the answer, in seconds."""
    calm_ms: float = 0.0
    """What 99 of 100 messages of others did not exceed before."""
    loud_ms: float = 0.0
    """The same, meanwhile."""
    cpu: dict[str, float] = field(default_factory=dict)
    """CPU seconds by the part of the system."""
    amiss: str = ""


class Room:
    """One room with its members, in a running system."""

    def __init__(self, system: System, talk: Talk, count: int, *, batches: bool) -> None:
        assert system.target.secret is not None
        assert system.target.receiver_url is not None
        self._system = system
        self._talk = talk
        self._name = f"room_{uuid.uuid4().hex[:8]}"
        urls = (system.target.sender_url, system.target.receiver_url)
        self.members = [
            Person(
                f"{self._name}_{number}",
                system.target.secret,
                urls[number % 2],
                source=f"127.2.{number // 250}.{number % 250 + 1}",
                batches=batches,
            )
            for number in range(count)
        ]
        self._calm_ms = 0.0

    async def be_calm(self) -> None:
        """Measure how long others wait while nothing happens."""
        began = time.monotonic()
        await asyncio.sleep(CALM_S)
        self._calm_ms = self._talk.p99_ms(began)

    async def step(self, name: str, do: Callable[[Step], Awaitable[None]]) -> Step:
        """Do one step, and measure it."""
        step = Step(name, len(self.members), calm_ms=self._calm_ms)
        before, began = cpu_seconds_of(self._system.pids()), time.monotonic()
        async with asyncio.timeout(PATIENCE_S):
            await do(step)
        step.took_s = step.took_s or time.monotonic() - began
        step.loud_ms = self._talk.p99_ms(began)
        await asyncio.sleep(CALM_S)  # what the members are told comes a moment later, and costs, too
        after = cpu_seconds_of(self._system.pids())
        step.cpu = {part: after[part] - before[part] for part in after}
        return step

    async def fill(self, step: Step) -> None:
        """Let all members come, and join."""

        async def come(member: Person, at_s: float) -> None:
            await asyncio.sleep(at_s)
            step.attempts_failed += await _arrive(member)
            await self._ask(step, member, "JOIN")

        await asyncio.gather(
            *(come(member, JOIN_S * n / len(self.members)) for n, member in enumerate(self.members))
        )

    async def change(self, step: Step, a_second: float, seconds: float) -> None:
        """Let members leave and join, each in its turn, so many changes a second."""

        async def change(number: int) -> None:
            await asyncio.sleep(number / a_second)
            member = self.members[number // 2 % min(COMERS, len(self.members))]
            await self._ask(step, member, "JOIN" if number % 2 else "LEAVE")

        await asyncio.gather(*(change(number) for number in range(int(a_second * seconds))))

    async def call(self) -> list[tuple[Person, Person]]:
        """Let some pairs of members call each other."""
        callers = self.members[: 2 * MOST_CALLS : 2]
        pairs = list(zip(callers, self.members[1::2], strict=False))
        for caller, callee in pairs:
            await caller.say("OFFER", callee)
            await callee.say("ANSWER", caller)
        return pairs

    async def lose_lines(self, step: Step, pairs: Sequence[tuple[Person, Person]]) -> None:
        """Cut all members off at once, and let them come back."""
        for member in self.members:
            member.connection.cut()
        await asyncio.sleep(GONE_S)
        began = time.monotonic()

        async def come_back(member: Person) -> None:
            step.attempts_failed += await _arrive(member, Backoff(random.random))
            step.waits.append(time.monotonic() - began)

        await asyncio.gather(*(come_back(member) for member in self.members))
        step.took_s = max(step.waits)
        lost = sum(not member.is_resumed for member in self.members)
        codes = [await caller.say("ICE_CANDIDATE", callee) for caller, callee in pairs]
        ended = sum(code != 200 for code in codes)
        if lost or ended:
            step.amiss = f"{lost} sessions not resumed, {ended} of {len(pairs)} calls ended"

    async def _ask(self, step: Step, member: Person, cmd: str) -> None:
        began = time.monotonic()
        code = await member.ask(cmd, {"room": self._name})
        step.waits.append(time.monotonic() - began)
        if code != 200:
            step.amiss = f"{cmd} was answered with {code}"

    async def end(self) -> None:
        """Let all go."""
        await asyncio.gather(*(member.connection.close() for member in self.members))


async def _arrive(member: Person, backoff: Backoff | None = None) -> int:
    """Connect until it succeeds; returns how often it did not. With `backoff` it waits first, too."""
    failed = 0
    if backoff is not None:
        await asyncio.sleep(backoff.next_s())
    waits = backoff or Backoff(random.random)
    while True:
        try:
            await member.arrive(resumes=True)
        except (UpgradeRefused, OSError):
            failed += 1
            await asyncio.sleep(waits.next_s())
        else:
            return failed


async def measure(options: argparse.Namespace) -> list[Step]:
    """Do every step for each number of members.

    Raises:
        StartError, LoadError, UpgradeRefused, OSError, TimeoutError: no figures, and why.
    """
    return [step for count in options.members for step in await _measure_one(count, options)]


async def _measure_one(count: int, options: argparse.Namespace) -> list[Step]:
    async with tieline(limits="on") as system:
        target = system.target
        assert target.secret is not None
        assert target.receiver_url is not None
        async with talking(target.sender_url, target.receiver_url, target.secret) as talk:
            room = Room(system, talk, count, batches=options.roster)
            await asyncio.sleep(CALM_S)  # for the calls of those who talk
            await room.be_calm()
            steps = [await room.step(f"join within {JOIN_S:.0f} s", room.fill)]
            if options.changes:
                change = functools.partial(room.change, a_second=options.changes, seconds=options.seconds)
                steps.append(await room.step(f"come and go, {options.changes:g} a second", change))
            lose_lines = functools.partial(room.lose_lines, pairs=await room.call())
            steps.append(await room.step("lose their lines at once", lose_lines))
            await room.end()
            return steps


def table(steps: Sequence[Step]) -> str:
    """Render what was measured. Pure."""
    parts = list(dict.fromkeys(part for step in steps for part in step.cpu))
    head = [
        *("members", "they", "all after s", "p50 ms", "p99 ms", "attempts failed"),
        *("others' p99 before", "meanwhile", "ratio"),
        *(f"CPU s: {part}" for part in parts),
        "amiss",
    ]
    return markdown(head, [list(_cells(step, parts)) for step in steps])


def _cells(step: Step, parts: Sequence[str]) -> Iterator[str]:
    waits = sorted(step.waits)
    yield from (f"{step.members}", step.name, f"{step.took_s:.1f}")
    yield from (f"{percentile(waits, percent) * 1000:,.0f}" for percent in (50, 99))
    yield from (f"{step.attempts_failed}", f"{step.calm_ms:.1f}", f"{step.loud_ms:.1f}")
    yield f"{step.loud_ms / step.calm_ms:.1f}" if step.calm_ms else NOTHING
    yield from (f"{step.cpu[part]:.1f}" for part in parts)
    yield step.amiss or NOTHING


def parse(words: list[str]) -> argparse.Namespace:
    """Read the options."""
    parser = option_parser("python -m bench.rooms", __doc__)
    parser.add_argument(
        "--members",
        type=whole(1, MOST_MEMBERS),
        nargs="+",
        metavar="N",
        default=[300, 1000],
        help="of one room, one room after the other (300 1000)",
    )
    parser.add_argument(
        "--changes",
        type=number(0, MOST_CHANGES),
        metavar="N",
        default=10.0,
        help="so many come or go a second, once all are there; 0: nobody (%(default)g)",
    )
    parser.add_argument(
        "--seconds", type=seconds, metavar="S", default=10.0, help="for so many seconds (%(default)g)"
    )
    parser.add_argument("--roster", action="store_true", help="members say roster=1, and are told in batches")
    return parser.parse_args(words)


async def main(options: argparse.Namespace) -> int:
    """Measure, and print the table; returns the exit status.

    Raises:
        StartError, LoadError, UpgradeRefused, OSError, TimeoutError: no figures, and why.
    """
    steps = await measure(options)
    sys.stdout.write(f"{table(steps)}\n\nMachine: {machine.describe()}.\n")
    return EXIT_FAILED if any(step.amiss for step in steps) else EXIT_OK


def run(words: list[str]) -> int:
    """Run the benchmark; returns the exit status."""
    options = parse(words)
    return end_with("bench.rooms", lambda: main(options))


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
