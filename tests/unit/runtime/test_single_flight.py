"""A job that is asked for by several is done once."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tieline.runtime.single_flight import SingleFlight


class Job:
    """Something that takes until the test lets it end."""

    def __init__(self) -> None:
        self.begun = 0
        self.may_end = asyncio.Event()

    async def run(self) -> int:
        self.begun += 1
        await self.may_end.wait()
        return self.begun


@pytest.fixture
async def tasks() -> AsyncIterator[asyncio.TaskGroup]:
    async with asyncio.TaskGroup() as group:
        yield group


async def test_a_job_that_is_under_way_is_not_begun_again(tasks: asyncio.TaskGroup) -> None:
    job = Job()
    flight = SingleFlight(tasks, job.run)

    first, second = flight.start(), flight.start()
    await asyncio.sleep(0)

    assert first is second
    assert job.begun == 1
    job.may_end.set()


async def test_all_who_wait_get_the_result_of_the_one_run(tasks: asyncio.TaskGroup) -> None:
    job = Job()
    flight = SingleFlight(tasks, job.run)
    waiting = [asyncio.ensure_future(flight.result()) for _ in range(3)]
    await asyncio.sleep(0)

    job.may_end.set()

    assert await asyncio.gather(*waiting) == [1, 1, 1]


async def test_a_job_that_has_ended_may_be_begun_again(tasks: asyncio.TaskGroup) -> None:
    job = Job()
    job.may_end.set()
    flight = SingleFlight(tasks, job.run)

    assert await flight.result() == 1
    assert await flight.result() == 2


async def test_a_waiter_that_is_cancelled_leaves_the_job_to_the_others(tasks: asyncio.TaskGroup) -> None:
    job = Job()
    flight = SingleFlight(tasks, job.run)
    impatient, patient = (asyncio.ensure_future(flight.result()) for _ in range(2))
    await asyncio.sleep(0)

    impatient.cancel()
    await asyncio.wait([impatient])
    job.may_end.set()

    assert await patient == 1
    assert impatient.cancelled()


async def test_a_job_that_failed_may_be_begun_again() -> None:
    runs = 0

    async def fail_first() -> str:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise asyncio.CancelledError
        return "done"

    async with asyncio.TaskGroup() as tasks:
        flight = SingleFlight(tasks, fail_first)
        await asyncio.wait([flight.start()])
        assert await flight.result() == "done"


async def test_a_bug_in_a_job_ends_the_group_that_it_belongs_to() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as group:
        async with asyncio.TaskGroup() as tasks:
            SingleFlight(tasks, fail).start()
    assert isinstance(group.value.exceptions[0], ZeroDivisionError)
