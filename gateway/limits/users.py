"""The budgets of this gateway's users, kept for some minutes after their last connection ended. Pure.

So who comes back finds what is left of its budget. What follows a user to another gateway is what it owes,
which presence keeps (`presence/rules/session.py`). Times are seconds of a monotonic clock.
"""

import functools
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple
from weakref import WeakValueDictionary

from gateway.limits.connects import MOST_OUT_S, Wait
from gateway.limits.limit import Limit
from gateway.limits.rates import Rates
from gateway.limits.user_budget import UserBudget
from tieline.wire.ids import UserId

KEPT_S: Final = MOST_OUT_S
"""How long a budget is kept that no session has: as long as its user may be kept out."""

MOST_KEPT: Final = 20_000
"""Budgets that no session has; beyond them the oldest go. About 20 MiB, and 26 KiB more for each user that
has written to as many others as are counted."""


class _Kept(NamedTuple):
    budget: UserBudget
    until: float


class Users:
    """One budget a user. A session keeps its user's alive; `keep` does so for a while when it ends."""

    def __init__(
        self, rates: Rates, on_limited: Callable[[UserId, Limit], None] = lambda _user, _limit: None
    ) -> None:
        """Take also what is told that a limit was met by a user who may have no session."""
        self._rates = rates
        self._on_limited = on_limited
        self._all: WeakValueDictionary[UserId, UserBudget] = WeakValueDictionary()
        self._kept: OrderedDict[UserId, _Kept] = OrderedDict()

    def __iter__(self) -> Iterator[UserBudget]:
        """List the budgets of users who are here, or were of late."""
        return iter(list(self._all.values()))

    def of(self, user: UserId, now: float) -> UserBudget:
        """Find the budget of a user, or begin one."""
        budget = self._all.get(user)
        if budget is None:
            budget = self._all[user] = UserBudget(user, self._rates)
            budget.on_limited = functools.partial(self._on_limited, user)
        self.keep(budget, now)
        return budget

    def keep(self, budget: UserBudget, now: float) -> None:
        """Keep a budget for a while from now on, though nobody should have it."""
        kept = self._kept
        kept[budget.user] = _Kept(budget, now + KEPT_S)
        kept.move_to_end(budget.user)
        while len(kept) > MOST_KEPT or next(iter(kept.values())).until <= now:
            kept.popitem(last=False)

    def may_connect(self, user: UserId, resumes: bool, now: float) -> Wait | None:
        """Count an attempt of a user to connect, or to resume, unless it has to wait; None: it need not."""
        return self.of(user, now).connect(resumes, now)
