"""How many jobs are carried out at once, and which."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from tests.support.metrics import value_of
from tieline.runtime import metrics
from tieline.runtime.pool import Pool, PoolSize


class Work:
    """Jobs that go on until they are told to end."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.may_end = asyncio.Event()

    def job(self, name: str) -> Callable[[], Coroutine[Any, Any, None]]:
        async def do() -> None:
            self.begun.append(name)
            await self.may_end.wait()

        return do


async def some_turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def dropped(why: str) -> float:
    return value_of(metrics.JOBS_DROPPED.labels(why))


async def test_so_many_are_under_way_and_all_have_their_turn() -> None:
    work = Work()
    async with asyncio.TaskGroup() as tasks:
        pool = Pool(tasks, PoolSize(under_way=3, of_one=3))
        for number in range(10):
            pool.submit(f"u{number}", "1", work.job(str(number)), 1, 60)
        await some_turns()
        assert work.begun == ["0", "1", "2"]
        assert (pool.under_way, len(pool)) == (3, 7)
        assert value_of(metrics.JOBS_WAITING) == 7
        work.may_end.set()
    assert work.begun == [str(number) for number in range(10)]
    assert (pool.under_way, len(pool)) == (0, 0)
    assert value_of(metrics.JOBS_WAITING) == 0


async def test_what_waits_in_several_pools_is_counted_together() -> None:
    work = Work()
    async with asyncio.TaskGroup() as tasks:
        pools = [Pool(tasks, PoolSize(under_way=1, of_one=1)) for _ in range(2)]
        for number in range(5):
            for pool in pools:
                pool.submit(f"u{number}", "1", work.job(str(number)), 1, 60)
        assert value_of(metrics.JOBS_WAITING) == 8
        work.may_end.set()
    assert value_of(metrics.JOBS_WAITING) == 0


async def test_one_owner_has_no_more_than_its_share() -> None:
    work = Work()
    async with asyncio.TaskGroup() as tasks:
        pool = Pool(tasks, PoolSize(under_way=10, of_one=2))
        for number in range(5):
            pool.submit("flooder", str(number), work.job(f"flooder {number}"), 1, 60)
        pool.submit("a", "1", work.job("a"), 1, 60)
        await some_turns()
        assert work.begun == ["flooder 0", "flooder 1", "a"]
        work.may_end.set()
    assert sorted(work.begun) == ["a", *(f"flooder {number}" for number in range(5))]


async def test_what_there_is_no_room_for_is_dropped_and_counted() -> None:
    work, before = Work(), dropped("full")
    async with asyncio.TaskGroup() as tasks:
        pool = Pool(tasks, PoolSize(under_way=1, of_one=1, waiting=2))
        for number in range(6):
            pool.submit("flooder", str(number), work.job(str(number)), 1, 60)
        await some_turns()
        work.may_end.set()
    assert work.begun == ["0", "1", "2"]
    assert dropped("full") == before + 3


async def test_what_waits_longer_than_its_asker_is_dropped_and_counted() -> None:
    work, before = Work(), dropped("late")
    async with asyncio.TaskGroup() as tasks:
        pool = Pool(tasks, PoolSize(under_way=1, of_one=1))
        pool.submit("a", "1", work.job("a"), 1, 60)
        pool.submit("b", "1", work.job("b"), 1, -1)
        pool.submit("c", "1", work.job("c"), 1, 60)
        await some_turns()
        work.may_end.set()
    assert work.begun == ["a", "c"]
    assert dropped("late") == before + 1


async def test_what_is_asked_again_while_it_waits_is_done_once() -> None:
    work, before = Work(), dropped("repeated")
    async with asyncio.TaskGroup() as tasks:
        pool = Pool(tasks, PoolSize(under_way=1, of_one=1))
        pool.submit("a", "1", work.job("a"), 1, 60)
        pool.submit("b", "1", work.job("b"), 1, 60)
        pool.submit("b", "1", work.job("b again"), 1, 60)
        await some_turns()
        work.may_end.set()
    assert work.begun == ["a", "b"]
    assert dropped("repeated") == before + 1
