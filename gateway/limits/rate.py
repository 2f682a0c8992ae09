"""A rate with a burst: so much a second, and so much at once by who has been silent. Pure.

It is a token bucket, of which one number is kept: the moment at which it will be full again. What is taken
moves that moment into the future; the bucket is empty when the moment is as far away as it takes to fill it.
So a bucket that nobody uses needs no attention, and what a user owes is a number of seconds, which another
gateway understands. Times are seconds of a monotonic clock.
"""

from typing import NamedTuple

INSTANT_S = 1e-6
"""Nobody waits for less: sums of thirds are not exact."""

NEVER_USED = 0.0
"""The moment at which a bucket is full that nothing was taken from."""


class Rate(NamedTuple):
    """How fast a bucket fills, and how much it holds. It keeps no state: callers keep the moment."""

    each_s: float
    """The seconds in which one more may be taken; 0: any number may be."""
    holds_s: float
    """The seconds in which an empty bucket fills."""

    def full_at(self, full_at: float, amount: float, now: float) -> float:
        """Return the moment at which the bucket is full when so much is taken from it now.

        More may be taken than there is: then nothing more should be before `wait_s` is over.
        """
        if full_at < now:  # no `max`: it is a call, and this is done for every frame
            full_at = now
        return full_at + amount * self.each_s

    def wait_s(self, full_at: float, now: float) -> float:
        """Return in how many seconds something is in the bucket again; 0: something is."""
        wait = full_at - now - self.holds_s
        return wait if wait > INSTANT_S else 0.0


def rate(a_second: float, at_once: float) -> Rate:
    """Make a rate of so many a second, and so many at once; `a_second` 0: no limit."""
    return Rate(1 / a_second, at_once / a_second) if a_second else UNLIMITED


UNLIMITED = Rate(0.0, 0.0)
