"""Who is let in next: addresses and users have their share, and under pressure the newest comes first."""

import pytest

from gateway.sessions.arrival_queue import (
    AT_ONCE,
    OF_A_USER,
    OF_AN_ADDRESS,
    ArrivalQueue,
    Waiting,
)
from tieline.wire.ids import UserId


def come(queue: ArrivalQueue, count: int, address: str = "a", user: str = "") -> list[Waiting]:
    """Let clients wait, each a user of its own if none is named."""
    arrivals = [Waiting(UserId(user or f"{address}-{number}"), address) for number in range(count)]
    for arrival in arrivals:
        assert queue.add(arrival) is None
    return arrivals


def begin(queue: ArrivalQueue) -> list[Waiting]:
    """Give everybody a turn who may have one."""
    begun = []
    while (arrival := queue.next()) is not None:
        begun.append(arrival)
    return begun


def test_no_more_have_a_turn_than_there_is_room_for() -> None:
    queue = ArrivalQueue(at_once=3)
    first = come(queue, 3)
    assert begin(queue) == first
    late = come(queue, 2)
    assert begin(queue) == []

    queue.done(first[1])

    assert begin(queue) == late[:1]
    assert len(queue) == 1
    assert queue.under_way == 3


def test_without_pressure_who_has_waited_longest_is_next() -> None:
    queue = ArrivalQueue(at_once=3)
    arrivals = come(queue, 3)
    assert begin(queue) == arrivals


def test_under_pressure_the_one_that_came_last_is_next() -> None:
    queue = ArrivalQueue(at_once=3)
    *oldest, fifth, sixth = come(queue, 6)
    assert begin(queue) == [sixth, fifth, oldest[-1]]

    queue.done(fifth)

    assert begin(queue) == [oldest[0]]  # three were left: no pressure any more


def test_as_many_as_are_let_in_in_time_have_their_turns_in_order() -> None:
    queue = ArrivalQueue(at_once=3)
    arrivals = come(queue, 6)
    assert queue.next(5) is arrivals[5]
    assert queue.next(5) is arrivals[0]
    assert queue.next(5) is arrivals[1]


def test_addresses_take_turns() -> None:
    queue = ArrivalQueue(at_once=4, max_waiting=8)
    many = come(queue, 6, "many")
    (one,) = come(queue, 1, "one")
    (other,) = come(queue, 1, "other")

    assert begin(queue) == [many[5], one, other, many[4]]


def test_an_address_cannot_have_all_places() -> None:
    queue = ArrivalQueue()
    many = come(queue, AT_ONCE, "many")
    assert begin(queue) == many[:OF_AN_ADDRESS]

    late = come(queue, 1, "late")

    assert begin(queue) == late


def test_a_user_has_a_few_places_only() -> None:
    queue = ArrivalQueue()
    mine = come(queue, 5, user="me")
    (other,) = come(queue, 1)
    assert begin(queue) == [*mine[:OF_A_USER], other]

    queue.done(mine[0])

    assert begin(queue) == [mine[2]]


def test_too_many_of_an_address_have_its_oldest_wait_no_more() -> None:
    queue = ArrivalQueue(max_waiting=3)
    many = come(queue, 2, "many")
    come(queue, 1, "one")

    assert queue.add(Waiting(UserId("me"), "another")) is many[0]
    assert len(queue) == 3


def test_a_client_that_waits_no_more_is_not_let_in() -> None:
    queue = ArrivalQueue()
    gone, here = come(queue, 2)

    assert queue.remove(gone)

    assert begin(queue) == [here]
    assert not queue.remove(gone)
    assert not queue.remove(here)


@pytest.mark.parametrize("rounds", [1, 3])
def test_nothing_is_remembered_of_those_who_are_through(rounds: int) -> None:
    queue = ArrivalQueue()
    for _ in range(rounds):
        come(queue, AT_ONCE, user="me")
        while begun := begin(queue):
            for arrival in begun:
                queue.done(arrival)
    assert len(queue) == 0
    assert queue.__dict__["_users"] == queue.__dict__["_addresses"] == {}
