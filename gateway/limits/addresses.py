"""How many connections one address has here, and how often it connects. Pure.

Addresses are what `gateway/admission/addresses.py` makes of them: of IPv6 a whole site is one, and those
of private networks are not counted. Times are seconds of a monotonic clock.
"""

from collections import Counter, OrderedDict
from typing import Final, NamedTuple

from gateway.limits.rate import UNLIMITED, Rate, rate

MOST_REMEMBERED: Final = 10_000
"""Addresses whose attempts are counted; beyond them those that were quiet for the longest are forgotten."""

MINUTE_S: Final = 60.0


class AddressLimits(NamedTuple):
    """The limits of every address alike; 0: no limit."""

    connections: int = 2_000
    """At a time: more than a company has people at work behind one address."""
    connects: Rate = rate(6_000 / MINUTE_S, 6_000)
    """All of those may come back three times within a minute, as they do when gateways are restarted."""


NO_ADDRESS_LIMITS: Final = AddressLimits(0, UNLIMITED)


def connects_a_minute(count: int) -> Rate:
    """Make the rate of so many connects a minute, all of which may come at once; 0: no limit."""
    return rate(count / MINUTE_S, count) if count else UNLIMITED


class Addresses:
    """Counts by address."""

    def __init__(self, limits: AddressLimits) -> None:
        self._limits = limits
        self._here: Counter[str] = Counter()
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def has_room(self, address: str) -> bool:
        """Whether the address may have one more connection."""
        most = self._limits.connections
        return not most or self._here[address] < most

    def may_connect(self, address: str, now: float) -> float:
        """Count an attempt to connect; returns in how many seconds it may be made, 0: it is.

        An attempt that has to wait is not counted, or trying again would keep everybody of the address out.
        """
        connects = self._limits.connects
        full_at = self._full_at.get(address, 0.0)
        wait = connects.wait_s(max(full_at, now) + connects.each_s, now)
        if not wait:
            self._full_at[address] = connects.full_at(full_at, 1, now)
            self._full_at.move_to_end(address)
            while len(self._full_at) > MOST_REMEMBERED:
                self._full_at.popitem(last=False)
        return wait

    def enter(self, address: str) -> None:
        """Count a connection, until `leave`."""
        self._here[address] += 1

    def leave(self, address: str) -> None:
        """Count it no more."""
        self._here[address] -= 1
        if not self._here[address]:
            del self._here[address]
