"""One shift of the bot: connect, play a part, and end on a signal or when time is up."""

import asyncio
import signal
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from tieline.cli.call.bot import Bot, Part
from tieline.client import ClientError, TokenSource, connect

INSIST_S: Final = 30.0
"""For so long a message is sent again when the system leaves open what became of it."""

ENDING_S: Final = 8.0
"""From the signal to the end, whatever hangs: a last hang-up, a connection that is being made, or closed."""

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Post(NamedTuple):
    """Where the bot works, and as whom."""

    urls: Sequence[str]
    token: str | TokenSource
    timeout_s: float | None
    """After which it goes home; None: never."""


async def work(post: Post, part: Part, say: Callable[[str], None]) -> bool:
    """Connect, and play the part until it is over, a signal comes, or time is up; says if it went well."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop(why: str) -> None:
        if not stopping.is_set():
            say(why)
            stopping.set()

    for number in SIGNALS:
        loop.add_signal_handler(number, stop, f"ended by {number.name}")
    time_up = None
    if post.timeout_s is not None:
        time_up = loop.call_later(post.timeout_s, stop, f"ended: {post.timeout_s:g} s are over")
    try:
        async with asyncio.TaskGroup() as tasks:
            playing = tasks.create_task(_play(post, part, say, stopping))
            stopped = tasks.create_task(stopping.wait())
            await asyncio.wait((playing, stopped), return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            await asyncio.wait((playing,), timeout=ENDING_S)
            playing.cancel()
        return not playing.cancelled() and playing.result()
    finally:
        if time_up is not None:
            time_up.cancel()
        for number in SIGNALS:
            loop.remove_signal_handler(number)


async def _play(post: Post, part: Part, say: Callable[[str], None], stopping: asyncio.Event) -> bool:
    try:
        async with connect(post.urls, post.token, resume=True, insist_s=INSIST_S) as client:
            return await Bot(client, part, say).run(stopping)
    except (ClientError, ValueError) as problem:
        say(str(problem))
        return False
