"""Measure how much of what a gateway does is done for one user: what an alert watches.

Who that is stands on the page /heaviest (`heaviest_page`); a metric names no users.
"""

import asyncio
from collections.abc import Iterable
from itertools import islice
from typing import Final

from gateway.limits.user_budget import UserBudget
from tieline import metrics

EVERY_S: Final = 15.0
"""As often as metrics are scraped."""

PART: Final = 128
"""Users that are looked at in one go: less than half a millisecond."""


async def measure_user_share(users: Iterable[UserBudget], every_s: float = EVERY_S) -> None:
    """Measure until cancelled."""
    while True:
        metrics.HEAVIEST_USER_SHARE.set(await heaviest_share(users))
        await asyncio.sleep(every_s)


async def heaviest_share(users: Iterable[UserBudget]) -> float:
    """Return which part of the last minute's work was for the user that had the most of it."""
    now = asyncio.get_running_loop().time()
    most = total = 0.0
    waiting = iter(users)
    while part := tuple(islice(waiting, PART)):
        for budget in part:
            units = budget.usage.last_minute(now).units
            most, total = max(most, units), total + units
        await asyncio.sleep(0)
    return most / total if total else 0.0
