"""Who asks for too many bytes at once waits for its turn."""

import asyncio

import pytest

from presence.read_budget import MAX_BYTES, ReadBudget, estimated, estimated_each
from presence.records import encode
from tests.unit.presence.rules.people import online
from tieline.wire.ids import MAX_ID_BYTES, RoomId, SessionId


class Reads:
    """Reads that go on until they are told to end."""

    def __init__(self, most: int) -> None:
        self.budget = ReadBudget(most)
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
    reads = Reads(10)
    async with asyncio.TaskGroup() as tasks:
        for name, size in (("a", 6), ("b", 6), ("c", 1), ("d", 4)):
            tasks.create_task(reads.read(name, size))
        await some_turns()
        assert reads.begun == ["a"]  # c is small, but came after b
        reads.may_end["a"].set()
        await some_turns()
        assert reads.begun == ["a", "b", "c"]
        for name in "bcd":
            reads.may_end[name].set()
    assert reads.begun == ["a", "b", "c", "d"]
    assert reads.most <= 10
    assert reads.budget.taken == 0


async def test_what_is_more_than_all_is_asked_for_alone() -> None:
    reads = Reads(10)
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
    reads = Reads(10)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(reads.read("a", 10))
        cancelled = tasks.create_task(reads.read("b", 10))
        tasks.create_task(reads.read("c", 10))
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
