"""Who has the most done for it: the users and rooms that cost most in the last minute. Pure.

What a user costs is shared out evenly to the rooms that it is in: which of them a signal is about is unknown.
"""

import heapq
from collections.abc import Iterable
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
    bytes: float
    cpu_seconds: float


class Heaviest(msgspec.Struct, frozen=True, rename="camel"):
    """The heaviest, the first one most."""

    seconds: int
    users: list[Share]
    rooms: list[Share]


def heaviest(
    budgets: Iterable[UserBudget],
    rooms: Iterable[tuple[UserBudget, Iterable[RoomId]]],
    count: int,
    now: float,
) -> Heaviest:
    """Find the `count` heaviest users of `budgets`, and rooms of those that sessions are in.

    `now` is seconds of a monotonic clock.
    """
    users = [_share(budget, now) for budget in budgets]
    by_room: dict[str, Share] = {}
    for budget, names in rooms:
        share, here = _share(budget, now), tuple(names)
        for name in here:
            by_room[name] = _sum(by_room.get(name, Share(name, 0, 0, 0)), share, len(here))
    return Heaviest(SECONDS, _most(users, count), _most(by_room.values(), count))


def _share(budget: UserBudget, now: float) -> Share:
    used = budget.usage.last_minute(now)
    return Share(budget.user, used.messages, used.size, used.units * CPU_S_A_UNIT)


def _sum(room: Share, user: Share, rooms: int) -> Share:
    return Share(
        room.name,
        room.messages + user.messages / rooms,
        room.bytes + user.bytes / rooms,
        room.cpu_seconds + user.cpu_seconds / rooms,
    )


def _most(shares: Iterable[Share], count: int) -> list[Share]:
    used = (share for share in shares if share.cpu_seconds)
    return heapq.nlargest(count, used, key=lambda share: (share.cpu_seconds, share.name))
