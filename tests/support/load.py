"""Pairs that talk both ways while something dies, and what they saw of it."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

from tests.support.delivery_report import DeliveryReport, NumberedMessages
from tests.support.frames import new_id
from tests.support.load_client import LoadClient

MESSAGES: Final = 50
"""That everybody sends and receives before a fault, and after it."""

BEAT_S: Final = 0.02
"""Between two messages of one client: 50 a second, more than browsers trickle."""

PATIENCE_S: Final = 60.0
"""For whatever must come in the end: far more than a lease, for machines that have other things to do."""

WINDOWS: Final = (1, 4)
"""How many messages a client sends ahead of their acks: one pair waits for each, the next pair does not."""


class Load:
    """So many pairs. Each has a room of its own and an established call. See `running`."""

    def __init__(
        self, urls: Sequence[str], pairs: int, windows: Sequence[int], chance: random.Random
    ) -> None:
        self._news = asyncio.Event()
        self.clients: list[LoadClient] = []
        self.callers: list[LoadClient] = []
        for pair in range(pairs):
            users = new_id("caller"), new_id("callee")
            messages = NumberedMessages.both_ways()
            room, window = new_id("room"), windows[pair % len(windows)]
            one, other = [
                LoadClient(
                    users[side],
                    users[1 - side],
                    room,
                    urls,
                    (pair // 2 + side) % len(urls),
                    messages[side],
                    messages[1 - side],
                    window,
                    chance,
                    self._news.set,
                )
                for side in (0, 1)
            ]
            self.callers.append(one)
            self.clients += one, other

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until `condition` holds; looked at whenever a client hears something, and with every beat."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not condition():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            states = "\n".join(
                f"{client.user}: {client.progress} {dict(client.counts)}" for client in self.clients
            )
            raise AssertionError(f"not {what} within {PATIENCE_S:g} s: {self.report()}\n{states}") from None

    async def progress(self, messages: int) -> None:
        """Wait until every client has had so many more acks, and so many more messages."""
        before = {client: client.progress for client in self.clients}

        def are_through() -> bool:
            return all(
                now >= then + messages
                for client in self.clients
                for now, then in zip(client.progress, before[client], strict=True)
            )

        await self.until(are_through, f"{messages} more messages for everybody")

    async def silence(self, seconds: float) -> None:
        """Wait until no client has heard anything for so long."""
        await self.until(
            lambda: all(client.silence_s >= seconds for client in self.clients), f"silent for {seconds:g} s"
        )

    def begin_pauses(self) -> None:
        """Measure pauses anew from here."""
        for client in self.clients:
            client.begin_pause()

    @property
    def longest_pause_s(self) -> float:
        """The longest that any client has had to wait for an ack or a message since `begin_pauses`."""
        return max(client.longest_pause_s for client in self.clients)

    @property
    def counts(self) -> Counter[str]:
        """What happened to all connections."""
        return sum((client.counts for client in self.clients), Counter[str]())

    async def spread(self) -> None:
        """Bring the two of each pair to different gateways again."""
        pairs = list(zip(self.clients[::2], self.clients[1::2], strict=True))

        def are_apart() -> bool:
            for caller, callee in pairs:
                if caller.url_in_use == callee.url_in_use:
                    caller.move()
            return all(caller.url_in_use not in (None, callee.url_in_use) for caller, callee in pairs)

        await self.until(are_apart, "on two gateways, each pair")

    def users_on(self, url: str) -> list[LoadClient]:
        """The clients of one gateway."""
        return [client for client in self.clients if client.url_in_use == url]

    def report(self, *, at_rest: bool = False) -> DeliveryReport:
        """Sum up all clients (see `NumberedMessages.report`)."""
        return sum((client.report(at_rest=at_rest) for client in self.clients), DeliveryReport())

    async def settle(self) -> DeliveryReport:
        """Send nothing new, wait for every ack and every message, and sum up."""
        for client in self.clients:
            client.stop()
        await self.until(lambda: all(client.is_settled for client in self.clients), "all acknowledged")
        await self.until(lambda: all(client.has_left_nothing_open for client in self.clients), "left alone")
        with suppress(AssertionError):  # then something is lost, and the report says so
            await self.until(lambda: not self.report(at_rest=True).lost, "all received")
        return self.report(at_rest=True)

    async def establish(self) -> None:
        """Have every pair make its call, then send candidates both ways."""
        await self.until(
            lambda: all(client.url_in_use is not None for client in self.clients), "all connected"
        )
        for caller in self.callers:
            caller.call()
        await self.until(
            lambda: all("WEBRTC_ANSWER" in caller.heard_cmds for caller in self.callers), "all answered"
        )
        for client in self.clients:
            client.begin()

    async def beat(self) -> None:
        """Give the beat until cancelled."""
        while True:
            for client in self.clients:
                client.beat()
            self._news.set()
            await asyncio.sleep(BEAT_S)


async def nothing_is_amiss(load: Load) -> DeliveryReport:
    """Let everybody talk on, then settle the accounts: nothing was lost, repeated, refused or reordered."""
    await load.progress(MESSAGES)
    report = await load.settle()
    assert report.faults == {}
    assert report.sent == report.acked == report.received
    return report


@asynccontextmanager
async def running(
    urls: Sequence[str],
    pairs: int,
    windows: Sequence[int] = WINDOWS,
    chance: random.Random | None = None,
) -> AsyncIterator[Load]:
    """Run pairs on these gateways, the two of a pair on different ones; they talk when this begins."""
    load = Load(urls, pairs, windows, chance or random.Random(0))
    async with asyncio.TaskGroup() as living:
        tasks = [living.create_task(client.live()) for client in load.clients]
        tasks.append(living.create_task(load.beat()))
        try:
            await load.establish()
            yield load
        finally:
            for task in tasks:
                task.cancel()
