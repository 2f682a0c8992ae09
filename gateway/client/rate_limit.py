"""How many messages one client may send. Pure: times are seconds of a monotonic clock.

A token bucket that holds a second's worth of messages and is refilled at the limit: a client that was silent
may send a second's worth at once. What is over the limit is refused; a client that goes on in spite of that
is disconnected.
"""

import enum
from typing import Final

TOO_MUCH_S: Final = 10.0
"""Refusals for this many seconds' worth of messages close the connection; as long without a refusal resets
the count."""


class Decision(enum.Enum):
    """What to do with one message."""

    PASS = enum.auto()
    REFUSE = enum.auto()
    CLOSE = enum.auto()
    """Refuse it, and close the connection."""


class RateLimit:
    """The bucket of one connection; `rate` is messages a second, more than 0."""

    __slots__ = ("_at", "_left", "_rate", "_refused", "_refused_at")

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._left = float(rate)
        self._at = 0.0
        self._refused = 0
        self._refused_at = 0.0

    def decide(self, now: float) -> Decision:
        """Decide on one more message."""
        self._left = min(self._left + (now - self._at) * self._rate, float(self._rate))
        self._at = now
        if self._left >= 1:
            self._left -= 1
            return Decision.PASS
        if now - self._refused_at >= TOO_MUCH_S:
            self._refused = 0
        self._refused += 1
        self._refused_at = now
        return Decision.CLOSE if self._refused >= TOO_MUCH_S * self._rate else Decision.REFUSE
