"""A loop's clock that stands still until a test lets time pass. Passed where the code wants its loop."""

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Any, cast


class Clock:
    """The part of an event loop that tells the time and keeps timers; seconds."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._ready: list[tuple[Callable[..., object], tuple[object, ...]]] = []
        self._timers: list[tuple[asyncio.TimerHandle, Callable[..., object], tuple[object, ...]]] = []

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Itself, for code that wants a loop and only looks at its clock."""
        return cast("asyncio.AbstractEventLoop", self)

    def time(self) -> float:
        """See `asyncio.AbstractEventLoop.time`."""
        return self._now

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """See `asyncio.AbstractEventLoop.call_later`."""
        timer = asyncio.TimerHandle(self._now + delay, callback, args, self.loop, context)
        self._timers.append((timer, callback, args))
        return timer

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """See `asyncio.AbstractEventLoop.call_soon`."""
        self._ready.append((callback, args))
        return asyncio.Handle(callback, args, self.loop, context)

    def iterate(self) -> None:
        """Let one iteration of the loop pass, in which no time passes by itself."""
        ready, self._ready = self._ready, []
        for callback, args in ready:
            callback(*args)

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing is to be done at once."""
        return not self._ready

    def settle(self) -> None:
        """Let the loop iterate until nothing is left to be done at once."""
        while self._ready:
            self.iterate()

    def get_debug(self) -> bool:
        """What a `TimerHandle` asks its loop."""
        return False

    def _timer_handle_cancelled(self, timer: asyncio.TimerHandle) -> None:
        """What a `TimerHandle` tells its loop."""

    def advance(self, seconds: float) -> None:
        """Let time pass, and call in its order what is due, also what is due at the very end."""
        end = self._now + seconds
        while due := [entry for entry in self._timers if entry[0].when() <= end]:
            entry = min(due, key=lambda entry: entry[0].when())
            self._timers.remove(entry)
            timer, callback, args = entry
            if not timer.cancelled():
                self._now = max(self._now, timer.when())
                callback(*args)
                self.settle()
        self._now = end

    def turn(self) -> None:
        """Call what is due now, and nothing of what that sets in motion."""
        due = [entry for entry in self._timers if entry[0].when() <= self._now]
        for entry in due:
            self._timers.remove(entry)
            timer, callback, args = entry
            if not timer.cancelled():
                callback(*args)

    def forget(self) -> None:
        """Forget the timers, also those that are cancelled: a real loop has forgotten them."""
        self._timers.clear()

    @property
    def is_idle(self) -> bool:
        """Whether nothing will happen however much time passes."""
        return not self._ready and all(timer.cancelled() for timer, _, _ in self._timers)
