"""A user who changes between gateways has one budget, and at most one burst besides."""

import pytest

from gateway.limits.rate import rate
from gateway.limits.rates import NO_LIMITS
from gateway.limits.user_budget import Account, UserBudget
from gateway.limits.users import Users
from tieline.wire.ids import UserId

ALICE = UserId("alice")
A_SECOND, AT_ONCE = 50, 1000
RATES = NO_LIMITS._replace(units=rate(A_SECOND, AT_ONCE))
BEGAN_S, LASTS_S = 1000.0, 300.0


class Presence:
    """What presence keeps of one user (presence/rules/session.py)."""

    def __init__(self) -> None:
        self._until = 0.0

    def add(self, account: Account, now: float) -> None:
        self._until = max(self._until + account.spent_s, now + account.owed_s)

    def owed_s(self, now: float) -> float:
        return max(0.0, self._until - now)


def floods(budget: UserBudget, until: float, now: float) -> float:
    """Send as much as is read, until then; returns how much that was."""
    sent = 0.0
    while now < until:
        budget.charge(1, now)
        sent += 1
        now += max(budget.wait_s(now), 0.0005)
    return sent


@pytest.mark.parametrize("gateways", [1, 2, 5])
@pytest.mark.parametrize("stay_s", [0.5, 3.0, 20.0])
@pytest.mark.parametrize("is_replaced", [True, False], ids=["replaced", "ended first"])
def test_who_changes_gateways_has_one_burst_more_at_most(
    gateways: int, stay_s: float, is_replaced: bool
) -> None:
    presence, all_users = Presence(), [Users(RATES) for _ in range(gateways)]
    now, hops, sent, before = BEGAN_S, 0, 0.0, None
    while now < BEGAN_S + LASTS_S:
        budget = all_users[hops % gateways].of(ALICE, now)
        if before is not None and not is_replaced:
            presence.add(before.account(now), now)
        budget.owe(presence.owed_s(now), now)
        if before is not None and is_replaced:  # its end is told when the next one has begun
            presence.add(before.account(now), now)
        sent += floods(budget, now + stay_s, now)
        now, hops, before = now + stay_s, hops + 1, budget
    ahead = AT_ONCE + stay_s * A_SECOND if is_replaced and gateways > 1 else 0  # one connection
    assert sent <= (LASTS_S * A_SECOND + AT_ONCE + ahead) * 1.02
