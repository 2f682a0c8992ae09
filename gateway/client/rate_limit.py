"""How much one client may say. Pure: times are seconds of a monotonic clock.

A bucket that holds a second's worth of messages and is refilled at the limit: who was silent may say a
second's worth at once. What is over the limit is refused; who goes on in spite of that is sent away.
"""

import enum
from typing import Final

TOO_MUCH_S: Final = 10.0
"""Refusals worth so many seconds of the limit are too many; who is refused none for as long begins anew."""


class Ruling(enum.Enum):
    """What to do with one message."""

    PASS = enum.auto()
    REFUSE = enum.auto()
    CLOSE = enum.auto()
    """Refuse it, and send the client away."""


class Allowance:
    """What one connection may say; `rate` is messages a second, more than 0."""

    __slots__ = ("_at", "_left", "_rate", "_refused", "_refused_at")

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._left = float(rate)
        self._at = 0.0
        self._refused = 0
        self._refused_at = 0.0

    def rule(self, now: float) -> Ruling:
        """Rule on one more message."""
        self._left = min(self._left + (now - self._at) * self._rate, float(self._rate))
        self._at = now
        if self._left >= 1:
            self._left -= 1
            return Ruling.PASS
        if now - self._refused_at >= TOO_MUCH_S:
            self._refused = 0
        self._refused += 1
        self._refused_at = now
        return Ruling.CLOSE if self._refused >= TOO_MUCH_S * self._rate else Ruling.REFUSE
