"""Who waits for a room to reach a number goes on when it does."""

import asyncio

import pytest

from gateway.rooms import awaited
from gateway.rooms.awaited import Awaited
from tests.unit.gateway.rooms.hall import ALICE, BOB, CELLAR, change, live


async def test_who_waits_goes_on_when_its_number_is_reached() -> None:
    hall, waiting = live(change(3, ALICE)), Awaited()
    async with asyncio.TaskGroup() as tasks:
        first, second = (tasks.create_task(waiting.reach(hall, number)) for number in (5, 8))
        await asyncio.sleep(0)
        assert [number for number, _ in waiting.numbers[hall]] == [5, 8]
        for number, is_done in ((4, False), (6, True), (9, True)):
            hall.take(change(number, BOB, "updated"), 0)
            waiting.advanced(hall)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert first.done() is is_done
            assert second.done() is (number == 9)
    assert waiting.numbers == {}


async def test_what_was_reached_or_read_before_is_not_waited_for() -> None:
    hall, waiting = live(change(3, ALICE)), Awaited()
    await waiting.reach(hall, 3)
    hall.catch_up([], 7, 0)
    await waiting.reach(hall, 7)


async def test_while_something_may_be_missing_nothing_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awaited, "NUMBER_S", 0.01)
    hall, waiting = live(change(3, ALICE)), Awaited()
    hall.hold()
    with pytest.raises(TimeoutError):
        await waiting.reach(hall, 3)


async def test_who_waits_in_vain_gives_up_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    hall, cellar, waiting = live(), live(room=CELLAR), Awaited()
    async with asyncio.TaskGroup() as tasks:
        patient = tasks.create_task(waiting.reach(hall, 5))
        await asyncio.sleep(0)
        monkeypatch.setattr(awaited, "NUMBER_S", 0.01)
        for room in (hall, cellar):
            with pytest.raises(TimeoutError):
                await waiting.reach(room, 9)
        assert [number for number, _ in waiting.numbers[hall]] == [5]
        assert cellar not in waiting.numbers
        hall.take(change(5, BOB), 0)
        waiting.advanced(hall)
        await patient


async def test_who_is_gone_by_then_is_in_nobody_s_way() -> None:
    hall, waiting = live(), Awaited()
    async with asyncio.TaskGroup() as tasks:
        gone, other = (tasks.create_task(waiting.reach(hall, 5)) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        hall.take(change(5, BOB), 0)
        waiting.advanced(hall)
        await other
    assert waiting.numbers == {}
