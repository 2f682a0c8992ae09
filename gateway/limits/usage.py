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

    __slots__ = ("_before", "half_ends_at", "messages", "size", "units")

    def __init__(self) -> None:
        self._before = NOTHING
        self.half_ends_at = 0.0
        """When to call `begin_half` before anything is counted."""
        self.messages = 0
        """WEBRTC messages of this half. Who counts one adds it here: it is done for every frame."""
        self.size = 0
        """Their bytes."""
        self.units = 0.0

    def last_minute(self, now: float) -> Used:
        """Return what was counted in the last minute."""
        if now >= self.half_ends_at:
            self.begin_half(now)
        before = self._before
        return Used(self.messages + before.messages, self.size + before.size, self.units + before.units)

    def begin_half(self, now: float) -> None:
        """Count what is done from now on as another half minute."""
        is_next = now < self.half_ends_at + HALF_S
        self._before = Used(self.messages, self.size, self.units) if is_next else NOTHING
        self.half_ends_at = now + HALF_S
        self.messages = self.size = 0
        self.units = 0.0
