"""Who is let in next, when more clients come than are let in side by side. Pure: times are seconds, given.

Addresses take turns, and a user has a few places only, so that nobody's many attempts keep others waiting.
Within an address the one that has waited longest is next; under pressure, when more wait than can be let in
in time, the one that came last is: it has the most of its time left, where the oldest would be let in just
as it gives up. Letting clients in, and refusing those who wait too long, is the business of `arrivals`; how
fast they are let in, that of `arrival_pace`.
"""

from collections import Counter
from collections.abc import Hashable
from typing import Final, TypeVar

from tieline.wire.ids import UserId

CountedT = TypeVar("CountedT", bound=Hashable)

AT_ONCE: Final = 32
"""Upgrades under way side by side: when thousands come back at once, the others wait, and the
clients that are here keep their share."""

OF_AN_ADDRESS: Final = 24
"""Of these at most so many for one address: what they wait for may take seconds each, and then others must
still find a place. A proxy that says nobody's address brings all clients under its own, so it is most."""

OF_A_USER: Final = 2
"""Of these at most so many for one user: a page that is reloaded connects again beside its last attempt."""

MAX_WAITING: Final = 2048
"""More than that are not kept waiting: it is more than a gateway lets in before the first of them give up."""


class Waiting:
    """One client that waits for its turn, or has it."""

    __slots__ = ("address", "user")

    def __init__(self, user: UserId, address: str) -> None:
        self.user = user
        self.address = address


class ArrivalQueue:
    """The clients that wait, by address, and those that have their turn."""

    def __init__(
        self,
        at_once: int = AT_ONCE,
        of_an_address: int = OF_AN_ADDRESS,
        of_a_user: int = OF_A_USER,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self._at_once = at_once
        self._of_an_address = of_an_address
        self._of_a_user = of_a_user
        self._max_waiting = max_waiting
        self._waiting: dict[str, dict[Waiting, None]] = {}
        """By address, the one whose turn was longest ago first; within it in the order of coming."""
        self._count = 0
        self._under_way = 0
        self._addresses: Counter[str] = Counter()
        self._users: Counter[UserId] = Counter()

    def __len__(self) -> int:
        """Count those that wait."""
        return self._count

    @property
    def under_way(self) -> int:
        """How many have their turn."""
        return self._under_way

    def add(self, arrival: Waiting) -> Waiting | None:
        """Let a client wait; returns one that must wait no more, because too many do.

        It is the one that has waited longest, of the address of which the most wait.
        """
        self._waiting.setdefault(arrival.address, {})[arrival] = None
        self._count += 1
        if self._count <= self._max_waiting:
            return None
        crowd = max(self._waiting.values(), key=len)
        oldest = next(iter(crowd))
        self.remove(oldest)
        return oldest

    def remove(self, arrival: Waiting) -> bool:
        """Let a client wait no more; returns whether it did."""
        group = self._waiting.get(arrival.address, {})
        if arrival not in group:
            return False
        del group[arrival]
        self._count -= 1
        if not group:
            del self._waiting[arrival.address]
        return True

    def next(self, in_order: float = 0.0) -> Waiting | None:
        """Give the next client its turn, until `done`; None: none that waits may have one now.

        While no more than `in_order` wait, there is no pressure.
        """
        if self._under_way >= self._at_once:
            return None
        for address, group in self._waiting.items():
            if self._addresses[address] >= self._of_an_address:
                continue
            order = reversed(group) if self._count > max(self._at_once, in_order) else iter(group)
            for arrival in order:
                if self._users[arrival.user] < self._of_a_user:
                    self._begin(arrival)
                    return arrival
        return None

    def done(self, arrival: Waiting) -> None:
        """Take note that a client that had its turn needs its place no more."""
        self._under_way -= 1
        _count_out(self._addresses, arrival.address)
        _count_out(self._users, arrival.user)

    def _begin(self, arrival: Waiting) -> None:
        self.remove(arrival)
        self._under_way += 1
        self._addresses[arrival.address] += 1
        self._users[arrival.user] += 1
        if (group := self._waiting.pop(arrival.address, None)) is not None:  # its turn is now longest away
            self._waiting[arrival.address] = group


def _count_out(counts: Counter[CountedT], one: CountedT) -> None:
    """Count one less, and forget those that have none left."""
    counts[one] -= 1
    if not counts[one]:
        del counts[one]
