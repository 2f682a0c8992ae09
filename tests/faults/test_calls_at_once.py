"""Calls whose ends say much at once, while routers and presence stand still now and then: all comes, once.

What comes in one read goes together (docs/decisions/0150-candidates-go-with-their-offer.md); a process that
stands still carries a part of it out late, beside the one that was asked instead. `TIELINE_FUZZ_SEED` has the
same again, `TIELINE_BURST_ROUNDS` says how many stops there are for each process.
"""

import asyncio
import json
import os
import random
from collections.abc import Iterator, Sequence
from typing import Final

import pytest

from tests.support.frames import ANSWER, CANDIDATE, HANGUP, OFFER, signal
from tests.support.people import People, Person
from tests.support.raw_client import Opcode, frame
from tests.support.seed import SAME_AGAIN, SEED
from tests.support.system import System
from tests.support.waiting import PATIENCE_S

ROUNDS: Final = int(os.environ.get("TIELINE_BURST_ROUNDS") or 2)

PAIRS: Final = 5
LONGEST_STOP_S: Final = 3.0
MOST: Final = 20
"""Candidates that are sent at once: more than go together."""


class End:
    """One end of calls."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.sent: list[bytes] = []
        """What the other end must hear, in this order."""
        self.heard: list[bytes] = []
        self._replies = asyncio.Queue[bytes]()
        self._news = asyncio.Event()

    async def listen(self) -> None:
        """Hear all that comes."""
        while True:
            message = await self.person.connection.receive()
            if json.loads(message)["data"] is None:
                self._replies.put_nowait(message)
            else:
                self.heard.append(message)
                self._news.set()

    async def say(self, other: "End", *commands: str) -> None:
        """Say all of it at once, and what fails again, in its order, until all is carried out."""
        left = [signal(cmd, self.person.user, other.person.user) for cmd in commands]
        self.sent += left
        while left:
            self.person.connection.write(b"".join(frame(Opcode.TEXT, each) for each in left))
            left = [each for each in left if not await self._is_carried_out(each)]

    async def _is_carried_out(self, sent: bytes) -> bool:
        async with asyncio.timeout(PATIENCE_S):
            reply = json.loads(await self._replies.get())
        assert reply["requestId"] == json.loads(sent)["requestId"], "each is answered once, in its order"
        assert reply.get("reason") in (None, "INTERNAL"), reply
        return "ack" in reply

    async def hear(self, other: "End") -> None:
        """Wait for all that the other end has said so far."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.heard) < len(other.sent):
                self._news.clear()
                await self._news.wait()


async def call(one: End, other: End, chance: random.Random) -> None:
    """Call, answer, go on, and hang up."""

    def some() -> Sequence[str]:
        return [CANDIDATE] * chance.randrange(MOST)

    await one.say(other, OFFER, *some())
    await asyncio.sleep(chance.random() / 20)
    async with asyncio.TaskGroup() as both:
        both.create_task(other.say(one, ANSWER, *some()))
        both.create_task(one.say(other, *some()))
    async with asyncio.TaskGroup() as both:
        both.create_task(other.say(one, *some()))
        both.create_task(one.say(other, *some()))
    await other.hear(one)
    await one.hear(other)
    await one.say(other, HANGUP)
    await other.hear(one)


@pytest.fixture(scope="module")
def system(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("calls-at-once")
    settings = {"LIMITS": "off", "STORAGE": "memory"}
    with System(nats_url, folder, gateways=2, routers=2, presences=2, settings=settings) as running:
        yield running


async def stop_and_go(system: System, chance: random.Random) -> None:
    """Have each router and each presence process stand still now and then, one at a time."""
    stops = [each for each in (*system.all("router"), *system.all("presence")) for _ in range(ROUNDS)]
    chance.shuffle(stops)
    for each in stops:
        with each.frozen():
            await asyncio.sleep(chance.random() * LONGEST_STOP_S)
        await asyncio.sleep(chance.random() / 2)


@pytest.mark.timeout(1_800)
async def test_all_that_is_said_at_once_comes_once_and_in_order(system: System) -> None:
    print(SAME_AGAIN)
    async with People(system) as people:
        pairs: list[tuple[End, End]] = []
        for number in range(PAIRS):
            claims = {"join": [f"{people.room}-{number}"]}
            one, other = [End(await people.connect("end", claims=claims)) for _ in range(2)]
            await one.person.hears_joined(claims["join"][0], other.person.user)
            pairs.append((one, other))
        listening = [asyncio.create_task(end.listen()) for pair in pairs for end in pair]
        stops = asyncio.create_task(stop_and_go(system, random.Random(SEED)))

        async def talk(number: int, one: End, other: End) -> None:
            chance = random.Random(f"{SEED}-{number}")
            while not stops.done():
                await call(one, other, chance)
                one, other = other, one

        async with asyncio.TaskGroup() as talking:
            for number, pair in enumerate(pairs):
                talking.create_task(talk(number, *pair))
        await stops
        await asyncio.sleep(1)  # for what is delivered twice
        for each in listening:
            assert not each.done()
            each.cancel()
        for one, other in pairs:
            assert one.heard == other.sent
            assert other.heard == one.sent
