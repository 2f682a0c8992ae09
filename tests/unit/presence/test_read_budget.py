"""Who asks for too many bytes at once waits for its turn."""

import asyncio

import pytest

from presence.read_budget import (
    LARGE_BYTES,
    LARGE_SHARE,
    MAX_BYTES,
    ReadBudget,
    estimated,
    estimated_each,
    parts,
)
from presence.record_codec import encode
from tests.unit.presence.rules.people import online
from tieline.wire.ids import MAX_ID_BYTES, RoomId, SessionId


class Reads:
    """Reads that go on until they are told to end."""

    def __init__(self, most: int, large: int = LARGE_BYTES) -> None:
        self.budget = ReadBudget(most * LARGE_SHARE // (LARGE_SHARE - 1), large)
        self.begun: list[str] = []
        self.most = 0
        self.may_end: dict[str, asyncio.Event] = {}

    async def read(self, name: str, size: int) -> None:
        self.may_end[name] = asyncio.Event()
        async with self.budget.of(size):
            self.begun.append(name)
            self.most = max(self.most, self.budget.taken)
            await self.may_end[name].wait()


async def some_turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_no_more_is_asked_for_at_once_and_all_come_in_order() -> None:
    reads = Reads(12)
    async with asyncio.TaskGroup() as tasks:
        for name, size in (("a", 7), ("b", 7), ("c", 1), ("d", 5)):
            tasks.create_task(reads.read(name, size))
        await some_turns()
        assert reads.begun == ["a"]  # c is small, but came after b
        reads.may_end["a"].set()
        await some_turns()
        assert reads.begun == ["a", "b", "c"]
        for name in "bcd":
            reads.may_end[name].set()
    assert reads.begun == ["a", "b", "c", "d"]
    assert reads.most <= 12
    assert reads.budget.taken == 0


async def test_what_is_more_than_all_is_asked_for_alone() -> None:
    reads = Reads(12)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(reads.read("huge", 1000))
        tasks.create_task(reads.read("small", 1))
        await some_turns()
        assert reads.begun == ["huge"]
        reads.may_end["huge"].set()
        reads.may_end["small"].set()
    assert reads.begun == ["huge", "small"]


@pytest.mark.parametrize("has_its_turn", [True, False])
async def test_one_that_is_cancelled_leaves_its_turn_to_others(has_its_turn: bool) -> None:
    reads = Reads(12)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(reads.read("a", 12))
        cancelled = tasks.create_task(reads.read("b", 12))
        tasks.create_task(reads.read("c", 12))
        await some_turns()
        if has_its_turn:
            reads.may_end["a"].set()
            await asyncio.sleep(0)  # a has ended, and b does not know yet
        cancelled.cancel()
        await some_turns()
        reads.may_end["a"].set()
        await some_turns()
        assert reads.begun == ["a", "c"]
        reads.may_end["c"].set()
    assert reads.budget.taken == 0


async def test_those_who_ask_for_much_wait_for_each_other_alone() -> None:
    reads = Reads(12, large=3)
    async with asyncio.TaskGroup() as tasks:
        for name, size in (("rosters", 4), ("more of them", 1000), ("lease", 1), ("signal", 3)):
            tasks.create_task(reads.read(name, size))
        await some_turns()
        assert reads.begun == ["rosters", "lease", "signal"]
        reads.may_end["rosters"].set()
        await some_turns()
        assert reads.begun == ["rosters", "lease", "signal", "more of them"]
        for may_end in reads.may_end.values():
            may_end.set()
    assert reads.budget.taken == 0


def test_what_is_read_of_many_rooms_is_asked_for_in_parts() -> None:
    keys = ["user.alice", *(f"room.{number}.*" for number in range(100))]

    divided = list(parts(keys))

    assert [key for part in divided for key in part] == keys
    assert all(estimated(part) <= MAX_BYTES // LARGE_SHARE for part in divided)
    assert len(divided) == 4
    assert list(parts([])) == []


def test_a_part_has_room_for_what_is_read_beside_it() -> None:
    beside = [f"user.{number}" for number in range(8)]
    keys = [f"session.g.{number}" for number in range(1000)]

    divided = list(parts(keys, beside))

    assert [len(part) for part in divided] == [504, 496]
    rosters = [f"room.{number}.*" for number in range(33)]
    assert all(estimated([*beside, *part]) <= MAX_BYTES // LARGE_SHARE for part in parts(rosters, beside))


def test_no_user_has_more_than_is_estimated() -> None:
    rooms = (RoomId(f"{number:0{MAX_ID_BYTES}}") for number in range(100))
    assert len(encode(online(SessionId("s"), rooms))) < estimated(["user.alice"])


def test_the_largest_records_of_all_that_is_under_way_fit() -> None:
    check = estimated(["user.a", "user.b", "pair.a.b"])
    assert 256 * check < MAX_BYTES
    assert estimated(["room.hall.*"]) > 100 * 1024
    assert estimated(["session.g.s"]) < 1024


def test_of_a_few_the_largest_counts() -> None:
    assert (
        estimated_each(["session.g.s"]) < estimated_each(["user.a"]) < estimated_each(["user.a", "pair.a.*"])
    )
    assert estimated_each(["pair.*.a"]) == estimated(["pair.b.a"])
