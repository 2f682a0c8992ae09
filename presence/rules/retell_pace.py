"""How often rooms are told once more: a gateway asks for that when it has lost a push, which hardly happens.

Each time costs two writes, and one that was taken over may ask without end, for any user and any room. What
is asked for too often stays unanswered, and is asked for again. Pure.
"""

from collections.abc import Hashable
from typing import Final

WITHIN_S: Final = 5.0

MOST_OF_ONE: Final = 3
"""Of one user in one room, within so many seconds: for as many gateways that have lost the same. What is not
told is asked for again once a second, for half a minute."""

A_SECOND: Final = 100.0
"""For all rooms, by one process: a twentieth of what it does in that time."""

AT_ONCE: Final = 2000.0
"""After a time without any: of so many users may a gateway have missed something that was cut off."""


class RetellPace:
    """Says whether a room may be told once more now. Times are seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._left = AT_ONCE
        self._at = 0.0
        self._lately: dict[Hashable, tuple[float, int]] = {}
        """Since when what was told, and how often; the oldest first."""

    @property
    def remembered(self) -> int:
        """Of how much it is known that it was told lately."""
        return len(self._lately)

    def allows(self, what: Hashable, now: float) -> bool:
        """Take note that something is told now, unless that is too often."""
        self._left = min(AT_ONCE, self._left + (now - self._at) * A_SECOND)
        self._at = now
        while self._lately and now - next(iter(self._lately.values()))[0] >= WITHIN_S:
            del self._lately[next(iter(self._lately))]
        since, times = self._lately.get(what, (now, 0))
        if times == MOST_OF_ONE or self._left < 1:
            return False
        self._left -= 1
        self._lately[what] = since, times + 1
        return True
