"""Two clients talk while their connections are cut, closed, moved and robbed: nothing is lost or repeated."""

import asyncio
import random
from typing import Final

import pytest

from tests.unit.client.resuming_gateway import Door, Exchange
from tieline.client import Candidate, Client, connect

CANDIDATE: Final = "WEBRTC_ICE_CANDIDATE"
ROUNDS: Final = 40


class Saboteur:
    def __init__(self, exchange: Exchange, dice: random.Random) -> None:
        self._exchange = exchange
        self._dice = dice

    async def work(self) -> None:
        for turn in range(ROUNDS):
            await self._some_traffic(self._dice.randint(1, 20))
            match self._dice.choice(("cut", "close", "move", "rob", "rob answers")):
                case "cut":
                    self._cut(self._somebody())
                case "close":
                    user = self._somebody()
                    if self._exchange.seats[user].connection is not None:
                        await self._exchange.close(user, self._dice.choice((1001, 1012, 4000)))
                case "move":
                    delays = {"afterMs": self._dice.randrange(3), "jitterMs": self._dice.randrange(3)}
                    await self._exchange.say(self._somebody(), "RECONNECT", delays, f"move-{turn}")
                case "rob":
                    await self._rob(self._exchange.deaf)
                case _:
                    await self._rob(self._exchange.mute)

    async def _rob(self, of: set[str]) -> None:
        """Let frames or answers of everybody get lost, and with them the connections."""
        of.add(CANDIDATE)
        await self._some_traffic(1)
        for user in self._exchange.seats:
            self._cut(user)
        of.clear()

    async def _some_traffic(self, frames: int) -> None:
        received = self._exchange.received
        wanted = sum(map(len, received.values())) + frames
        await self._exchange.until(lambda: sum(map(len, received.values())) >= wanted)

    def _somebody(self) -> str:
        return self._dice.choice(sorted(self._exchange.seats))

    def _cut(self, user: str) -> None:
        if self._exchange.seats[user].connection is not None:
            self._exchange.cut(user)


@pytest.mark.parametrize("seed", range(4))
async def test_every_message_arrives_once_and_in_order(
    exchange: Exchange, door: Door, other_door: Door, seed: int
) -> None:
    dice = random.Random(seed)
    urls, sent, over = (door.url, other_door.url), {"ann": 0, "bob": 0}, asyncio.Event()

    async def write(client: Client, to: str) -> None:
        while not over.is_set():
            sent[to] += 3
            await asyncio.gather(*(client.candidate(to, sent[to] + more) for more in (-2, -1, 0)))

    async def read(client: Client, user: str) -> list[int]:
        await over.wait()
        seen: list[int] = []
        async with asyncio.timeout(20):
            async for event in client.events():
                if isinstance(event, Candidate):
                    seen.append(event.candidate)
                    if event.candidate == sent[user]:
                        break
        return seen

    def jitter() -> float:
        return dice.random() / 1000

    async with (
        connect(urls, "ann", resume=True, reply_timeout_s=5, jitter=jitter) as ann,
        connect(urls, "bob", resume=True, reply_timeout_s=5, jitter=jitter) as bob,
    ):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(write(ann, "bob"))
            tasks.create_task(write(bob, "ann"))
            await Saboteur(exchange, dice).work()
            over.set()
        for client, user in ((ann, "ann"), (bob, "bob")):
            assert await read(client, user) == list(range(1, sent[user] + 1))
            assert client.stats.reconnects == client.stats.resumes > 0
            assert client.stats.resets == 0
