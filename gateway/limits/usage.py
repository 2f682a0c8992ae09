"""How much one user has had done for it in the last minute: for operators, not for limits. Pure.

The minute is two halves: the one that is under way, and the one before. Times are seconds of a monotonic
clock.
"""

from typing import Final, NamedTuple

HALF_S: Final = 30.0


class Used(NamedTuple):
    """What was done in the last minute, or up to half a minute less."""

    messages: int
    """WEBRTC messages."""
    size: int
    """Their bytes."""
    units: float
    """What everything has cost, in small messages' worth (`prices`)."""


NOTHING: Final = Used(0, 0, 0.0)


class Usage:
    """Counts what is done for one user."""

    __slots__ = ("_before", "_began", "_messages", "_size", "_units")

    def __init__(self) -> None:
        self._before = NOTHING
        self._began = 0.0
        self._messages = 0
        self._size = 0
        self._units = 0.0

    def add(self, units: float, now: float) -> None:
        """Count something that cost so many units."""
        if now - self._began >= HALF_S:
            self._next_half(now)
        self._units += units

    def carry(self, size: int, now: float) -> None:
        """Count a WEBRTC message."""
        if now - self._began >= HALF_S:
            self._next_half(now)
        self._messages += 1
        self._size += size

    def last_minute(self, now: float) -> Used:
        """Return what was counted in the last minute."""
        if now - self._began >= HALF_S:
            self._next_half(now)
        before = self._before
        return Used(self._messages + before.messages, self._size + before.size, self._units + before.units)

    def _next_half(self, now: float) -> None:
        is_next = now - self._began < 2 * HALF_S
        self._before = Used(self._messages, self._size, self._units) if is_next else NOTHING
        self._began = now
        self._messages = self._size = 0
        self._units = 0.0
