"""`docker kill` and `docker pause` of each kind of container under load: nothing is lost, no session ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import pytest

from tests.containers.fleet import Fleet
from tests.support.container import RunningContainer
from tests.support.load import Load, nothing_is_amiss, running
from tests.support.waiting import until_true

pytestmark = [pytest.mark.needs("docker", "haproxy", "debootstrap", "openssl"), pytest.mark.timeout(420)]

PAIRS = 4
MESSAGES = 30
"""That everybody sends and receives before the fault, and after it."""

FEW = 5
"""Messages while a container stands still: half of them are asked a second time, after half a second."""

STREAMS = ("KV_tieline", "MAILBOX_tieline")


async def leader_of(fleet: Fleet, stream: str) -> RunningContainer:
    """Wait until a stream has a leader."""
    return await until_true(lambda: asyncio.to_thread(fleet.leader_of, stream))


@asynccontextmanager
async def standing_still(container: RunningContainer) -> AsyncIterator[None]:
    """Have every process of a container stand still while the block runs."""
    await asyncio.to_thread(container.pause)
    try:
        yield
    finally:
        await asyncio.to_thread(container.unpause)


async def still_talk(load: Load, messages: int) -> None:
    sent = load.report().sent
    await load.progress(messages)
    assert load.report().sent > sent


async def test_a_gateway_is_killed(fleet: Fleet) -> None:
    async with running([fleet.url], PAIRS) as load:
        await load.progress(MESSAGES)
        victim = fleet.all("gateway")[0]
        here = await asyncio.to_thread(victim.count, "tieline_connections")
        assert here > 0
        await asyncio.to_thread(victim.kill)
        await still_talk(load, MESSAGES)
        await asyncio.to_thread(fleet.replace, victim)
        await fleet.is_whole()
        await nothing_is_amiss(load)
        assert load.counts["resumed"] >= here


@pytest.mark.parametrize("kind", ["router", "presence"])
async def test_a_service_that_no_client_is_connected_to_is_killed(
    fleet: Fleet, kind: Literal["router", "presence"]
) -> None:
    async with running([fleet.url], PAIRS) as load:
        await load.progress(MESSAGES)
        victim = fleet.all(kind)[0]
        await asyncio.to_thread(victim.kill)
        await still_talk(load, MESSAGES)
        await asyncio.to_thread(fleet.replace, victim)
        await fleet.is_whole()
        await nothing_is_amiss(load)
        assert load.counts["resumed"] == 0  # no socket was closed


@pytest.mark.parametrize("stream", STREAMS)
async def test_the_broker_that_leads_a_stream_is_killed(fleet: Fleet, stream: str) -> None:
    async with running([fleet.url], PAIRS, windows=(1,)) as load:
        await load.progress(MESSAGES)
        victim = await leader_of(fleet, stream)
        await asyncio.to_thread(victim.kill)
        await still_talk(load, MESSAGES)
        await asyncio.to_thread(victim.start)
        await fleet.is_whole()
        await nothing_is_amiss(load)
        assert load.counts["resumed"] == 0


async def test_the_balancer_is_killed(fleet: Fleet) -> None:
    async with running([fleet.url], PAIRS) as load:
        await load.progress(MESSAGES)
        await asyncio.to_thread(fleet.balancer.kill)
        await asyncio.to_thread(fleet.balancer.start)
        await fleet.is_whole()
        await nothing_is_amiss(load)
        assert load.counts["resumed"] >= len(load.clients)


async def test_a_gateway_stands_still_for_longer_than_its_lease(fleet: Fleet) -> None:
    async with running([fleet.url], PAIRS) as load:
        await load.progress(MESSAGES)
        leases_out = await asyncio.to_thread(count_leases_out, fleet)
        victim = fleet.all("gateway")[0]
        here = await asyncio.to_thread(victim.count, "tieline_connections")
        assert here > 0
        await asyncio.to_thread(victim.pause)

        async def is_noticed() -> bool:
            return await asyncio.to_thread(count_leases_out, fleet) > leases_out

        try:
            await until_true(is_noticed)
        finally:
            await asyncio.to_thread(victim.unpause)
        await fleet.is_whole()
        await nothing_is_amiss(load)


def count_leases_out(fleet: Fleet) -> float:
    return sum(
        container.count("tieline_timers_fired_total", kind="lease") for container in fleet.all("presence")
    )


@pytest.mark.parametrize("kind", ["router", "presence"])
async def test_a_service_that_no_client_is_connected_to_stands_still(
    fleet: Fleet, kind: Literal["router", "presence"]
) -> None:
    # One at a time: what has to be asked again, after 5 s of bad luck, comes after what was sent meanwhile.
    async with running([fleet.url], PAIRS, windows=(1,)) as load:
        await load.progress(MESSAGES)
        victim = fleet.all(kind)[0]
        async with standing_still(victim):
            await still_talk(load, FEW)
        await fleet.is_whole()
        await nothing_is_amiss(load)
        assert load.counts["resumed"] == 0


async def test_the_balancer_stands_still(fleet: Fleet) -> None:
    async with running([fleet.url], PAIRS) as load:
        await load.progress(MESSAGES)
        async with standing_still(fleet.balancer):
            await load.silence(2)
        await fleet.is_whole()
        await nothing_is_amiss(load)
        assert load.counts["resumed"] == 0


async def test_the_broker_that_leads_the_mailbox_stands_still(fleet: Fleet) -> None:
    async with running([fleet.url], PAIRS, windows=(1,)) as load:
        await load.progress(MESSAGES)
        victim = await leader_of(fleet, STREAMS[1])
        async with standing_still(victim):
            await still_talk(load, FEW)
        await fleet.is_whole()
        await nothing_is_amiss(load)
        assert load.counts["resumed"] == 0
