"""RECONNECT: the gateway will go away, and the client leaves it before that."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from tests.support.waiting import within
from tests.unit.client.resuming_gateways import Backend, FixedJitter, Gateway, denied
from tieline.client import Candidate, Client, Event, Reconnect, Reconnecting, Resumed, connect


async def reconnect(backend: Backend, after_ms: int = 0, jitter_ms: int = 0, name: str = "drain") -> None:
    await backend.say("ann", "RECONNECT", {"afterMs": after_ms, "jitterMs": jitter_ms}, name)


async def next_of(client: Client, count: int) -> list[Any]:
    events: list[Event] = [await within(anext(client.events())) for _ in range(count)]
    return [event.candidate if isinstance(event, Candidate) else type(event) for event in events]


async def test_the_next_connection_stands_before_the_old_is_left(
    backend: Backend, gateway: Gateway, other_gateway: Gateway, jitter: FixedJitter
) -> None:
    async with connect((gateway.url, other_gateway.url), "ann", resume=True, jitter=jitter) as ann:
        await reconnect(backend)
        assert await next_of(ann, 2) == [Reconnect, Resumed]
        assert ann.url == other_gateway.url
        assert backend.queries[-1]["last"] == "drain"
        await backend.until(lambda: backend.closed == [4500])
        await backend.write("bob", "ann", 1)
        assert await next_of(ann, 1) == [1]
        assert (ann.stats.reconnects, ann.stats.resumes) == (1, 1)
        assert (len(gateway.attempts), len(other_gateway.attempts)) == (1, 1)


async def test_it_leaves_after_the_delay_and_its_share_of_the_jitter(
    backend: Backend, gateway: Gateway, jitter: FixedJitter
) -> None:
    jitter.number = 0.5
    async with connect(gateway.url, "ann", resume=True, jitter=jitter) as ann:
        asked_at = asyncio.get_running_loop().time()
        await reconnect(backend, 100, 200)
        assert await next_of(ann, 2) == [Reconnect, Resumed]
        assert 0.2 <= gateway.attempts[1] - asked_at < 2


async def test_traffic_goes_on_while_it_moves(
    backend: Backend, gateway: Gateway, other_gateway: Gateway, jitter: FixedJitter
) -> None:
    count = 300
    async with (
        connect((gateway.url, other_gateway.url), "ann", resume=True, jitter=jitter) as ann,
        connect(gateway.url, "bob") as bob,
        asyncio.TaskGroup() as tasks,
    ):
        for sender, to in ((ann, "bob"), (bob, "ann")):
            for number in range(count):
                tasks.create_task(sender.candidate(to, number))
        for turn in range(3):
            await reconnect(backend, name=f"drain-{turn}")
            await backend.let_in(3 + turn)
        assert await next_of(bob, count) == list(range(count))
        seen = await next_of(ann, count + 6)
        assert [event for event in seen if isinstance(event, int)] == list(range(count))
        assert Reconnecting not in seen
        assert ann.stats.resumes == 3


async def test_it_stays_while_no_other_gateway_accepts_it(
    backend: Backend, gateway: Gateway, other_gateway: Gateway, jitter: FixedJitter
) -> None:
    async with connect((gateway.url, other_gateway.url), "ann", resume=True, jitter=jitter) as ann:
        for some in (gateway, other_gateway):
            some.http_refusals += [denied(503)] * 10_000
        await reconnect(backend)
        await other_gateway.attempted(3)
        assert await within(ann.ping(1)) == 1
        await backend.close("ann", 1012)
        assert await next_of(ann, 2) == [Reconnect, Reconnecting]
        for some in (gateway, other_gateway):
            some.http_refusals.clear()
        assert await next_of(ann, 1) == [Resumed]


async def test_a_refusal_elsewhere_does_not_end_what_still_works(
    backend: Backend, gateway: Gateway, other_gateway: Gateway, jitter: FixedJitter
) -> None:
    async with connect((gateway.url, other_gateway.url), "ann", resume=True, jitter=jitter) as ann:
        other_gateway.http_refusals.append(denied(403))
        await reconnect(backend)
        await other_gateway.attempted(1)
        assert await within(ann.ping(1)) == 1
        await backend.close("ann", 1012)
        assert await next_of(ann, 3) == [Reconnect, Reconnecting, Resumed]


async def test_being_replaced_by_another_client_is_still_the_end(
    backend: Backend, gateway: Gateway, other_gateway: Gateway, jitter: FixedJitter
) -> None:
    async with connect((gateway.url, other_gateway.url), "ann", resume=True, jitter=jitter) as ann:
        other_gateway.http_refusals += [denied(503, Retry_After="60")]
        gateway.http_refusals += [denied(503, Retry_After="60")]
        await reconnect(backend)
        await gateway.attempted(2)
        await backend.close("ann", 4500)
        assert [type(event) async for event in ann.events()] == [Reconnect]
        assert ann.closed is not None
        assert ann.closed.code == 4500


async def test_a_welcome_that_is_lost_on_the_way_is_asked_for_again(
    backend: Backend, gateway: Gateway, jitter: FixedJitter
) -> None:
    async with connect(gateway.url, "ann", resume=True, jitter=jitter) as ann:
        backend.before_welcome = backend.break_off
        await reconnect(backend)
        assert await next_of(ann, 2) == [Reconnect, Resumed]
        assert len(gateway.attempts) == 3
        await backend.write("bob", "ann", 1)
        assert await next_of(ann, 1) == [1]


async def test_closing_while_it_moves_closes_with_1000(backend: Backend, jitter: FixedJitter) -> None:
    gateway = Gateway()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(gateway.open(backend))
        ann = await stack.enter_async_context(connect(gateway.url, "ann", resume=True, jitter=jitter))
        gateway.http_refusals += [denied(503)] * 10_000
        await reconnect(backend)
        await gateway.attempted(3)
        await within(ann.close())
        await backend.until(lambda: backend.closed == [1000])
