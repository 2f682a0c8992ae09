"""How often one user connects and resumes, and how long it is kept out when it has flooded. Pure.

It is the part of a user's budget (`user_budget`) that is asked before there is a session. How often an
address connects is in `addresses`. Times are seconds of a monotonic clock.
"""

from typing import Final, NamedTuple

from gateway.limits.limit import Limit
from gateway.limits.rate import NEVER_USED
from gateway.limits.rates import Rates

OUT_S: Final = 30.0
"""How long a user that was closed with 4503 is kept out: long enough that coming back does not pay."""

MOST_OUT_S: Final = 600.0
"""The same at most: it doubles each time that the user is closed again, as long as it is remembered."""


MOST_DEBT_S: Final = 5.0
"""Who has used up more than its bucket holds, and so much besides, does not connect before that is paid for:
a session may begin in a hundred rooms, and over its limit a user would not be read anyway."""


class Wait(NamedTuple):
    """Why an attempt to connect has to wait, and for how long."""

    limit: Limit
    seconds: float


class Connects:
    """Counts the attempts of one user to connect."""

    __slots__ = ("_connects", "_out_s", "_out_until", "_rates", "_resumes")

    def __init__(self, rates: Rates) -> None:
        self._rates = rates
        self._connects = self._resumes = NEVER_USED
        self._out_s = 0.0
        self._out_until = NEVER_USED

    def attempt(self, resumes: bool, now: float, debt_s: float = 0.0) -> Wait | None:
        """Count an attempt to connect, unless it has to wait; None: it need not.

        `debt_s` is in how many seconds the user may be read again.
        An attempt that has to wait is not counted, or trying again would keep the user out.
        """
        rates = self._rates
        if self._out_until > now:
            return Wait(Limit.FLOODING, self._out_until - now)
        if debt_s > MOST_DEBT_S:
            return Wait(Limit.RATE, debt_s - MOST_DEBT_S)
        if wait_s := rates.connects.wait_s(self._connects + rates.connects.each_s, now):
            return Wait(Limit.CONNECTS, wait_s)
        if resumes:
            if wait_s := rates.resumes.wait_s(self._resumes + rates.resumes.each_s, now):
                return Wait(Limit.RESUMES, wait_s)
            self._resumes = rates.resumes.full_at(self._resumes, 1, now)
        self._connects = rates.connects.full_at(self._connects, 1, now)
        return None

    def keep_out(self, now: float) -> None:
        """Let the user not connect for a while, longer each time."""
        self._out_s = min(2 * self._out_s, MOST_OUT_S) if self._out_s else OUT_S
        self._out_until = now + self._out_s
