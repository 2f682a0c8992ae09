"""The timers of thousands of connections, on one timer of the event loop.

Each connection has two that are not due for long: the next ping, and the end of its token. A timer of uvloop
takes 0.8 KiB; an alarm a fifth of that.
"""

import asyncio
import heapq
import itertools
import logging
from collections.abc import Callable
from typing import Final

from tieline.runtime.guard import bug_guard

FEWEST_CANCELLED: Final = 1_000
"""Cancelled alarms that are kept until they are due: they are taken out when they are that many, and half of
all."""

MOST_AT_ONCE: Final = 32
"""Called in one iteration of the loop: those who came back together are pinged at the same time."""

_log = logging.getLogger(__name__)


class Alarm:
    """Something to be called at a time, unless it is cancelled."""

    __slots__ = ("_alarms", "callback")

    def __init__(self, alarms: "Alarms", callback: Callable[[], object]) -> None:
        self._alarms = alarms
        self.callback: Callable[[], object] | None = callback
        """None: it is called no more."""

    def cancel(self) -> None:
        """Do not call; nothing if it was called or cancelled."""
        if self.callback is not None:
            self.callback = None
            self._alarms.note_cancelled()


class Alarms:
    """The alarms of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[tuple[float, int, Alarm]] = []
        """A heap: the one that is due first is first. The numbers keep alarms from being compared."""
        self._numbers = itertools.count()
        self._cancelled = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def kept(self) -> int:
        """How many are kept, cancelled ones among them."""
        return len(self._waiting)

    def time(self) -> float:
        """Return the loop's time, in seconds."""
        return self._loop.time()

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Alarm:
        """Call once, so many seconds from now."""
        alarm = Alarm(self, callback)
        due = self._loop.time() + seconds
        heapq.heappush(self._waiting, (due, next(self._numbers), alarm))
        if self._waiting[0][2] is alarm:
            self._set_timer()
        return alarm

    def note_cancelled(self) -> None:
        """Take note that one more is cancelled."""
        self._cancelled += 1
        if self._cancelled >= FEWEST_CANCELLED and 2 * self._cancelled >= len(self._waiting):
            self._waiting = [entry for entry in self._waiting if entry[2].callback is not None]
            heapq.heapify(self._waiting)
            self._cancelled = 0

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting:
            left_s = max(0.0, self._waiting[0][0] - self._loop.time())
            self._timer = self._loop.call_later(left_s, self._ring)

    def _ring(self) -> None:
        """Call what is due, but for what is too much for one iteration of the loop."""
        self._timer = None
        now = self._loop.time()
        for _ in range(MOST_AT_ONCE):
            if not self._waiting or self._waiting[0][0] > now:
                break
            _, _, alarm = heapq.heappop(self._waiting)
            callback, alarm.callback = alarm.callback, None
            if callback is None:
                self._cancelled -= 1
                continue
            with bug_guard(_log, "alarm: a bug"):
                callback()
        self._set_timer()
