"""Run one bot: connect, carry out its script, and end on a signal or when time is up."""

import asyncio
import signal
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from tieline.cli.call.advice import explained
from tieline.cli.call.bot import Bot
from tieline.cli.call.bot_script import BotScript
from tieline.client import ClientError, TokenSource, connect

INSIST_S: Final = 30.0
"""A message is sent again for so long while the system leaves open whether it was delivered."""

ENDING_S: Final = 8.0
"""From the signal to the end, even if something hangs: a last hang-up, a connect, a close."""

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class BotTarget(NamedTuple):
    """The system that a bot connects to, and as which user."""

    urls: Sequence[str]
    token: str | TokenSource
    timeout_s: float | None
    """The bot ends after so long; None: never."""


async def run_bot(target: BotTarget, script: BotScript, say: Callable[[str], None]) -> bool:
    """Run the bot until its script is done, a signal comes, or time is up; returns whether it went well."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop(why: str) -> None:
        if not stopping.is_set():
            say(why)
            stopping.set()

    for number in SIGNALS:
        loop.add_signal_handler(number, stop, f"ended by {number.name}")
    time_up = None
    if target.timeout_s is not None:
        time_up = loop.call_later(target.timeout_s, stop, f"ended: {target.timeout_s:g} s are over")
    try:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(_carry_out(target, script, say, stopping))
            stopped = tasks.create_task(stopping.wait())
            await asyncio.wait((running, stopped), return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            await asyncio.wait((running,), timeout=ENDING_S)
            running.cancel()
        return not running.cancelled() and running.result()
    finally:
        if time_up is not None:
            time_up.cancel()
        for number in SIGNALS:
            loop.remove_signal_handler(number)


async def _carry_out(
    target: BotTarget, script: BotScript, say: Callable[[str], None], stopping: asyncio.Event
) -> bool:
    try:
        async with connect(target.urls, target.token, resume=True, insist_s=INSIST_S) as client:
            return await Bot(client, script, say).run(stopping)
    except (ClientError, ValueError) as problem:
        say(explained(problem))
        return False
