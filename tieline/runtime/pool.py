"""Carry out a bounded number of jobs at once, in tasks of their own; the others wait in a `FairQueue`.

A job that waits costs what it was read as, and nothing else: it has no task, and has asked nobody. A process
that is asked for more than it can do so keeps its memory, and answers first those who have asked for little.
Each job guards itself against bugs; one that ends with an exception ends the group of tasks.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from tieline.runtime import metrics
from tieline.runtime.fair_queue import Drop, FairQueue, Waiting

Job = Callable[[], Coroutine[Any, Any, None]]
"""Makes the coroutine that does what was asked."""


class PoolSize(NamedTuple):
    """How much a pool takes on."""

    under_way: int
    """Jobs at once."""
    of_one: int
    """Jobs of one owner at once."""
    waiting: int = 2048
    """Jobs that wait: more than a process can do before their askers ask again."""
    waiting_bytes: int = 16 * 1024 * 1024
    """What those may take in memory: a request may hold a frame of 64 KiB."""


class Pool:
    """Carries out jobs, as tasks of the given group."""

    def __init__(self, tasks: asyncio.TaskGroup, size: PoolSize) -> None:
        self._tasks = tasks
        self._most = size.under_way
        self._queue: FairQueue[Job] = FairQueue(size.waiting, size.waiting_bytes, size.of_one)
        self._loop = asyncio.get_running_loop()
        self._under_way = 0
        self._counted = 0
        """The jobs that wait, as the metric of all pools together has them."""

    @property
    def under_way(self) -> int:
        """How many jobs are being carried out."""
        return self._under_way

    def __len__(self) -> int:
        """Count the jobs that wait."""
        return len(self._queue)

    def submit(self, owner: str, name: str, job: Job, size: int, patience_s: float) -> None:
        """Have a job carried out, now or later, unless that takes longer than `patience_s`.

        `name` is what its asker calls it: while it waits, the same again only prolongs that. `size` is what
        it takes in memory while it waits, in bytes.
        """
        if self._under_way < self._most and self._queue.may_begin(owner):
            self._queue.began(owner)
            self._begin(owner, job)
            return
        until = self._loop.time() + patience_s
        for _, why in self._queue.put(Waiting(owner, name, job, size, until)):
            self._dropped(why)
        self._count()

    def _begin(self, owner: str, job: Job) -> None:
        self._under_way += 1
        self._tasks.create_task(self._carry_out(owner, job))

    async def _carry_out(self, owner: str, job: Job) -> None:
        try:
            await job()
        finally:
            self._under_way -= 1
            self._queue.ended(owner)
            if self._queue:
                self._begin_next()

    def _begin_next(self) -> None:
        while self._under_way < self._most:
            waiting, late = self._queue.take(self._loop.time())
            for _ in late:
                self._dropped("late")
            if waiting is None:
                break
            self._begin(waiting.owner, waiting.item)
        self._count()

    def _count(self) -> None:
        metrics.JOBS_WAITING.inc(len(self._queue) - self._counted)
        self._counted = len(self._queue)

    def _dropped(self, why: Drop) -> None:
        metrics.JOBS_DROPPED.labels(why).inc()
