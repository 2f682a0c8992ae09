"""Tasks that become ready together, and in which iterations of the event loop they go on."""

import asyncio

from tieline.runtime.one_a_turn import OneATurn


class Iterations:
    """Counts iterations of the event loop."""

    def __init__(self) -> None:
        self.count = 0
        self._loop = asyncio.get_running_loop()
        self._count()

    def _count(self) -> None:
        self.count += 1
        self._next = self._loop.call_soon(self._count)

    def stop(self) -> None:
        self._next.cancel()


async def test_of_those_who_are_ready_together_one_goes_on_in_an_iteration() -> None:
    turns, all_ready, went = OneATurn(), asyncio.Event(), dict[int, int]()
    iterations = Iterations()

    async def one(number: int) -> None:
        await all_ready.wait()
        await turns.passed()
        went[number] = iterations.count

    async with asyncio.TaskGroup() as tasks:
        for number in range(5):
            tasks.create_task(one(number))
        await asyncio.sleep(0)
        all_ready.set()
    iterations.stop()

    assert list(went) == [0, 1, 2, 3, 4]
    assert len(set(went.values())) == 5


async def test_who_comes_alone_goes_on_at_once() -> None:
    turns, iterations = OneATurn(), Iterations()
    for _ in range(3):
        before = iterations.count
        await turns.passed()
        assert iterations.count == before
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    iterations.stop()


async def test_who_is_cancelled_keeps_nobody_waiting() -> None:
    turns = OneATurn()
    await turns.passed()
    waiting = [asyncio.ensure_future(turns.passed()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    waiting[1].cancel()
    async with asyncio.timeout(5):
        await waiting[2]
