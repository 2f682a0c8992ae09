"""`tieline.cli.bench.progress`: a bar on a terminal, and nothing elsewhere."""

import asyncio
import io
import sys

import pytest

from tieline.cli.bench import progress
from tieline.cli.bench.progress import Progress
from tieline.load.measurement import Measurement, Subject

PATIENCE_S = 10


class Terminal(io.StringIO):
    def __init__(self) -> None:
        super().__init__()
        self._awaited = ""
        self._said = asyncio.Event()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        written = super().write(text)
        if self._awaited and self._awaited in self.getvalue():
            self._said.set()
        return written

    async def until(self, words: str) -> None:
        """Wait for words in what is written from now on, or was before."""
        self._said.clear()
        self._awaited = words
        await self._said.wait()


def measurement() -> Measurement:
    measured = Measurement()
    measured.describe(Subject("relay", {}, "signals", 1))
    return measured


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "EVERY_S", 0.001)


async def test_a_terminal_sees_steps_and_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    measured = measurement()
    with Progress("2 pairs", measured):
        measured.step("connect pairs", 1, 2)
        async with asyncio.timeout(PATIENCE_S):
            await terminal.until("2 pairs: connect pairs  50%")
            measured.start(1000)
            await terminal.until("2 pairs: relay   0%")
            await terminal.until("| 0/1,000 s")


async def test_elsewhere_there_is_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    measured = measurement()
    with Progress("2 pairs", measured):
        measured.step("connect pairs", 1, 2)
        await asyncio.sleep(0)
    assert capsys.readouterr().err == ""
