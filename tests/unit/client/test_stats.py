"""What the counters count, over a life with every kind of loss."""

import asyncio

from tests.support.waiting import within
from tests.unit.client.resuming_gateways import Backend, FixedJitter, Gateway
from tieline.client import Client, Stats, connect


async def events(client: Client, count: int) -> None:
    for _ in range(count):
        await within(anext(client.events()))


async def test_a_connection_that_holds_counts_nothing(backend: Backend, gateway: Gateway) -> None:
    async with connect(gateway.url, "ann", resume=True) as ann:
        await ann.join("a")
        assert ann.stats == Stats()
        assert backend.queries[0]["resume"] == ""


async def test_every_loss_is_counted_once(backend: Backend, gateway: Gateway, jitter: FixedJitter) -> None:
    async with connect(gateway.url, "ann", resume=True, jitter=jitter) as ann:
        backend.ignored.add("PING")
        async with asyncio.TaskGroup() as tasks:
            ping = tasks.create_task(ann.ping(1))
            await backend.received_from("ann", 1)
            backend.ignored.clear()
            backend.cut("ann")
            assert await within(ping) == 1
        await events(ann, 2)
        assert ann.stats == Stats(reconnects=1, resumes=1, resent=1)
        backend.forget("ann")
        backend.cut("ann")
        await events(ann, 2)
        assert ann.stats == Stats(reconnects=2, resumes=1, resets=1, resent=1)
        await backend.write("bob", "ann", 1, 1)
        await backend.write("bob", "ann", 2)
        await events(ann, 2)
        assert ann.stats == Stats(reconnects=2, resumes=1, resets=1, resent=1, duplicates=1)
