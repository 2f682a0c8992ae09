"""Orders are numbered: each later one higher, by whichever process, whatever clocks do."""

import asyncio

import pytest

from presence.numbers import Numbers
from presence.rules.standing import NUMBERS_KEPT_MS
from presence.store import StoreUnavailable
from tests.unit.presence.lifetime import BusyStore
from tests.unit.presence.presence_process import PresenceProcess
from tests.unit.presence.rules.frames import NOW
from tieline.wire.subjects import Keys


async def test_numbers_of_all_processes_grow() -> None:
    process = PresenceProcess()
    one, other = (Numbers(process.store, process.clock) for _ in range(2))
    given = [await each.next() for each in (one, one, other, one, other, other, one)]
    assert given == sorted(set(given))
    assert given[0] == NOW * 1000


async def test_numbers_asked_for_at_once_differ() -> None:
    process = PresenceProcess()
    numbers = [Numbers(process.store, process.clock) for _ in range(3)]
    given = await asyncio.gather(*(each.next() for each in numbers for _ in range(5)))
    assert len(set(given)) == 15


async def test_numbers_grow_where_the_clock_goes_back_or_the_record_is_lost() -> None:
    process = PresenceProcess()
    numbers = Numbers(process.store, process.clock)
    first = await numbers.next()
    process.clock.now_ms -= 3_600_000
    assert await numbers.next() == first + 1
    process.clock.now_ms += 3_600_001
    process.clock.pass_s(NUMBERS_KEPT_MS / 1000 + 1)
    assert Keys.last_number() not in process.store.contents()
    assert await Numbers(process.store, process.clock).next() > first + 1
    assert await numbers.next() > first + 1


async def test_a_record_that_cannot_be_read_is_written_anew() -> None:
    process = PresenceProcess()
    await process.store.put(Keys.last_number(), b"?", 60.0)
    assert await Numbers(process.store, process.clock).next() == NOW * 1000


async def test_who_loses_each_round_gives_no_number() -> None:
    process = PresenceProcess()
    busy = BusyStore(process.store, Keys.last_number())
    with pytest.raises(StoreUnavailable):
        await Numbers(busy, process.clock).next()
