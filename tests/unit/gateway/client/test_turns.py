"""Turns go round, and a round ends in time."""

from gateway.client.turns import ROUND_S, Turns
from tests.unit.gateway.client.clock import Clock


class Waiter:
    """One who has so many turns' worth to be looked at, each of which takes a while."""

    def __init__(self, clock: Clock, name: str, turns: int, takes_s: float, log: list[str]) -> None:
        self._clock = clock
        self._name = name
        self._left = turns
        self._takes_s = takes_s
        self._log = log

    def take_turn(self) -> bool:
        """Take one."""
        self._clock.advance(self._takes_s)
        self._log.append(self._name)
        self._left -= 1
        return self._left > 0


def rounds(takes_s: float, **turns: int) -> list[str]:
    """Let some take their turns; returns who had one, iteration by iteration."""
    clock, found = Clock(), []
    served: list[str] = []
    shared = Turns(clock.loop, clock.time)
    for name, count in turns.items():
        shared.join(Waiter(clock, name, count, takes_s, served))
    while not clock.is_at_rest:
        clock.iterate()
        found.append("".join(served))
        served.clear()
    return found


def test_each_has_one_turn_an_iteration_as_long_as_there_is_time() -> None:
    assert rounds(0, a=3, b=1, c=2) == ["abc", "ac", "a"]


def test_a_round_ends_in_time_and_the_next_goes_on_from_there() -> None:
    assert rounds(ROUND_S / 2, a=2, b=2, c=2) == ["ab", "ca", "bc"]
    assert rounds(ROUND_S, a=1, b=2) == ["a", "b", "b"]


def test_one_who_joins_later_waits_behind_the_others() -> None:
    clock = Clock()
    served: list[str] = []
    shared = Turns(clock.loop, clock.time)
    shared.join(Waiter(clock, "a", 3, 0, served))
    clock.iterate()
    shared.join(Waiter(clock, "b", 1, 0, served))
    clock.settle()

    assert served == ["a", "a", "b", "a"]
    shared.join(Waiter(clock, "c", 1, 0, served))
    clock.settle()
    assert served[-1] == "c"


def test_newcomers_are_counted_until_their_first_turn_is_over() -> None:
    clock = Clock()
    shared = Turns(clock.loop, clock.time)
    shared.join(Waiter(clock, "a", 1, 0, []))
    assert shared.newcomers == 0
    shared.join_new(Waiter(clock, "b", 2, 0, []))
    shared.join_new(Waiter(clock, "c", 1, ROUND_S, []))
    assert shared.newcomers == 2
    clock.iterate()
    assert shared.newcomers == 0
    assert not clock.is_at_rest
