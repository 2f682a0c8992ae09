"""Two clients talk while connections break and messages are lost: each message arrives once, in order."""

import asyncio
import random
from typing import Final

import pytest

from tests.unit.client.resuming_gateways import Backend, Gateway
from tieline.client import Candidate, Client, connect

CANDIDATE: Final = "WEBRTC_ICE_CANDIDATE"
ROUNDS: Final = 40


class FaultInjector:
    """Breaks connections and loses messages, between one frame and the next."""

    def __init__(self, backend: Backend, chance: random.Random) -> None:
        self._backend = backend
        self._chance = chance

    async def run(self) -> None:
        for turn in range(ROUNDS):
            await self._wait_for_frames(self._chance.randint(1, 20))
            match self._chance.choice(("cut", "close", "move", "lose messages", "lose answers")):
                case "cut":
                    self._cut(self._any_user())
                case "close":
                    user = self._any_user()
                    if self._backend.sessions[user].connection is not None:
                        await self._backend.close(user, self._chance.choice((1001, 1012, 4000)))
                case "move":
                    delays = {"afterMs": self._chance.randrange(3), "jitterMs": self._chance.randrange(3)}
                    await self._backend.say(self._any_user(), "RECONNECT", delays, f"move-{turn}")
                case "lose messages":
                    await self._lose(self._backend.ignored)
                case _:
                    await self._lose(self._backend.unanswered)

    async def _lose(self, of: set[str]) -> None:
        """Lose messages or answers of every user, and with them the connections."""
        of.add(CANDIDATE)
        await self._wait_for_frames(1)
        for user in self._backend.sessions:
            self._cut(user)
        of.clear()

    async def _wait_for_frames(self, frames: int) -> None:
        received = self._backend.received
        wanted = sum(map(len, received.values())) + frames
        await self._backend.until(lambda: sum(map(len, received.values())) >= wanted)

    def _any_user(self) -> str:
        return self._chance.choice(sorted(self._backend.sessions))

    def _cut(self, user: str) -> None:
        if self._backend.sessions[user].connection is not None:
            self._backend.cut(user)


@pytest.mark.parametrize("seed", range(4))
async def test_every_message_arrives_once_and_in_order(
    backend: Backend, gateway: Gateway, other_gateway: Gateway, seed: int
) -> None:
    chance = random.Random(seed)
    urls, sent, over = (gateway.url, other_gateway.url), {"ann": 0, "bob": 0}, asyncio.Event()

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
        return chance.random() / 1000

    async with (
        connect(urls, "ann", resume=True, reply_timeout_s=5, jitter=jitter) as ann,
        connect(urls, "bob", resume=True, reply_timeout_s=5, jitter=jitter) as bob,
    ):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(write(ann, "bob"))
            tasks.create_task(write(bob, "ann"))
            await FaultInjector(backend, chance).run()
            over.set()
        for client, user in ((ann, "ann"), (bob, "bob")):
            assert await read(client, user) == list(range(1, sent[user] + 1))
            assert client.stats.reconnects == client.stats.resumes > 0
            assert client.stats.resets == 0
