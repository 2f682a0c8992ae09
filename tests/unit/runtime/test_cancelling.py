"""Cancelling tasks that lose a cancellation, as those of nats-py may."""

import asyncio
from typing import Any

import pytest

from tieline.runtime.cancelling import cancellable, end

PATIENCE_S = 20


class Deaf:
    """Waits for ever, and goes on when it is cancelled, so many times; then it comes to `outcome`."""

    def __init__(self, times: int, outcome: object = None) -> None:
        self.left = times
        self.begun = asyncio.Event()
        self.lost = asyncio.Event()
        self.is_over = False
        self._outcome = outcome

    async def wait(self) -> object:
        """Wait."""
        self.begun.set()
        try:
            while True:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    if self.left == 0:
                        raise
                    self.left -= 1
                    self.lost.set()
                    if self.left == 0 and self._outcome is not None:
                        break
        finally:
            self.is_over = True
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


async def done_in_time(task: asyncio.Task[Any]) -> None:
    """Wait for a task without cancelling it."""
    await asyncio.wait((task,), timeout=PATIENCE_S)
    assert task.done()


async def test_a_task_is_cancelled_until_it_has_ended() -> None:
    deaf = Deaf(times=2)
    task = asyncio.create_task(deaf.wait())
    await deaf.begun.wait()

    await end(task)

    assert task.cancelled()
    assert deaf.left == 0


async def test_a_task_that_has_ended_is_not_cancelled() -> None:
    async def told() -> str:
        return "done"

    task = asyncio.create_task(told())
    await done_in_time(task)

    await end(task)

    assert task.result() == "done"


async def test_what_a_coroutine_comes_to_is_handed_over() -> None:
    async def told() -> str:
        return "done"

    async def failing() -> None:
        raise LookupError("nothing there")

    assert await cancellable(told()) == "done"
    with pytest.raises(LookupError, match="nothing there"):
        await cancellable(failing())


async def test_a_cancellation_of_its_own_is_handed_over() -> None:
    async def giving_up() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await cancellable(giving_up())


@pytest.mark.parametrize("outcome", [None, "a result", LookupError("nothing there")], ids=str)
async def test_one_cancellation_ends_what_loses_some(outcome: object) -> None:
    """Whatever it comes to because it has lost one, and of a failure nobody is told that it was not read."""
    problems: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, problem: problems.append(problem))
    deaf = Deaf(2, outcome)
    task = asyncio.create_task(cancellable(deaf.wait()))
    await deaf.begun.wait()

    task.cancel()
    await done_in_time(task)

    assert task.cancelled()
    assert deaf.is_over
    assert problems == []


async def test_a_timeout_ends_what_loses_a_cancellation() -> None:
    deaf = Deaf(1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await cancellable(deaf.wait())
    assert deaf.is_over


async def test_a_second_cancellation_leaves_nothing_running() -> None:
    deaf = Deaf(3)
    task = asyncio.create_task(cancellable(deaf.wait()))
    await deaf.begun.wait()
    task.cancel()
    await deaf.lost.wait()

    task.cancel()
    await done_in_time(task)

    assert task.cancelled()
    assert deaf.is_over
