"""What one user has had done for it in the last minute."""

from gateway.limits.rates import Rates
from gateway.limits.usage import Usage, Used
from gateway.limits.user_budget import UserBudget
from tieline.wire.ids import UserId

BOB = UserId("bob")


def test_what_was_done_is_counted_for_a_minute() -> None:
    budget = UserBudget(UserId("alice"), Rates())
    budget.charge(1.0, 100.0)
    budget.carry(BOB, 500, 100.0)
    budget.charge(2.5, 120.0)
    assert budget.usage.last_minute(125.0) == Used(1, 500, 3.5)
    budget.charge(4.0, 131.0)
    budget.carry(BOB, 60, 131.0)
    assert budget.usage.last_minute(140.0) == Used(2, 560, 7.5)
    assert budget.usage.last_minute(165.0) == Used(1, 60, 4.0)
    assert budget.usage.last_minute(200.0) == Used(0, 0, 0.0)


def test_silence_is_forgotten() -> None:
    budget = UserBudget(UserId("alice"), Rates())
    budget.charge(3.0, 100.0)
    budget.charge(1.0, 1000.0)
    assert budget.usage.last_minute(1001.0).units == 1.0


def test_a_message_begins_a_new_half_as_well() -> None:
    budget = UserBudget(UserId("alice"), Rates())
    budget.carry(BOB, 500, 100.0)
    budget.carry(BOB, 60, 131.0)
    assert budget.usage.last_minute(165.0) == Used(1, 60, 0.0)


def test_a_half_ends_for_who_has_done_nothing() -> None:
    usage = Usage()
    assert usage.last_minute(1000.0) == Used(0, 0, 0.0)
    usage.units += 2.0
    assert usage.last_minute(1031.0).units == 2.0
