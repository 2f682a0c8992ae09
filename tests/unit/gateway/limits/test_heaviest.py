"""Who has the most done for it."""

import msgspec

from gateway.limits.heaviest import CPU_S_A_UNIT, Heaviest, Ranking, Share
from gateway.limits.rates import Rates
from gateway.limits.user_budget import UserBudget
from tieline.wire.ids import RoomId, UserId

HALL, CELLAR, ATTIC = RoomId("hall"), RoomId("cellar"), RoomId("attic")


def budget(user: str, units: float, messages: int = 0) -> UserBudget:
    """What a user has used up."""
    made = UserBudget(UserId(user), Rates())
    made.charge(units, 100.0)
    for _ in range(messages):
        made.carry(UserId("peer"), 50, 100.0)
    return made


def test_the_heaviest_come_first_and_the_silent_not_at_all() -> None:
    ranking = Ranking(110.0)
    for user, units, messages in (("ann", 10, 0), ("ben", 30, 4), ("cat", 20, 0), ("dan", 0, 0)):
        ranking.add_user(budget(user, units, messages))
    ben, cat = Share("ben", 4, 200, 30 * CPU_S_A_UNIT), Share("cat", 0, 0, 20 * CPU_S_A_UNIT)
    assert ranking.heaviest(2) == Heaviest(60, [ben, cat], [])
    assert len(ranking.heaviest(10).users) == 3


def test_what_a_user_costs_is_shared_out_to_its_rooms() -> None:
    ranking = Ranking(110.0)
    ranking.add_rooms(budget("ann", 10, messages=2), [HALL, CELLAR])
    ranking.add_rooms(budget("ben", 30), [HALL])
    ranking.add_rooms(budget("dan", 0), [ATTIC])
    assert ranking.heaviest(10).rooms == [
        Share("hall", 1, 50, 35 * CPU_S_A_UNIT),
        Share("cellar", 1, 50, 5 * CPU_S_A_UNIT),
    ]


def test_messages_and_bytes_are_whole_numbers() -> None:
    ranking = Ranking(110.0)
    ranking.add_user(budget("ann", 10, messages=1))
    ranking.add_rooms(budget("ann", 10, messages=1), [HALL, CELLAR, ATTIC])
    said = msgspec.json.encode(ranking.heaviest(10)).decode()
    assert '"name":"ann","messages":1,"bytes":50,' in said
    assert '"messages":0,"bytes":17,' in said


def test_what_was_a_while_ago_is_forgotten() -> None:
    ranking = Ranking(300.0)
    ranking.add_user(budget("ann", 10))
    assert ranking.heaviest(10).users == []
