"""When the messages of an open loop are due, whatever the system under load does. Pure.

A closed loop waits for the system, and so leaves out just those messages that would have had to wait longest
(coordinated omission). Here a message is due at its time, and what it takes is counted from then, also when
the one who sends is late.
"""


class Schedule:
    """Moments at an even rate: the n-th, from 0, is due n / `rate` seconds after `began`."""

    def __init__(self, rate: float, began: float) -> None:
        self._rate = rate
        self._began = began
        self._next = 0

    @property
    def next(self) -> float:
        """The moment that is due next."""
        return self._began + self._next / self._rate

    def due(self, now: float, most: int) -> list[float]:
        """Take the moments that are due by now and were not taken before, `most` of them at the most."""
        moments: list[float] = []
        while len(moments) < most and self.next <= now:
            moments.append(self.next)
            self._next += 1
        return moments
