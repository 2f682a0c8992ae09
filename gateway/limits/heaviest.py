"""Who has the most done for it: the users and rooms that cost most in the last minute. Pure.

What a user costs is shared out evenly to the rooms that it is in, or was in when its connection ended: which
of them a signal is about is unknown.
"""

import heapq
from collections.abc import Collection
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
    messages: float
    """WEBRTC messages; what else was done is in `cpu_seconds` alone."""
    bytes: float
    """Of those messages."""
    cpu_seconds: float


class Heaviest(msgspec.Struct, frozen=True, rename="camel"):
    """The heaviest, the first one most."""

    seconds: int
    users: list[Share]
    rooms: list[Share]


class Ranking:
    """Ranks users and rooms, which are added one by one. `now` is seconds of a monotonic clock."""

    def __init__(self, now: float) -> None:
        self._now = now
        self._users: list[Share] = []
        self._rooms: dict[str, Share] = {}

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
            room = self._rooms.get(name, Share(name, 0, 0, 0))
            self._rooms[name] = Share(
                name,
                room.messages + share.messages / len(rooms),
                room.bytes + share.bytes / len(rooms),
                room.cpu_seconds + share.cpu_seconds / len(rooms),
            )

    def heaviest(self, count: int) -> Heaviest:
        """Return so many of each kind."""
        users, rooms = (
            heapq.nlargest(count, shares, key=lambda share: (share.cpu_seconds, share.name))
            for shares in (self._users, self._rooms.values())
        )
        return Heaviest(SECONDS, users, rooms)

    def _share(self, budget: UserBudget) -> Share:
        used = budget.usage.last_minute(self._now)
        return Share(budget.user, used.messages, used.size, used.units * CPU_S_A_UNIT)
