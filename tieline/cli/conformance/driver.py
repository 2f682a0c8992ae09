"""The client's driver does what it is told, one JSON object a line (docs/conformance.md#the-driver).

It is a process; what carries its lines is a `Channel`, so that a test can be a driver itself.
"""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

from tieline.cli.conformance.news import News

Json = dict[str, Any]

EXIT_S: Final = 2.0
"""For the driver to end after its standard input has: what it holds open is its own."""

LONGEST_LINE: Final = 1 << 20
"""Bytes of what a driver says at once: far above the members of a room."""


class Channel(Protocol):
    """What carries the lines to a driver, and back."""

    def lines(self) -> AsyncIterator[bytes]:
        """Iterate over what it says, until it ends."""
        ...

    async def write(self, line: bytes) -> None:
        """Tell it something; nothing, if it has ended."""
        ...

    async def end(self) -> None:
        """Let it end, and end it where it does not."""
        ...


class ProcessChannel:
    """A driver that is a process, by its standard input and output."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, command: Sequence[str]) -> "ProcessChannel":
        """Start it.

        Raises:
            DriverFailed: there is no such program.
        """
        try:
            return cls(
                await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, limit=LONGEST_LINE)
            )
        except OSError as problem:
            raise DriverFailed(f"the driver cannot be started: {problem}") from problem

    async def lines(self) -> AsyncIterator[bytes]:
        """Iterate over what it says."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            yield line

    async def write(self, line: bytes) -> None:
        """Write to its standard input."""
        assert self._process.stdin is not None
        with suppress(ConnectionError):
            self._process.stdin.write(line)
            await self._process.stdin.drain()

    async def end(self) -> None:
        """Close its standard input; kill it if it does not end by that."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(EXIT_S):
                await self._process.wait()
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


class DriverFailed(Exception):
    """The driver ended, or does not speak as it should: nothing can be said of the client."""


class Driver:
    """One run of the driver; `patience_s` is for one answer, and `news` is told whatever it says."""

    def __init__(self, channel: Channel, patience_s: float, news: News) -> None:
        self._channel = channel
        self._patience_s = patience_s
        self._news = news
        self._count = 0
        self._answers: dict[int, Json] = {}
        self._ended = False
        self.heard: list[Json] = []
        """What the application heard, in order."""
        self.cannot: set[str] = set()
        """What this client cannot do, as its driver says."""

    async def read(self) -> None:
        """Take note of what it says, until it ends."""
        async for line in self._channel.lines():
            try:
                said = json.loads(line)
            except ValueError:
                sys.stderr.write(f"driver: {line.decode(errors='replace')}")
                continue
            if not isinstance(said, dict):
                continue
            if "id" in said:
                self._answers[said["id"]] = said
            elif "heard" in said:
                self.heard.append(said)
            self.cannot.update(said.get("cannot", ()) if "driver" in said else ())
            self._news.tell()
        self._ended = True
        self._news.tell()

    async def begin(self, do: str, **details: object) -> int:
        """Tell it to do something; returns the number to ask for the answer with."""
        self._count += 1
        line = json.dumps({"id": self._count, "do": do, **details}) + "\n"
        await self._channel.write(line.encode())
        return self._count

    async def tell(self, do: str, **details: object) -> Json:
        """Tell it to do something, and wait until it is done, or has failed."""
        return await self.answer(await self.begin(do, **details), do)

    async def answer(self, number: int, do: str) -> Json:
        """Wait for what became of it."""
        if not await self.until(lambda: number in self._answers):
            raise DriverFailed(f"the driver does not say what became of {do!r} within {self._patience_s:g} s")
        return self._answers[number]

    def check(self) -> None:
        """Raise `DriverFailed` if it has ended."""
        if self._ended:
            raise DriverFailed("the driver has ended")

    def has_answered(self, number: int) -> bool:
        """Whether it has said what became of it."""
        return number in self._answers

    def refusal(self, number: int) -> Json | None:
        """Return what it has said, if that is that the client cannot do it, or has failed."""
        answer = self._answers.get(number, {})
        return answer if "cannot" in answer or "failed" in answer else None

    async def until(self, is_so: Callable[[], bool], patience_s: float | None = None) -> bool:
        """Wait until something it says makes this true; False: it does not in time."""

        def is_so_or_ended() -> bool:
            return is_so() or self._ended

        if not await self._news.until(is_so_or_ended, self._patience_s if patience_s is None else patience_s):
            return False
        if not is_so():
            self.check()
        return True

    def hears(self, what: str, **details: object) -> list[Json]:
        """List what was heard of a kind, with these details."""
        return [said for said in self.heard if said["heard"] == what and details.items() <= said.items()]

    async def end(self) -> None:
        """Let it end."""
        await self._channel.end()
