"""The one timeout of the scenarios, and the one place in which they wait by looking again and again."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

PATIENCE_S: Final = 40.0
"""For anything that must come: far more than it takes, for a machine that has other things to do."""

POLL_S: Final = 0.02
"""Between two looks at what does not announce its changes: a file, an endpoint of another process."""

ResultT = TypeVar("ResultT")


async def within(awaitable: Awaitable[ResultT]) -> ResultT:
    """Await what must come, and return it."""
    async with asyncio.timeout(PATIENCE_S):
        return await awaitable


async def until(condition: Callable[[], ResultT | None]) -> ResultT:
    """Wait until `condition` gives something true, and return that."""
    return await until_true(_later(condition))


async def until_true(condition: Callable[[], Awaitable[ResultT | None]]) -> ResultT:
    """Wait until awaiting `condition()` gives something true, and return that."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := await condition()):
        assert time.monotonic() < deadline, f"not so within {PATIENCE_S:g} s, but {found!r}"
        await asyncio.sleep(POLL_S)
    return found


def until_now(condition: Callable[[], ResultT | None]) -> ResultT:
    """Like `until`, for where there is no event loop."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not so within {PATIENCE_S:g} s, but {found!r}"
        time.sleep(POLL_S)
    return found


def _later(condition: Callable[[], ResultT | None]) -> Callable[[], Awaitable[ResultT | None]]:
    async def ask() -> ResultT | None:
        return condition()

    return ask
