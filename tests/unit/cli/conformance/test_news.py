"""Who waits for something to be said looks again whenever anything is, and at the end."""

import asyncio

from tieline.cli.conformance.news import News

LONG_S = 60.0


async def test_what_is_so_already_is_not_waited_for() -> None:
    assert await News().until(lambda: True, 0)


async def test_what_becomes_so_is_seen_when_it_is_told() -> None:
    news, said = News(), list[str]()

    async def hears(number: int) -> bool:
        return await news.until(lambda: len(said) >= number, LONG_S)

    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(hears(number)) for number in (1, 2)]
        for word in ("one", "two"):
            await asyncio.sleep(0)
            said.append(word)
            news.tell()
    assert [task.result() for task in waiting] == [True, True]


async def test_what_does_not_become_so_in_time_is_not() -> None:
    assert not await News().until(lambda: False, 0)
