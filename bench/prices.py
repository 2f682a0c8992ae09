"""`python -m bench.prices`: what each thing that a client may ask for costs all processes together.

CPU seconds of gateways, router, presence and broker, without the load generator, while several pairs of users
ask for one thing over and over, each when it has the answer to the one before. Its table gives the constants
of `gateway/limits/prices.py`, which are in units: what a candidate of an established pair costs.
"""

import argparse
import asyncio
import itertools
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from statistics import median
from typing import Final

from bench import machine
from bench.command import end_with
from bench.people import Person
from bench.systems import System, tieline
from bench.table import markdown
from tieline.cli.exits import EXIT_OK
from tieline.cli.options import option_parser, whole
from tieline.load.processes import cpu_seconds_of

PAIRS: Final = 8
"""Pairs that ask side by side: as under load, some of what a request costs is then shared with others."""

HELD: Final = 30
"""Candidates that are held, or released by an answer: what browsers send before there is one."""

UNIT: Final = "a candidate of an established pair"

LEAST_S: Final = 0.5
"""CPU time that is measured at least: the kernel counts it in hundredths of a second for each process."""

ROOMS: Final = 20
"""In which somebody is who shows there to be in a call."""

_numbers = itertools.count()

Pair = tuple[Person, Person]


class Scene:
    """The pairs, each in a room of its own and in a call, and a room with many members beside."""

    def __init__(self, system: System, members: int) -> None:
        self._system = system
        self.members = members
        self.name = uuid.uuid4().hex[:8]
        self.pairs: list[Pair] = []
        self.talking: list[Pair] = []
        """More pairs, of clients as browsers have them, each in a call: they tell of their ends."""
        self.crowd: list[Person] = []
        self.crowded = f"crowd_{self.name}"

    def person(self, user: str, *, receives: bool = False, talks: bool = False) -> Person:
        """Make a user of one of the two gateways."""
        target = self._system.target
        assert target.secret is not None
        assert target.receiver_url is not None
        return Person(
            f"{self.name}_{user}",
            target.secret,
            target.receiver_url if receives else target.sender_url,
            batches=talks,
            names_calls=talks,
        )

    async def __aenter__(self) -> "Scene":
        for number in range(PAIRS):
            pair = self.person(f"{number}_a"), self.person(f"{number}_b", receives=True)
            for one in pair:
                await one.arrive()
                await one.ask("JOIN", {"room": f"{self.name}_{number}"})
            self.pairs.append(pair)
        for number in range(PAIRS):
            caller = self.person(f"{number}_c", talks=True)
            callee = self.person(f"{number}_d", receives=True, talks=True)
            for one in (caller, callee):
                await one.arrive()
                await one.ask("JOIN", {"room": f"{self.name}_call_{number}"})
            await caller.say("OFFER", callee)
            await callee.say("ANSWER", caller)
            await callee.say("INFO", caller)  # the first of a call is dearer
            self.talking.append((caller, callee))
        for number in range(self.members):
            member = self.person(f"member_{number}", receives=bool(number % 2))
            await member.arrive()
            await member.ask("JOIN", {"room": self.crowded})
            self.crowd.append(member)
        return self

    async def __aexit__(self, *_error: object) -> None:
        for person in (*itertools.chain(*self.pairs, *self.talking), *self.crowd):
            await person.connection.close()

    async def cost(
        self,
        step: Callable[[Person, Person], Awaitable[object]],
        times: int,
        pairs: Sequence[Pair] = (),
    ) -> float:
        """Return the CPU milliseconds that one step costs when all pairs take it so many times in all.

        They take it so many times again and again, until it has cost `LEAST_S`.
        """
        before, taken = self._cpu_s(), 0
        while (used := self._cpu_s() - before) < LEAST_S:
            async with asyncio.TaskGroup() as group:
                for pair in pairs or self.pairs:
                    group.create_task(_repeat(step, pair, times // PAIRS))
            taken += times // PAIRS * PAIRS
        return used * 1000 / taken

    def _cpu_s(self) -> float:
        return sum(cpu_seconds_of(self._system.pids()).values())


async def _repeat(step: Callable[[Person, Person], Awaitable[object]], pair: Pair, times: int) -> None:
    for _ in range(times):
        await step(*pair)


async def established(scene: Scene) -> None:
    """Let each pair be in a call."""
    for one, other in scene.pairs:
        await one.say("OFFER", other)
        await other.say("ANSWER", one)


async def measure(scene: Scene, times: int) -> dict[str, float]:
    """Return the CPU milliseconds of each thing."""
    found: dict[str, float] = {}
    crowded, dear = {"room": scene.crowded}, max(times // 10, PAIRS)

    async def offer_and_hang_up(one: Person, other: Person) -> None:
        await one.say("OFFER", other)
        await one.say("HANGUP", other)

    async def ring_and_hang_up(one: Person, other: Person) -> None:
        await one.say("OFFER", other)
        await other.say("INFO", one)
        await one.say("HANGUP", other)

    async def hold(one: Person, other: Person) -> None:
        await one.say("OFFER", other)
        for _ in range(HELD):
            await one.say("ICE_CANDIDATE", other)
        await one.say("HANGUP", other)

    async def renegotiate(one: Person, other: Person) -> None:
        await one.say("OFFER", other)
        await other.say("ANSWER", one)

    async def join_and_leave(one: Person, _other: Person) -> None:
        room = {"room": f"{one.user}_{next(_numbers)}"}
        await one.ask("JOIN", room)
        await one.ask("LEAVE", room)

    async def come_and_go(one: Person, _other: Person) -> None:
        await one.ask("JOIN", crowded)
        await one.ask("LEAVE", crowded)

    async def connect_and_close(_one: Person, _other: Person) -> None:
        guest = scene.person(f"guest_{next(_numbers)}")
        await guest.arrive()
        await guest.connection.close()

    async def resume(one: Person, _other: Person) -> None:
        await one.arrive(resumes=True)

    inside: dict[str, bool] = {}

    async def show(one: Person, _other: Person) -> None:
        inside[one.user] = not inside.get(one.user, False)
        await one.ask("STATUS", {"inCall": inside[one.user]})

    async def lose_and_resume(one: Person, _other: Person) -> None:
        one.connection.cut()
        await one.arrive(resumes=True)

    await established(scene)
    found[UNIT] = await scene.cost(lambda one, other: one.say("ICE_CANDIDATE", other), 4 * times)
    found["a WEBRTC_INFO, in a call"] = await scene.cost(
        lambda one, other: one.say("INFO", other), times, scene.talking
    )
    for one, other in scene.talking:
        await one.say("HANGUP", other)
    unheard = await scene.cost(offer_and_hang_up, times, scene.talking)
    rung = await scene.cost(ring_and_hang_up, times, scene.talking)
    found["the first WEBRTC_INFO of a call"] = rung - unheard
    found["a STATUS, in one room of two"] = await scene.cost(show, times, scene.talking)
    for number, (one, _other) in enumerate(scene.talking):
        for room in range(ROOMS - 1):
            await one.ask("JOIN", {"room": f"{scene.name}_call_{number}_{room}"})
    found[f"a STATUS, in {ROOMS} rooms"] = await scene.cost(show, times, scene.talking)
    found["PING"] = await scene.cost(lambda one, _: one.ask("PING", None), 4 * times)
    found["ICE_SERVERS"] = await scene.cost(lambda one, _: one.ask("ICE_SERVERS", None), 4 * times)
    found["REFRESH_TOKEN"] = await scene.cost(
        lambda one, _: one.ask("REFRESH_TOKEN", {"token": one.token}), times
    )
    found["a message that is refused at once"] = await scene.cost(
        lambda one, _: one.ask("NOTHING", None), 4 * times
    )
    found["an offer and its answer, in a call"] = await scene.cost(renegotiate, times)
    found["a hang-up without a call, refused"] = await scene.cost(
        lambda one, _: one.send(one.signal("HANGUP", scene.crowd[0])), times
    )
    retries = {one.user: other.signal("ANSWER", one) for one, other in scene.pairs}
    for one, other in scene.pairs:
        await one.say("HANGUP", other)
        await one.say("OFFER", other)
        for _ in range(HELD):
            await one.say("ICE_CANDIDATE", other)
            await other.say("ICE_CANDIDATE", one)
        await other.send(retries[one.user])
    found[f"an answer sent again that released {2 * HELD} candidates"] = await scene.cost(
        lambda one, other: other.send(retries[one.user]), dear
    )
    for one, other in scene.pairs:
        await one.say("HANGUP", other)
    both = await scene.cost(offer_and_hang_up, times)
    found["a first offer and its hang-up"] = both
    found["a candidate that is held"] = (await scene.cost(hold, dear) - both) / HELD
    found["JOIN and LEAVE of a room of one's own"] = await scene.cost(join_and_leave, times)
    found["JOIN of a room that one is in, of two"] = await scene.cost(
        lambda one, _: one.ask("JOIN", {"room": f"{scene.name}_{one.user.split('_')[1]}"}), times
    )
    found["MEMBERS of two"] = await scene.cost(
        lambda one, _: one.ask("MEMBERS", {"room": f"{scene.name}_{one.user.split('_')[1]}"}), times
    )
    found["a session: connect and close"] = await scene.cost(connect_and_close, times // 2)
    many = f"a room of {scene.members}"
    found[f"JOIN and LEAVE of {many}"] = await scene.cost(come_and_go, dear)
    for one, _other in scene.pairs:
        await one.ask("JOIN", crowded)
    found[f"JOIN of {many} that one is in"] = await scene.cost(lambda one, _: one.ask("JOIN", crowded), dear)
    found[f"MEMBERS of {many}"] = await scene.cost(lambda one, _: one.ask("MEMBERS", crowded), dear)
    for one, _other in scene.pairs:
        await one.connection.close()
        await one.arrive(resumes=True)
        await one.ask("JOIN", crowded)
    found[f"a return to {many}, on another connection"] = await scene.cost(resume, dear)
    found[f"a loss and a return to {many}"] = await scene.cost(lose_and_resume, dear)
    return found


def table(rounds: Sequence[Mapping[str, float]]) -> str:
    """Render the medians of the rounds, in milliseconds and in units."""
    rows = []
    for name in rounds[0]:
        ms = median(found[name] for found in rounds)
        units = median(found[name] / found[UNIT] for found in rounds)
        rows.append([name, f"{ms:.2f}", f"{units:.1f}"])
    return markdown(["", "CPU s of all processes a thousand", "units"], rows)


@asynccontextmanager
async def scenes(members: int) -> AsyncIterator[Scene]:
    """Start Tieline, and let everybody come."""
    async with AsyncExitStack() as stack:
        system = await stack.enter_async_context(tieline())
        yield await stack.enter_async_context(Scene(system, members))


async def main(options: argparse.Namespace) -> int:
    """Measure, and print the table; returns the exit status.

    Raises:
        StartError, LoadError, UpgradeRefused, OSError, TimeoutError: no figures, and why.
    """
    rounds = []
    for _ in range(options.rounds):
        async with scenes(options.members) as scene:
            rounds.append(await measure(scene, options.times))
    sys.stdout.write(f"{table(rounds)}\n\nMachine: {machine.describe()}.\n")
    return EXIT_OK


def parse(words: list[str]) -> argparse.Namespace:
    """Read the options."""
    parser = option_parser("python -m bench.prices", __doc__)
    parser.add_argument(
        "--rounds",
        type=whole(),
        metavar="N",
        default=3,
        help="whose medians are printed (%(default)s)",
    )
    parser.add_argument(
        "--times",
        type=whole(2 * PAIRS),
        metavar="N",
        default=1000,
        help="how often each thing is asked for, at least (%(default)s)",
    )
    parser.add_argument(
        "--members", type=whole(2, 1000), metavar="N", default=100, help="of the larger room (%(default)s)"
    )
    return parser.parse_args(words)


def run(words: list[str]) -> int:
    """Run the benchmark; returns the exit status."""
    options = parse(words)
    return end_with("bench.prices", lambda: main(options))


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
