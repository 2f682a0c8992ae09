"""The life of a bot's process: until its script is done, a signal comes, or its time is up."""

import asyncio
import os
import signal

import pytest

from tests.support.waiting import within
from tests.unit.cli.call.test_bot import SCRIPT
from tests.unit.client.minimal_gateway import MinimalGateway, serving
from tieline.cli.call.bot_runner import BotTarget, run_bot


class Said:
    """The lines of a bot."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._first = asyncio.Event()

    def __call__(self, line: str) -> None:
        self.lines.append(line)
        self._first.set()

    async def something(self) -> None:
        await within(self._first.wait())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_a_waiting_bot_well(number: signal.Signals) -> None:
    said = Said()
    async with serving(MinimalGateway().handle) as url:
        running = asyncio.ensure_future(run_bot(BotTarget([url], "bot", None), SCRIPT, said))
        await said.something()
        os.kill(os.getpid(), number)
        assert await within(running)
    assert said.lines[-1] == f"ended by {number.name}"


async def test_a_bot_ends_when_its_time_is_up() -> None:
    said = Said()
    async with serving(MinimalGateway().handle) as url:
        assert await within(run_bot(BotTarget([url], "bot", 0.5), SCRIPT, said))
    assert said.lines[-1] == "ended: 0.5 s are over"


async def test_a_bot_without_a_gateway_fails() -> None:
    said = Said()
    assert not await within(run_bot(BotTarget(["ws://127.0.0.1:1/ws"], "bot", None), SCRIPT, said))
    assert "no gateway at ws://127.0.0.1:1/ws" in said.lines[-1]


async def test_signals_have_their_old_meaning_afterwards() -> None:
    await within(run_bot(BotTarget(["ws://127.0.0.1:1/ws"], "bot", None), SCRIPT, Said()))
    assert not asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
