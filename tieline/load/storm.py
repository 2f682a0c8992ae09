"""A storm: sessions that lose their gateway all at once, and are resumed on those that are left.

They come back as the clients of `tieline.client` and of browsers do, each at a random moment within a second,
and after a failure with growing waits, not before the moment that a refusal names. How long a return took is
counted from that moment. Where a server knows no sessions the same users connect anew, and are back when
others can reach them.
"""

import asyncio
import itertools
import random
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import quote

import msgspec

from tieline.client.gateway_pool import BACKOFF_BASE_S, RETRY_AFTER_CAP_S, Backoff
from tieline.load.client import LoadError, Target
from tieline.load.connection import Connection, UpgradeRefused, connect
from tieline.load.measurement import Measurement, Subject, clock
from tieline.load.side_by_side import side_by_side
from tieline.tokens import EVERY_ROOM, make_token

ARRIVALS_AT_ONCE: Final = 16

PATIENCE_S: Final = 60.0
"""For all to be back: twice the resume window, after which no session can be resumed."""

RETURNS_PER_COST: Final = 1000
"""CPU seconds are given for so many returns."""


class _Welcome(msgspec.Struct):
    class Data(msgspec.Struct, rename="camel"):
        resume_token: str
        resumed: bool

    data: Data


_welcome = msgspec.json.Decoder(_Welcome)


class ResumingClient:
    """One client that comes back, and resumes its session if the server knows any.

    It is in a room with another one then, who is told that it is away, and back.
    """

    connection: Connection

    def __init__(
        self, target: Target, user: str, room: str, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self.is_resumed = False
        self.failures: Counter[str] = Counter()
        """Attempts to come back that failed, by the reason of the refusal, or the kind of the error."""
        self.resumes = target.secret is not None
        self._target = target
        self._pause = pause
        self._user = user
        self._resume_token = ""
        self._headers: dict[str, str] = {}
        if target.secret is not None:
            token = make_token(target.secret, user, [EVERY_ROOM], join=[room], made_for=target.made_for)
            self._headers = {"Authorization": f"Bearer {token}"}

    async def arrive(self, url: str) -> None:
        """Connect, and wait for the welcome.

        Raises:
            UpgradeRefused, OSError, TimeoutError: not this time.
        """
        welcome: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def on_text(frame: bytes) -> None:
            if not welcome.done():
                welcome.set_result(frame)

        target = self._target
        query = f"acks=1&resume={self._resume_token}" if self.resumes else f"user={quote(self._user)}"
        url = f"{url}{'&' if '?' in url else '?'}{query}"
        self.connection = await connect(url, on_text, self._headers, tls=target.tls, kind=target.connection)
        either: list[asyncio.Future[Any]] = [welcome, self.connection.closed]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not welcome.done():
            raise UpgradeRefused(f"no WELCOME: {self.connection.closed.result()}")
        if self.resumes:
            data = _welcome.decode(welcome.result()).data
            self._resume_token, self.is_resumed = data.resume_token, data.resumed

    async def reconnect(self, url: str, spread: float) -> tuple[float, float]:
        """Reconnect until it succeeds; returns the moment of the first attempt, and that of the welcome."""
        backoff = Backoff(random.random)
        wait = backoff.next_s() * spread / BACKOFF_BASE_S
        due = clock() + wait
        while True:
            await self._pause(wait)
            try:
                await self.arrive(url)
            except UpgradeRefused as refusal:
                self.failures[refusal.reason or str(refusal)] += 1
                wait = backoff.next_s() + min(refusal.retry_after_s or 0.0, RETRY_AFTER_CAP_S)
                continue
            except OSError as problem:
                self.failures[type(problem).__name__] += 1
                wait = backoff.next_s()
                continue
            return due, clock()


async def measure_storm(
    target: Target,
    sessions: int,
    spread: float,
    measured: Measurement,
    kill: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Let `sessions` sessions of the first gateway lose it, and time their return to the others.

    `kill` ends that gateway; without it the sessions' own connections are cut. The first attempts are spread
    over `spread` seconds. The measurement begins with the loss.

    Raises:
        LoadError, UpgradeRefused, OSError, TimeoutError: a session could not be opened, or none came back.
    """
    asked: dict[str, float | str] = {
        "sessions": sessions,
        "spread": spread,
        "loss": "connections cut" if kill is None else "gateway killed",
    }
    measured.describe(Subject("storm", asked, "returns", RETURNS_PER_COST, processes_may_end=True))
    clients = [ResumingClient(target, *names) for names in _names(sessions)]
    dying, *others = target.urls
    await _arrive_all(clients, dying, measured)
    if kill is not None:
        await kill()
    measured.start()
    began = measured.began
    if kill is None:
        for client in clients:
            client.connection.cut()
    back = await _until_back(clients, others or [dying], spread, measured)
    measured.stop()
    measured.more["all back, s"] = max(back, default=began) - began
    failures = sum((client.failures for client in clients), Counter[str]())
    measured.more["failed attempts"] = failures.total()
    for reason, count in sorted(failures.items()):
        measured.more[f"failed: {reason}"] = count
    measured.more["resumed"] = sum(client.is_resumed for client in clients)
    measured.faults.not_resumed += sum(client.resumes and not client.is_resumed for client in clients)
    for start in range(0, len(clients), ARRIVALS_AT_ONCE):
        await asyncio.gather(*(each.connection.close() for each in clients[start : start + ARRIVALS_AT_ONCE]))


async def _until_back(
    clients: list[ResumingClient], urls: list[str], spread: float, measured: Measurement
) -> list[float]:
    """Let all come back; returns when each was."""
    back: list[float] = []

    async def come_back(client: ResumingClient, url: str) -> None:
        await client.connection.closed
        client.is_resumed = False
        due, now = await client.reconnect(url, spread)
        measured.latencies.add(due, now - due)
        back.append(now)
        measured.step("come back", len(back), len(clients))

    try:
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
            for client, url in zip(clients, itertools.cycle(urls), strict=False):
                group.create_task(come_back(client, url))
    except TimeoutError:
        if not back:
            raise LoadError(f"no session came back within {PATIENCE_S:g} s") from None
    return back


def _names(count: int) -> list[tuple[str, str]]:
    """Make ids of users and rooms: two users share a room."""
    run = uuid.uuid4().hex[:8]
    return [(f"storm_{run}_{number}", f"storm_{run}_room_{number // 2}") for number in range(count)]


async def _arrive_all(clients: list[ResumingClient], url: str, measured: Measurement) -> None:
    waiting = iter(enumerate(clients, 1))

    async def keep_arriving() -> None:
        for number, client in waiting:
            await client.arrive(url)
            measured.step("open sessions", number, len(clients))

    await side_by_side(keep_arriving() for _ in range(ARRIVALS_AT_ONCE))
