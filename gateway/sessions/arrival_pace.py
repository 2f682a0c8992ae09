"""How fast a gateway has let clients in lately, and over how long those are spread that it refuses. Pure.

Times are seconds, given. A gateway whose pace is not known is taken for a slow one, so that what is asked of
a busy machine is never more than it has just done.
"""

import math
from collections import Counter, deque
from typing import Final

LET_IN_A_SECOND: Final = 40
"""Clients that a gateway lets in at the very least, on a busy machine: what is reckoned with unless more has
been measured."""

MOST_A_SECOND: Final = 1000
"""No faster pace is believed: it may have been that of clients who needed next to nothing."""

MEASURED_S: Final = 2.0
"""Who was let in longer ago says nothing about now."""

LEAST_MEASURED_S: Final = 0.5
"""A few who came at once, and were let in at once, are no pace: they are reckoned over this long."""

SHARE: Final = 0.75
"""The part of the pace that those who come back are given: others come for the first time meanwhile."""

MEASURED_SHORTEST_S: Final = 1
SHORTEST_SPREAD_S: Final = 3
LONGEST_SPREAD_S: Final = 20
"""Of those who come back: the shortest where a pace has been measured, and where none is known; and the
longest. A session is kept for some 30 s: whoever is asked to wait that long still comes in time."""


class ArrivalPace:
    """The clients that were let in within the last seconds, and those that were asked to come back."""

    def __init__(self) -> None:
        self._let_in: deque[float] = deque()
        self._asked_back: Counter[int] = Counter()
        """By the whole second by which they are due."""

    def let_in(self, now: float) -> None:
        """Take note that a client has been let in."""
        self._let_in.append(now)
        self._forget(now)

    def asked_back(self, now: float, after_s: float) -> None:
        """Take note that a client was refused, and asked to come back after so many seconds."""
        self._asked_back[math.ceil(now + after_s)] += 1

    def a_second(self, now: float) -> float:
        """Return how many a second have been let in lately; 0: nobody has."""
        self._forget(now)
        if not self._let_in:
            return 0.0
        return min(MOST_A_SECOND, len(self._let_in) / max(LEAST_MEASURED_S, now - self._let_in[0]))

    def spread_s(self, now: float, waiting: int) -> int:
        """Return over how many seconds those who are refused now should come back, while so many wait.

        All that wait, and all that were asked to come back and have not yet, are let in before.
        """
        for due in [due for due in self._asked_back if due < now]:
            del self._asked_back[due]
        pace = max(LET_IN_A_SECOND, SHARE * self.a_second(now))
        shortest = MEASURED_SHORTEST_S if pace > LET_IN_A_SECOND else SHORTEST_SPREAD_S
        needed = math.ceil((waiting + self._asked_back.total()) / pace)
        return max(shortest, min(LONGEST_SPREAD_S, needed))

    def _forget(self, now: float) -> None:
        while self._let_in and self._let_in[0] < now - MEASURED_S:
            self._let_in.popleft()
