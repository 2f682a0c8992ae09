"""When the next frame of one client may be taken: its user's budget, in the time of the event loop.

`reader` asks before each frame, and takes nothing more until it is called back. What a user may ask for is
decided in `gateway/limits/`.
"""

import asyncio
import enum
from collections.abc import Callable
from typing import Final

from gateway.client.budget import MESSAGE, Budget

LEAST_WAIT_S: Final = 0.001
"""A client over its limit waits for a millisecond at least: the loop's timers count no less."""

LOOK_UP_S: Final = 1.0
"""After so long at most it is looked whether a client that has to wait has left: nothing is read of it, so
that its end is not seen otherwise."""


class Verdict(enum.Enum):
    """What is to become of a frame."""

    TAKE = enum.auto()
    """It may be taken, and is charged."""
    WAIT = enum.auto()
    """It has to wait, until it is called back."""
    TOO_LONG = enum.auto()
    """It may be taken, but its client was over the limit for so long that it may be flooding."""


TAKE: Final = Verdict.TAKE
WAIT: Final = Verdict.WAIT
TOO_LONG: Final = Verdict.TOO_LONG
"""For what is asked at every frame: members of an enumeration are slow to find."""


class Allowance:
    """Says when the frames of one client may be taken. `now` is for measuring, in seconds."""

    __slots__ = ("_budget", "_loop", "_now", "_timer", "_was_over", "is_waiting")

    def __init__(
        self,
        budget: Budget,
        loop: asyncio.AbstractEventLoop,
        now: Callable[[], float],
    ) -> None:
        self._budget: Budget | None = budget
        self._loop = loop
        self._now = now
        self._timer: asyncio.TimerHandle | None = None
        self._was_over = False
        self.is_waiting = False
        """Whether a frame has to wait."""

    def may_take_message(self) -> bool:
        """Charge for a small message, unless it is `ask` that has to decide about it."""
        budget, now = self._budget, self._now()
        if budget is None or self._was_over or budget.wait_s(now) > 0:
            return False
        budget.charge(MESSAGE, now)
        return True

    def ask(self, price: float, on_time: Callable[[], None]) -> Verdict:
        """Decide about the next frame, and charge for it if it may be taken.

        `on_time` is called when a wait is over, or it is time to look whether the client has left. It is kept
        no longer than that.
        """
        budget = self._budget
        if budget is None:
            return TAKE
        now = self._now()
        if (wait_s := budget.wait_s(now)) > 0:
            self._was_over = self.is_waiting = True
            wait_s = min(max(wait_s, LEAST_WAIT_S), LOOK_UP_S)
            self._timer = self._loop.call_later(wait_s, self._due, on_time)
            return WAIT
        if self._was_over:
            self._was_over = False
            if budget.has_gone_on(now):
                return TOO_LONG
        budget.charge(price, now)
        return TAKE

    def pay(self, price: float) -> None:
        """Charge for a frame that is taken though its client was over the limit for too long."""
        if self._budget is not None:
            self._budget.charge(price, self._now())

    def let_up(self) -> None:
        """Take note that the client only waits for answers."""
        if self._budget is not None:
            self._budget.let_up(self._now())

    def lift(self) -> None:
        """Limit nothing from now on, and charge nothing."""
        self._budget = None
        self.stop_waiting()

    def stop_waiting(self) -> None:
        """Do not call back."""
        self.is_waiting = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self, on_time: Callable[[], None]) -> None:
        self.is_waiting = False
        self._timer = None
        on_time()
