"""Keep a bug that one message, client or task meets from ending the process and all others.

Every task that outlives a process's beginning belongs to `BackgroundTasks`, and a loop that goes on for its
whole life to `keep_going`: whatever a library, a message or a bug of ours raises in one of them ends that one
at most.

A fault that is expected (no answer, no broker) is caught by its own name where it happens, inside the guarded
block; a cancellation is let through. `nats_parser` alone does the same by itself: it is pure, and a guard for
each message would cost it a tenth of its time.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import Context
from types import TracebackType
from typing import Any, Final, TypeVar

T = TypeVar("T")

PAUSE_S: Final = 1.0
"""Before a loop that has failed begins anew: a bug that it meets each time costs a line a second."""

_log = logging.getLogger(__name__)


class Guard:
    """A context that gives an `Exception` raised in its block to `failed`, and ends it. It can be reused."""

    __slots__ = ("_failed",)

    def __init__(self, failed: Callable[[Exception], None]) -> None:
        self._failed = failed

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        self._failed(error)
        return True


def bug_guard(
    log: logging.Logger, event: str, count: Callable[[], None] | None = None, **fields: object
) -> Guard:
    """Make a guard that calls `count`, and logs a bug as `event` with its traceback and `fields`."""

    def failed(error: Exception) -> None:
        if count is not None:
            count()
        log.error(event, exc_info=error, extra=fields)

    return Guard(failed)


class BackgroundTasks(asyncio.TaskGroup):
    """A group of tasks that goes on when one of them meets a bug, which is logged."""

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        """Begin a task. One that meets a bug ends as if it were cancelled."""
        assert isinstance(coro, Coroutine)
        unbegun = [coro]
        task = super().create_task(_guarded(unbegun), name=name, context=context)
        task.add_done_callback(lambda _: _close(unbegun))
        return task


def _close(unbegun: list[Coroutine[Any, Any, T]]) -> None:
    """Close what was cancelled before it began; what mypyc compiles fails if it is closed after its end."""
    for coro in unbegun:
        coro.close()


async def _guarded(unbegun: list[Coroutine[Any, Any, T]]) -> T:
    coro = unbegun.pop()
    try:
        return await coro
    except Exception as error:  # without a guard around it, which would cost each task
        _log.error("task ended: a bug", exc_info=error, extra={"task": getattr(coro, "__qualname__", "")})
    raise asyncio.CancelledError


async def keep_going(
    log: logging.Logger, event: str, loop: Callable[[], Awaitable[None]], pause_s: float = PAUSE_S
) -> None:
    """Let a loop of a process's whole life go on until it is cancelled, whatever it raises.

    A bug is logged as `event`, and the loop begins anew `pause_s` later.
    """
    while True:
        with bug_guard(log, event):
            await loop()
        await asyncio.sleep(pause_s)
