"""Events that wait for a reader, and the end of them."""

import asyncio

import pytest

from tests.support.waiting import within
from tieline.client import Candidate
from tieline.client.inbox import Inbox
from tieline.wire.ids import UserId


def event(number: int) -> Candidate:
    return Candidate(UserId("bob"), number)


async def test_events_are_read_in_order_each_once() -> None:
    inbox = Inbox()
    for number in range(3):
        inbox.put(event(number))
    assert [await anext(inbox), await anext(inbox)] == [event(0), event(1)]
    inbox.end()
    assert [seen async for seen in inbox] == [event(2)]


async def test_a_second_iteration_goes_on_where_the_first_stopped() -> None:
    inbox = Inbox()
    for number in range(4):
        inbox.put(event(number))
    inbox.end()
    async for seen in inbox:
        if seen == event(1):
            break
    assert [seen async for seen in inbox] == [event(2), event(3)]


async def test_the_end_stops_every_reader_and_later_ones_too() -> None:
    inbox = Inbox()
    async with asyncio.TaskGroup() as tasks:
        readers = [tasks.create_task(all_of(inbox)) for _ in range(3)]
        inbox.put(event(1))
        inbox.end()
        seen = [await within(reader) for reader in readers]
    assert sorted(seen, key=len) == [[], [], [event(1)]]
    with pytest.raises(StopAsyncIteration):
        await anext(inbox)


async def test_a_reader_that_is_cancelled_takes_no_event() -> None:
    inbox = Inbox()
    async with asyncio.TaskGroup() as tasks:
        reader = tasks.create_task(all_of(inbox))
        inbox.put(event(1))
        reader.cancel()
    inbox.end()
    assert await all_of(inbox) == [event(1)]


async def all_of(inbox: Inbox) -> list[object]:
    return [seen async for seen in inbox]
