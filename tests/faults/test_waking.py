"""Presence processes are killed while an offer waits for somebody to be woken: nothing of it is lost."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.hearing import next_of
from tests.support.system import Service, System
from tests.support.waiting import within
from tests.support.waking import client, two_members, waking_system
from tieline.client import Candidate, Client, Offer


@pytest.fixture(scope="module")
def waking(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with waking_system(nats_url, tmp_path_factory.mktemp("waking"), window_s=60) as system:
        yield system


@pytest.fixture
async def calling(waking: System) -> AsyncIterator[tuple[Client, str]]:
    """Alice, whose offer to Bob is kept, and his name."""
    alices, bobs, _ = await two_members(waking)
    async with client(waking, alices) as alice:
        assert await alice.call(bobs, {"sdp": "1"}) == "held"
        assert await alice.candidate(bobs, {"candidate": "2"}) == "held"
        yield alice, bobs


def living(system: System) -> list[Service]:
    return [process for process in system.all("presence") if process.status is None]


async def comes(system: System, calling: tuple[Client, str]) -> None:
    """Let Bob come: he has the offer, once, and behind his answer the candidate."""
    alice, bobs = calling
    async with client(system, bobs, gateway=1) as bob:
        assert (await next_of(bob, Offer)).description == {"sdp": "1"}
        await bob.answer(alice.welcome.user_id, {"sdp": "3"})
        event = await within(anext(bob.events()))
        while not isinstance(event, Candidate):
            assert not isinstance(event, Offer)
            event = await within(anext(bob.events()))
        assert event.candidate == {"candidate": "2"}


async def test_an_offer_outlives_the_processes_that_kept_it(
    waking: System, calling: tuple[Client, str]
) -> None:
    for process in living(waking):
        process.kill()
    for _ in range(2):
        await asyncio.to_thread(waking.add, "presence")
    await comes(waking, calling)


async def test_a_process_dies_while_the_callee_comes(waking: System, calling: tuple[Client, str]) -> None:
    dying = living(waking)[0]
    await asyncio.gather(comes(waking, calling), asyncio.to_thread(dying.kill))
