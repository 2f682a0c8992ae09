"""A job in the background that is never under way twice: starting it again joins the one that runs.

For work that several reasons may ask for at once, and that is done for all of them together. It does not
repeat itself: a job that must look again when it was asked for meanwhile keeps note of that itself.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Runs `job`, once at a time, as a task of the given group."""

    def __init__(self, tasks: asyncio.TaskGroup, job: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._tasks = tasks
        self._job = job
        self._running: asyncio.Task[T] | None = None

    def start(self) -> asyncio.Task[T]:
        """Start the job unless it is under way; returns its task, which is the group's."""
        if self._running is None or self._running.done():
            self._running = self._tasks.create_task(self._job())
        return self._running

    async def result(self) -> T:
        """Start the job unless it is under way, and wait for its result.

        A caller that is cancelled stops waiting; the job goes on for the others.
        """
        return await asyncio.shield(self.start())
