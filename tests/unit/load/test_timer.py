"""`tieline.load.timer`: it rings, never too early, and only when it is set."""

import asyncio

import pytest

from tieline.load import timer
from tieline.load.measurement import clock
from tieline.load.timer import Alarm

PATIENCE_S = 10


async def test_it_rings_at_its_moments_and_not_before() -> None:
    rang: asyncio.Queue[float] = asyncio.Queue()
    alarm = Alarm(lambda: rang.put_nowait(clock()))
    async with asyncio.timeout(PATIENCE_S):
        for wait in (0.02, 0.0, -1.0):
            moment = clock() + wait
            alarm.ring_at(moment)
            assert await rang.get() >= moment
    alarm.close()
    assert rang.empty()


async def test_what_is_set_anew_rings_once() -> None:
    rang: asyncio.Queue[float] = asyncio.Queue()
    alarm = Alarm(lambda: rang.put_nowait(clock()))
    alarm.ring_at(clock() + 1000)
    alarm.ring_at(clock())
    async with asyncio.timeout(PATIENCE_S):
        await rang.get()
    alarm.close()
    assert rang.empty()


async def test_a_ring_that_was_put_off_is_none() -> None:
    rang: list[float] = []
    alarm = Alarm(lambda: rang.append(clock()))
    alarm.ring_at(clock() + 1000)
    alarm._rang()
    alarm.close()
    assert rang == []


async def test_a_process_without_descriptors_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timer, "_FLAGS", -1)
    with pytest.raises(OSError, match="Invalid argument"):
        Alarm(lambda: None)
