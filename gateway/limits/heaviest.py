"""Who has the most done for it: the users and rooms that cost most in the last minute. Pure.

What a user costs is shared out evenly to the rooms that it is in, or was in when its connection ended: which
of them a signal is about is unknown.
"""

import heapq
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import msgspec

from gateway.limits.user_budget import UserBudget
from tieline.wire.ids import RoomId

SECONDS: Final = 60

CPU_S_A_UNIT: Final = 0.00016
"""Of all processes together, on the machine of docs/performance.md#prices: on others it is more or less, by
one factor for all."""


class Share(msgspec.Struct, frozen=True, rename="camel"):
    """What was done for one user, or in one room, by this gateway in the last minute."""

    name: str
    messages: int
    """WEBRTC messages; what else was done is in `cpu_seconds` alone."""
    bytes: int
    """Of those messages."""
    cpu_seconds: float


class Heaviest(msgspec.Struct, frozen=True, rename="camel"):
    """The heaviest, the first one most."""

    seconds: int
    users: list[Share]
    rooms: list[Share]


@dataclass(slots=True)
class _Part:
    """What was done in one room so far: parts of what was done for its members."""

    messages: float = 0.0
    bytes: float = 0.0
    cpu_seconds: float = 0.0


class Ranking:
    """Ranks users and rooms, which are added one by one. `now` is seconds of a monotonic clock."""

    def __init__(self, now: float) -> None:
        self._now = now
        self._users: list[Share] = []
        self._rooms: dict[str, _Part] = {}

    def add_user(self, budget: UserBudget) -> None:
        """Take note of what a user has had done for it."""
        share = self._share(budget)
        if share.cpu_seconds:
            self._users.append(share)

    def add_rooms(self, budget: UserBudget, rooms: Collection[RoomId]) -> None:
        """Take note of the rooms in which a user is."""
        share = self._share(budget)
        if not share.cpu_seconds:
            return
        for name in rooms:
            room = self._rooms.setdefault(name, _Part())
            room.messages += share.messages / len(rooms)
            room.bytes += share.bytes / len(rooms)
            room.cpu_seconds += share.cpu_seconds / len(rooms)

    def heaviest(self, count: int) -> Heaviest:
        """Return so many of each kind."""
        of_rooms = (
            Share(name, round(part.messages), round(part.bytes), part.cpu_seconds)
            for name, part in self._rooms.items()
        )
        users, rooms = (
            heapq.nlargest(count, shares, key=lambda share: (share.cpu_seconds, share.name))
            for shares in (self._users, of_rooms)
        )
        return Heaviest(SECONDS, users, rooms)

    def _share(self, budget: UserBudget) -> Share:
        used = budget.usage.last_minute(self._now)
        return Share(budget.user, used.messages, used.size, used.units * CPU_S_A_UNIT)
