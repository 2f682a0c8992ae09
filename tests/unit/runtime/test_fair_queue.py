"""Whose turn it is, and what is dropped."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tieline.runtime.fair_queue import FairQueue, Waiting

LATER = 10.0


def asking(owner: str, name: str = "1", *, size: int = 1, until: float = LATER) -> Waiting[str]:
    return Waiting(owner, name, f"{owner} {name}", size, until)


def queue(most: int = 100, most_bytes: int = 1000, most_of_one: int = 100) -> FairQueue[str]:
    return FairQueue(most, most_bytes, most_of_one)


def taken(waiting: FairQueue[str], count: int = 100, now: float = 0.0) -> list[str]:
    """Take what comes; returns what it is, up to where nothing may be begun."""
    found: list[str] = []
    while len(found) < count:
        next_one, _ = waiting.take(now)
        if next_one is None:
            break
        found.append(next_one.item)
    return found


def test_one_owner_s_come_in_their_order() -> None:
    waiting = queue()
    for name in "123":
        assert waiting.put(asking("a", name)) == []
    assert taken(waiting) == ["a 1", "a 2", "a 3"]
    assert (len(waiting), waiting.bytes) == (0, 0)


def test_an_owner_with_much_waits_behind_itself_alone() -> None:
    waiting = queue()
    for name in "123":
        waiting.put(asking("flooder", name))
    waiting.put(asking("a"))
    waiting.put(asking("b"))
    assert taken(waiting) == ["flooder 1", "a 1", "b 1", "flooder 2", "flooder 3"]


def test_a_copy_prolongs_the_wait_of_the_one_before() -> None:
    waiting = queue()
    waiting.put(asking("a", size=5, until=1))
    waiting.put(asking("b"))
    again = asking("a", size=5, until=3)
    assert waiting.put(again) == [(again, "repeated")]
    assert (len(waiting), waiting.bytes) == (2, 6)
    assert waiting.take(2.0) == (again, [])


def test_what_nobody_waits_for_any_more_is_passed_over() -> None:
    waiting = queue()
    waiting.put(asking("a", "1", until=1))
    waiting.put(asking("a", "2"))
    waiting.put(asking("b", "1", until=1))
    assert waiting.take(2.0) == (asking("a", "2"), [asking("a", "1", until=1), asking("b", "1", until=1)])
    assert waiting.take(2.0) == (None, [])


def test_all_may_be_late() -> None:
    waiting = queue()
    waiting.put(asking("a", until=1))
    assert waiting.take(2.0) == (None, [asking("a", until=1)])
    assert waiting.may_begin("a")


def test_when_full_those_with_several_give_way_to_one_with_none() -> None:
    waiting = queue(most=3)
    for name in "123":
        waiting.put(asking("flooder", name))
    assert waiting.put(asking("flooder", "4")) == [(asking("flooder", "4"), "full")]
    assert waiting.put(asking("a")) == [(asking("flooder", "3"), "full")]
    assert waiting.put(asking("b")) == [(asking("flooder", "2"), "full")]
    assert waiting.put(asking("c")) == [(asking("c"), "full")]
    assert taken(waiting) == ["flooder 1", "a 1", "b 1"]


def test_bytes_are_bounded_as_the_number_is() -> None:
    waiting = queue(most_bytes=10)
    waiting.put(asking("flooder", "1", size=4))
    waiting.put(asking("flooder", "2", size=5))
    assert waiting.put(asking("a", size=6)) == [(asking("flooder", "2", size=5), "full")]
    assert waiting.put(asking("b", size=1)) == [(asking("b", size=1), "full")]
    assert waiting.bytes == 10


def test_one_that_is_larger_than_all_the_room_is_dropped() -> None:
    waiting = queue(most_bytes=10)
    waiting.put(asking("a", "1", size=4))
    waiting.put(asking("a", "2", size=4))
    dropped = waiting.put(asking("b", size=11))
    assert dropped == [(asking("a", "2", size=4), "full"), (asking("b", size=11), "full")]


def test_an_owner_at_its_limit_waits_until_one_of_its_own_ends() -> None:
    waiting = queue(most_of_one=2)
    assert waiting.may_begin("a")
    waiting.began("a")
    waiting.began("a")
    assert not waiting.may_begin("a")
    waiting.put(asking("a", "1"))
    waiting.put(asking("a", "2"))
    waiting.put(asking("b"))
    assert taken(waiting) == ["b 1"]
    waiting.ended("a")
    assert taken(waiting) == ["a 1"]
    waiting.ended("a")
    assert taken(waiting) == ["a 2"]
    for _ in range(2):
        waiting.ended("a")
    assert waiting.may_begin("a")


def test_an_owner_takes_no_more_turns_than_its_limit() -> None:
    waiting = queue(most_of_one=1)
    waiting.put(asking("a", "1"))
    waiting.put(asking("a", "2"))
    assert taken(waiting) == ["a 1"]
    assert not waiting.may_begin("a")


def test_one_that_waits_is_not_overtaken_by_its_owner() -> None:
    waiting = queue()
    waiting.put(asking("a"))
    assert not waiting.may_begin("a")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.integers(1, 4)), max_size=60))
def test_it_counts_right_whatever_comes(steps: list[tuple[str, int, int]]) -> None:
    waiting = queue(most=6, most_bytes=14, most_of_one=2)
    under_way: list[str] = []
    there: Counter[tuple[str, str]] = Counter()
    for owner, name, size in steps:
        if name == 0:
            found, _ = waiting.take(0.0)
            if found is not None:
                under_way.append(found.owner)
                there[found.owner, found.name] -= 1
        elif name == 1 and under_way:
            waiting.ended(under_way.pop())
        else:
            there[owner, str(name)] += 1
            for dropped, _ in waiting.put(asking(owner, str(name), size=size)):
                there[dropped.owner, dropped.name] -= 1
        assert max(Counter(under_way).values(), default=0) <= 2
        assert len(waiting) == there.total() <= 6
        assert waiting.bytes <= 14
    while under_way or len(waiting):
        found, _ = waiting.take(0.0)
        if found is None:
            waiting.ended(under_way.pop())
        else:
            under_way.append(found.owner)
            there[found.owner, found.name] -= 1
    assert not there.total()
    assert waiting.bytes == 0
