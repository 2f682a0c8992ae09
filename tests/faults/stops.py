"""`python -m tests.faults.stops`: stop a random process of a `tieline dev` for a while, and let it go on.

Meanwhile users reload, come back, join, leave and call. What a process was asked while it stood still it may
carry out when it goes on: late. After each round, when all is quiet, what users were told last must hold.
Prints what does not; ends with 1 then.
"""

import argparse
import asyncio
import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import uvloop

from tests.support.dev_processes import DevProcesses, running_dev
from tests.support.frames import new_id
from tests.support.restless import Restless
from tieline.cli.exits import until_told_to_end
from tieline.cli.options import option_parser, whole

QUICK: Final = {"TIELINE_RESUME_WINDOW": "3", "TIELINE_GATEWAY_LEASE": "4"}
"""Long enough to be lived through, short enough to run out while a process stands still."""

USERS: Final = 8

REST_S: Final = 60.0
"""For all to be as it was told: windows and leases run out meanwhile."""

LOOK_S: Final = 0.25


class Stop(NamedTuple):
    """How a process stands still."""

    kind: str
    processes: int
    shortest_s: float
    longest_s: float
    """Beyond a request's half second; of gateways and presence beyond a lease, too."""


STOPS: Final = (
    Stop("presence", 2, 0.6, 6.0),
    Stop("presence", 2, 0.6, 2.0),
    Stop("router", 2, 0.6, 3.0),
    Stop("gateway", 2, 0.6, 7.0),
    Stop("nats", 1, 0.6, 3.0),
)


def parse(words: list[str]) -> argparse.Namespace:
    """Read the options."""
    parser = option_parser("python -m tests.faults.stops", __doc__)
    parser.add_argument("--rounds", metavar="N", type=whole(), default=50, help="a stop each (%(default)s)")
    parser.add_argument("--seed", metavar="N", type=whole(0), help="to have the same stops again")
    options = parser.parse_args(words)
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(10_000)
    return options


async def rounds(
    number: int, seed: int, processes: DevProcesses, tell: Callable[[str], None]
) -> Counter[str]:
    """Run so many rounds; tells each, and returns what does not hold."""
    chance = random.Random(seed)
    faults: Counter[str] = Counter()
    for nth in range(1, number + 1):
        stop = chance.choice(STOPS)
        which = chance.randrange(stop.processes)
        seconds = chance.uniform(stop.shortest_s, stop.longest_s)
        found = await one(processes, stop.kind, which, seconds, chance)
        faults += found
        tell(f"{nth:4} {stop.kind} {which} for {seconds:.1f} s: {dict(found) or 'nothing amiss'}")
    return faults


async def one(
    processes: DevProcesses, kind: str, which: int, seconds: float, chance: random.Random
) -> Counter[str]:
    """Stop a process while users are at it, and compare what holds then with what they were told."""
    room = new_id("room")
    users = [Restless(room, processes.urls, chance) for _ in range(USERS)]
    for user, partner in zip(users, [*users[1:], users[0]], strict=True):
        user.partner = partner
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as going:
        for user in users:
            going.create_task(user.go_on(stopping))
        await asyncio.sleep(chance.uniform(0.2, 0.8))
        processes.send(signal.SIGSTOP, kind, which)
        try:
            await asyncio.sleep(seconds)
        finally:
            processes.send(signal.SIGCONT, kind, which)
        await asyncio.sleep(chance.uniform(0.2, 0.8))
        stopping.set()
    faults = await at_rest(users, processes.urls, chance)
    for user in users:
        faults += user.faults
    return faults


async def at_rest(users: Sequence[Restless], urls: Sequence[str], chance: random.Random) -> Counter[str]:
    """Let half of the users be in the room and half not; then let all be gone."""
    watcher = Restless(users[0].room, urls, chance)
    await watcher.comes_to_rest(in_room=True)
    inside = set(users[: USERS // 2])
    for user in users:
        await user.comes_to_rest(in_room=user in inside)
    faults: Counter[str] = Counter()
    expected = {watcher.user} | {user.user for user in inside}
    if (members := await seen(watcher, expected)) != expected:
        faults["members that are not, or are not listed"] += len(members ^ expected)
    for user in users:
        await user.do("call")  # the newest connection is still there
        await user.goes()
    if (members := await seen(watcher, {watcher.user})) != {watcher.user}:
        faults["ghosts in the room"] += len(members) - 1
    for user in users:
        if await watcher.offers_to(user.user) == "relayed":
            faults["ghosts that can be called"] += 1
    await watcher.goes()
    return faults + watcher.faults


async def seen(watcher: Restless, expected: set[str]) -> set[str]:
    """Look until the members are as expected, or for as long as that may take."""
    members = await watcher.members()
    with suppress(TimeoutError):
        async with asyncio.timeout(REST_S):
            while True:
                if members == expected:
                    break
                await asyncio.sleep(LOOK_S)
                members = await watcher.members()
    return members


def main(words: list[str]) -> int:
    """Run, and say with the exit status whether all held."""
    options = parse(words)

    def tell(line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    with tempfile.TemporaryDirectory() as folder, running_dev(Path(folder), QUICK) as dev:
        faults = uvloop.run(rounds(options.rounds, options.seed, DevProcesses(dev), tell))
        if faults:
            kept = Path(tempfile.gettempdir(), f"tieline-stops-{options.seed}.log")
            kept.write_text(dev.log)
            tell(f"the log is {kept}")
    tell(f"seed {options.seed}, {options.rounds} rounds: {dict(faults) or 'nothing amiss'}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(until_told_to_end(lambda: main(sys.argv[1:])))
