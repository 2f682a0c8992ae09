"""Keep a bug that one message, client or task meets from ending the process and all others.

A fault that is expected (no answer, no broker) is caught by its own name where it happens, inside the guarded
block; a cancellation is let through. `nats_parser` alone does the same by itself: it is pure, and a guard for
each message would cost it a tenth of its time.
"""

import logging
from collections.abc import Callable
from types import TracebackType


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
