"""Cancel what may lose a cancellation.

nats-py waits with `asyncio.wait_for`, which before Python 3.12 drops a cancellation that comes in the turn of
the loop in which what it waits for ends, and goes on. Whoever cancels once, as `asyncio.timeout` and a
`TaskGroup` do, would wait for ever for a loop of attempts. Here such a task is cancelled until it has ended.

For what is nats-py's, or may lead there. What waits for nothing but futures, queues and streams of asyncio
loses no cancellation, and needs no task of its own.
"""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

CANCEL_AGAIN_S: Final = 0.1
"""Until a task that has not ended is cancelled once more: ending takes a turn of the loop, or what is to be
closed meanwhile."""

T = TypeVar("T")


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel a task until it has ended. Whoever wants to know what came of it looks at it afterwards."""
    while not task.done():
        task.cancel()
        await asyncio.wait((task,), timeout=CANCEL_AGAIN_S)


async def cancellable(coroutine: Coroutine[Any, Any, T]) -> T:
    """Await a coroutine that may lose a cancellation; cancelled, raise that once the coroutine is over.

    What the coroutine has come to all the same is dropped.
    """
    task = asyncio.get_running_loop().create_task(coroutine)
    try:
        await asyncio.wait((task,))
    except asyncio.CancelledError:
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):  # another one: the first is raised below
                await end(task)
        if not task.cancelled():
            task.exception()  # read, or asyncio would report it as one of which nobody knows
        raise
    return task.result()
