"""What an attack is, and what it finds: the system's addresses, users of its own, places to note things."""

import asyncio
import contextlib
import json
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlencode, urlsplit

from tests.attacks.line import Line, Refused
from tests.attacks.player import Player
from tests.support.frames import NO_CLAIMS, token
from tests.support.http_get import http_get
from tests.support.system import summed_up

AT_ONCE: Final = 24
"""Connections that are opened side by side while an attack is set up."""

COME_BACK_S: Final = 0.05
"""Before an attacker whose connection has ended comes again."""

HOME: Final = "127.0.0.1"

ResultT = TypeVar("ResultT")
OfAttack = Callable[["Scene"], AsyncIterator[None]]
"""Sets the attack up, yields, and attacks until it is cancelled, or is done."""


@dataclass(frozen=True)
class Attack:
    """One row: what is done, and what bounds it."""

    name: str
    what: str
    """A sentence: what the attacker does."""
    bound: str
    """A sentence: what keeps it from others."""
    run: OfAttack
    least_s: float = 0.0
    """It lasts so long at least: for what cannot be shorter."""
    settings: tuple[tuple[str, str], ...] = ()
    """Of the system, where the row's subject is not there by default."""
    files: int = 0
    """How many files each process of the system may have open; 0: as many as this one."""
    kills_broker: bool = False
    """The broker ends meanwhile: messages wait, and the honest may be told to ask again."""


def flooding(count: int, chunk: bytes) -> OfAttack:
    """Make the attack of so many who write the same over and over, and look at no answer."""

    async def run(scene: "Scene") -> AsyncIterator[None]:
        lines = await scene.deaf_crowd(count)
        yield
        await scene.flood_all(lines, chunk)

    return run


@dataclass
class Scene:
    """The system as an attacker sees it."""

    ready_file: Path
    key_server: str
    """What the gateways of a row about keys ask; nothing answers there but errors."""
    share: float
    """Of the size of crowds: 1 for the whole, less where time is short."""
    one_address: bool
    """Everybody comes from one address, as behind a proxy that hides them."""
    run: str
    """Part of the name of all users and rooms, so that they are new."""
    chance: random.Random
    counts: Counter[str] = field(default_factory=Counter)
    """What was done, and what came of it; an attack that did nothing has proved nothing."""
    amiss: list[str] = field(default_factory=list)
    """What befell those whom the attack is about, and must not."""
    lines: list[Line] = field(default_factory=list)
    """All connections; cut when the row ends."""
    _names: int = 0

    @property
    def document(self) -> Any:
        """What the ready file says now."""
        return json.loads(self.ready_file.read_text())

    @property
    def urls(self) -> list[str]:
        """Of the gateways; the first one is attacked, and the honest senders are on it."""
        urls: list[str] = self.document["gateways"]
        return urls

    async def metric(self, kind: str, name: str, which: int = 0) -> float:
        """Read one sample of a process's metrics, without labels."""
        parts = urlsplit(self.document["ops"][kind][which])
        _, exposition = await asyncio.to_thread(http_get, parts.port or 0, "/metrics")
        return summed_up(exposition, name, {})

    def end_broker(self) -> bool:
        """End the broker without a word, also one that is not ready yet; False: there is none now."""
        port = self.document["nats"].rpartition(":")[2]
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                words = path.read_bytes().decode(errors="replace").split("\0")
                if words[0].endswith("nats-server") and port in words:
                    os.kill(int(path.parent.name), signal.SIGKILL)
                    return True
        return False

    def some(self, whole: int, least: int = 10) -> int:
        """Scale the size of a crowd."""
        return max(min(whole, least), int(whole * self.share))

    def name(self, kind: str = "u") -> str:
        """Make an id that nobody has had."""
        self._names += 1
        return f"{kind}-{self.run}-{self._names}"

    def address(self) -> str:
        """Give an address of this machine that nobody of this row has had."""
        if self.one_address:
            return HOME
        self._names += 1
        return f"127.{self.chance.randrange(16, 255)}.{self._names // 250 % 250}.{self._names % 250 + 1}"

    def url_for(
        self,
        user: str,
        claims: Mapping[str, object] = NO_CLAIMS,
        query: Mapping[str, str] = NO_CLAIMS,  # type: ignore[assignment]
        gateway: int = 0,
    ) -> str:
        """Build the URL with which a user connects."""
        return f"{self.urls[gateway]}?{urlencode({'token': token(user, claims), 'acks': '1', **query})}"

    async def dial(self, source: str | None = None, gateway: int = 0, **how: Any) -> Line:
        """Connect, and say nothing.

        Raises:
            OSError: the server does not take it.
        """
        line = await Line.dial(self.urls[gateway], source or self.address(), **how)
        self.lines.append(line)
        return line

    async def deaf(
        self,
        user: str | None = None,
        claims: Mapping[str, object] = NO_CLAIMS,
        *,
        source: str | None = None,
        gateway: int = 0,
        receive_buffer: int | None = None,
    ) -> Line:
        """Connect a user who does not look at what comes.

        Raises:
            Refused, OSError: as `Line.upgrade`.
        """
        line = await self.dial(source, gateway, is_deaf=True, receive_buffer=receive_buffer)
        await line.upgrade(self.url_for(user or self.name(), claims, gateway=gateway))
        return line

    async def player(
        self,
        user: str | None = None,
        claims: Mapping[str, object] = NO_CLAIMS,
        *,
        resume: str | None = None,
        last: str = "",
        place: str | None = None,
        source: str | None = None,
        gateway: int = 0,
    ) -> Player:
        """Connect a user who listens, and return when it is greeted. `resume` is a secret, "" to get one.

        `place` is where it goes on, "" if it asks for places only; None: it relies on `last`.

        Raises:
            Refused, OSError, ConnectionError: it was not let in.
        """
        player = Player(user or self.name())
        query = {} if resume is None else {"resume": resume, "last": last}
        query |= {} if place is None else {"place": "1", "lastPlace": place}
        line = await self.dial(source, gateway, on_text=player.on_text)
        player.line = line
        await line.upgrade(self.url_for(player.user, claims, query, gateway))
        player.welcome = (await player.want(lambda message: bool(message["cmd"] == "WELCOME")))["data"]
        return player

    async def crowd(self, makers: Iterable[Callable[[], Awaitable[ResultT]]]) -> list[ResultT]:
        """Do all of it, some side by side; who is refused comes again, for a while."""
        waiting = iter(list(makers))
        made: list[ResultT] = []

        async def some() -> None:
            for make in waiting:
                one = await self.patiently(make)
                made.append(one)

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(some())
        return made

    async def patiently(self, make: Callable[[], Awaitable[ResultT]], tries: int = 60) -> ResultT:
        """Do it again until it is not refused.

        Raises:
            Refused, OSError: it was, all the time.
        """
        for nth in range(tries):
            try:
                return await make()
            except (Refused, OSError) as problem:  # TimeoutError and ConnectionError are such
                self.counts[f"set-up: {type(problem).__name__} {problem}"[:60]] += 1
                if nth == tries - 1:
                    raise
            await asyncio.sleep(0.3)
        raise AssertionError("unreachable")

    async def deaf_crowd(
        self, count: int, claims: Mapping[str, object] = NO_CLAIMS, *, gateway: int = 0
    ) -> list[Line]:
        """Connect so many users who do not look at what comes, each from an address of its own."""
        return await self.crowd([lambda: self.deaf(claims=claims, gateway=gateway)] * count)

    async def players(
        self,
        count: int,
        claims: Mapping[str, object] = NO_CLAIMS,
        *,
        resume: str | None = None,
        gateway: int = 0,
    ) -> list[Player]:
        """Connect so many users who listen, each from an address of its own."""
        make = lambda: self.player(claims=claims, resume=resume, gateway=gateway)  # noqa: E731
        return await self.crowd([make] * count)

    async def flood(
        self, make: Callable[[], Awaitable[Line]], chunk: bytes, first: Line | None = None
    ) -> None:
        """Write `chunk` as fast as it is taken; who is put out comes again."""
        line = first
        while True:
            try:
                line = line or await make()
            except (Refused, OSError) as problem:
                self.counts[f"refused: {problem}"[:40]] += 1
                await asyncio.sleep(COME_BACK_S)
                continue
            while line.is_open:
                line.write(chunk)
                self.counts["chunks"] += 1
                await line.writable()
            self.counts[f"closed {line.closed.result()}"] += 1
            line = None
            await asyncio.sleep(COME_BACK_S)

    async def flood_all(
        self, lines: Sequence[Line], chunk: bytes, claims: Mapping[str, object] = NO_CLAIMS
    ) -> None:
        """Let all of them flood side by side, who come again from the same address under another name."""
        await self.all(self.flood(lambda: self.deaf(claims=claims), chunk, line) for line in lines)

    async def all(self, doing: Iterable[Awaitable[object]]) -> None:
        """Do all of it side by side."""

        async def one(what: Awaitable[object]) -> None:
            await what

        async with asyncio.TaskGroup() as group:
            for what in doing:
                group.create_task(one(what))

    async def again_and_again(self, do: Callable[[], Awaitable[object]], side_by_side: int = 1) -> None:
        """Do it over and over, so many side by side; what fails is counted."""

        async def one() -> None:
            while True:
                try:
                    await do()
                    self.counts["done"] += 1
                except (Refused, OSError) as problem:
                    self.counts[f"failed: {type(problem).__name__} {problem}"[:60]] += 1
                    await asyncio.sleep(COME_BACK_S)
                await asyncio.sleep(0)

        await self.all(one() for _ in range(side_by_side))

    def expect(self, is_so: object, sentence: str) -> None:
        """Note that something is amiss, unless it is so."""
        if not is_so:
            self.amiss.append(sentence)

    def end_all(self) -> None:
        """Cut all connections."""
        for line in self.lines:
            line.cut()
        self.lines.clear()
