"""Who has the most done for it."""

from gateway.limits.heaviest import CPU_S_A_UNIT, Heaviest, Share, heaviest
from gateway.limits.rates import Rates
from gateway.limits.user_budget import UserBudget
from tieline.wire.ids import RoomId, UserId

HALL, CELLAR = RoomId("hall"), RoomId("cellar")


def budget(user: str, units: float, messages: int = 0) -> UserBudget:
    """What a user has used up."""
    made = UserBudget(UserId(user), Rates())
    made.charge(units, 100.0)
    for _ in range(messages):
        made.carry(UserId("peer"), 50, 100.0)
    return made


def test_the_heaviest_come_first_and_the_silent_not_at_all() -> None:
    budgets = [budget("ann", 10), budget("ben", 30, messages=4), budget("cat", 20), budget("dan", 0)]
    found = heaviest(budgets, [], 2, 110.0)
    assert found == Heaviest(
        60, [Share("ben", 4, 200, 30 * CPU_S_A_UNIT), Share("cat", 0, 0, 20 * CPU_S_A_UNIT)], []
    )


def test_what_a_user_costs_is_shared_out_to_its_rooms() -> None:
    ann, ben, dan = budget("ann", 10, messages=2), budget("ben", 30), budget("dan", 0)
    found = heaviest([], [(ann, [HALL, CELLAR]), (ben, [HALL]), (dan, [RoomId("attic")])], 10, 110.0)
    assert found.rooms == [
        Share("hall", 1, 50, 35 * CPU_S_A_UNIT),
        Share("cellar", 1, 50, 5 * CPU_S_A_UNIT),
    ]


def test_what_was_a_while_ago_is_forgotten() -> None:
    assert heaviest([budget("ann", 10)], [], 10, 300.0).users == []
