"""All gateways are replaced, one after the other, while everybody talks: nothing is lost."""

import asyncio
import time

import pytest

from tests.containers.fleet import Fleet
from tests.support.container import RunningContainer
from tests.support.load import MESSAGES, nothing_is_amiss, running
from tests.support.waiting import until_true

pytestmark = [pytest.mark.needs("docker", "haproxy", "debootstrap", "openssl"), pytest.mark.timeout(420)]

PAIRS = 8


async def test_all_gateways_are_replaced(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    async with running([fleet.url], PAIRS) as load:
        await load.progress(MESSAGES)
        load.begin_pauses()
        replaced = fleet.all("gateway")
        began = time.monotonic()
        for old in replaced:
            await replace(fleet, old)
        took_s = time.monotonic() - began
        pause_s = load.longest_pause_s
        await fleet.is_whole()
        report = await nothing_is_amiss(load)
        assert not set(replaced) & set(fleet.all("gateway"))
        assert all("RECONNECT" in client.heard_cmds for client in load.clients)
        assert load.counts["resumed"] >= len(load.clients)
    with capsys.disabled():
        print(
            f"\nrolling replacement of {len(replaced)} gateways: {took_s:.1f} s,"
            f" the longest that a client was kept waiting {pause_s:.2f} s; {report}"
        )


async def replace(fleet: Fleet, old: RunningContainer) -> None:
    """Start one more, wait until it gets clients, then stop the old one: no surge below what there was."""
    await asyncio.to_thread(fleet.add, "gateway")

    async def are_three() -> bool:
        return await asyncio.to_thread(lambda: fleet.balanced) == 3

    await until_true(are_three)
    assert await asyncio.to_thread(old.stop) == 0
    await asyncio.to_thread(fleet.remove, old)
