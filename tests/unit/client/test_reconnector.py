"""When a client connects again, when it gives up, and how it closes meanwhile."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.support.waiting import within
from tests.unit.client.reading import ended, resumed
from tests.unit.client.resuming_gateways import Backend, FixedJitter, Gateway, StoredSession, denied
from tieline.client import (
    Client,
    Closed,
    Denied,
    GaveUp,
    Reconnecting,
    Resumed,
    Unreachable,
    connect,
)


async def test_a_server_that_is_down_for_a_while_is_waited_for(
    backend: Backend, jitter: FixedJitter, stopped_gateway: Gateway
) -> None:
    async with AsyncExitStack() as stack:
        async with stopped_gateway.open(backend):
            ann = await stack.enter_async_context(
                connect(stopped_gateway.url, "ann", resume=True, jitter=jitter)
            )
            assert await ann.ping(1) == 1
        assert isinstance(await within(anext(ann.events())), Reconnecting)
        await jitter.asked(5)
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(ann.ping(2))
            await jitter.asked(5)
            assert not waiting.done()
            await stack.enter_async_context(stopped_gateway.open(backend))
            assert await within(waiting) == 2
        assert isinstance(await within(anext(ann.events())), Resumed)
        assert ann.stats.reconnects == 1
        await ann.close()


async def test_a_refusal_that_will_not_change_is_the_end(
    backend: Backend, gateway: Gateway, jitter: FixedJitter
) -> None:
    async with connect(gateway.url, "ann", resume=True, jitter=jitter) as ann:
        gateway.http_refusals += [denied(502), denied(429), denied(403)]
        backend.cut("ann")
        end = await ended(ann)
        assert isinstance(end, GaveUp)
        assert isinstance(end.last, Denied)
        assert (end.code, end.last.code, end.may_reconnect) == (1006, 403, False)
        assert str(end).startswith(
            "connection closed: 1006 connection lost; not made again: connection refused"
        )
        with pytest.raises(GaveUp) as again:
            await ann.ping()
        assert str(again.value) == str(end)
        assert len(gateway.attempts) == 4


async def test_a_final_code_before_the_welcome_is_the_end(
    backend: Backend, gateway: Gateway, jitter: FixedJitter
) -> None:
    async def kick(session: StoredSession) -> None:
        assert session.connection is not None
        await session.connection.close(4502)

    async with connect(gateway.url, "ann", resume=True, jitter=jitter) as ann:
        backend.before_welcome = kick
        backend.cut("ann")
        assert (await ended(ann)).code == 4502


async def test_it_gives_up_when_told_to(
    backend: Backend, jitter: FixedJitter, stopped_gateway: Gateway
) -> None:
    async with AsyncExitStack() as stack:
        async with stopped_gateway.open(backend):
            connecting = connect(stopped_gateway.url, "ann", resume=True, give_up_after_s=0.1, jitter=jitter)
            ann = await stack.enter_async_context(connecting)
        end = await ended(ann)
        assert isinstance(end, GaveUp)
        assert isinstance(end.last, Unreachable)
        assert end.may_reconnect


async def test_closing_while_reconnecting_ends_at_once(
    backend: Backend, jitter: FixedJitter, stopped_gateway: Gateway
) -> None:
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        async with stopped_gateway.open(backend):
            ann = await stack.enter_async_context(
                connect(stopped_gateway.url, "ann", resume=True, jitter=jitter)
            )
        assert isinstance(await within(anext(ann.events())), Reconnecting)
        jitter.number = 1e6
        await jitter.asked(1)
        waiting = tasks.create_task(failure_of(ann))
        await within(ann.close())
        assert (await within(waiting)).code == 1000
        assert ann.closed is not None
        assert ann.closed.code == 1000
        assert [event async for event in ann.events()] == []
        await within(ann.close())


async def test_closing_during_an_attempt_ends_at_once(
    backend: Backend, gateway: Gateway, jitter: FixedJitter
) -> None:
    arrived = asyncio.Event()

    async def hang(session: StoredSession) -> None:
        arrived.set()
        assert session.connection is not None
        await session.connection.wait_closed()

    async with connect(gateway.url, "ann", resume=True, jitter=jitter) as ann:
        backend.before_welcome = hang
        backend.cut("ann")
        await within(arrived.wait())
        await within(ann.close())
        assert ann.closed is not None
        assert ann.closed.code == 1000


async def test_an_attempt_that_failed_may_yet_replace_the_next(
    backend: Backend, gateway: Gateway, jitter: FixedJitter
) -> None:
    async with connect(gateway.url, "ann", resume=True, jitter=jitter) as ann:
        backend.before_welcome = backend.break_off
        backend.cut("ann")
        await resumed(ann)
        await backend.close("ann", 4500)
        await resumed(ann)


async def test_an_attempt_that_reached_no_gateway_replaces_nothing(
    backend: Backend, gateway: Gateway, jitter: FixedJitter
) -> None:
    urls = (gateway.url, "ws://127.0.0.1:1/ws")
    async with connect(urls, "ann", resume=True, jitter=jitter) as ann:
        backend.cut("ann")
        await resumed(ann)
        await backend.close("ann", 4500)
        assert (await ended(ann)).code == 4500


async def failure_of(client: Client) -> Closed:
    with pytest.raises(Closed) as closed:
        await client.ping()
    return closed.value


async def test_leaving_the_block_closes_the_newest_connection(
    backend: Backend, gateway: Gateway, jitter: FixedJitter
) -> None:
    async with connect(gateway.url, "ann", resume=True, jitter=jitter) as ann:
        backend.cut("ann")
        await resumed(ann)
    await backend.until(lambda: backend.closed == [None, 1000])


async def test_it_gives_up_though_the_token_source_hangs(
    backend: Backend, gateway: Gateway, jitter: FixedJitter
) -> None:
    given = asyncio.Event()

    async def token() -> str:
        if given.is_set():
            await asyncio.Event().wait()
        given.set()
        return "ann"

    async with connect(gateway.url, token, resume=True, give_up_after_s=0.05, jitter=jitter) as ann:
        await backend.close("ann", 1012)
        end = await ended(ann)
        assert isinstance(end, GaveUp)
        assert isinstance(end.last, Closed)
        assert (end.code, end.last.code) == (1012, 1012)


async def test_a_source_of_no_token_is_asked_again(
    backend: Backend, gateway: Gateway, jitter: FixedJitter
) -> None:
    tokens = iter(("ann", "", "ann"))

    async def token() -> str:
        return next(tokens)

    async with connect(gateway.url, token, resume=True, jitter=jitter) as ann:
        backend.cut("ann")
        await resumed(ann)
        assert len(gateway.attempts) == 2


async def test_a_loss_before_the_time_to_leave_is_a_loss(
    backend: Backend, gateway: Gateway, jitter: FixedJitter
) -> None:
    async with connect(gateway.url, "ann", resume=True, jitter=jitter) as ann:
        await backend.say("ann", "RECONNECT", {"afterMs": 60_000, "jitterMs": 0}, "go")
        await within(anext(ann.events()))
        backend.cut("ann")
        await resumed(ann)
        assert await within(ann.ping(1)) == 1
        assert len(gateway.attempts) == 2


async def test_a_jitter_that_raises_ends_the_client(backend: Backend, gateway: Gateway) -> None:
    def broken() -> float:
        raise ZeroDivisionError

    async def live() -> None:
        async with connect(gateway.url, "ann", resume=True, jitter=broken) as ann:
            backend.cut("ann")
            await ended(ann)

    with pytest.raises(ExceptionGroup) as raised:
        await within(live())
    assert raised.value.subgroup(ZeroDivisionError) is not None


async def test_after_the_end_everything_raises_the_same(backend: Backend, gateway: Gateway) -> None:
    async with connect(gateway.url, "ann", resume=True) as ann:
        await backend.close("ann", 4502)
        end = await ended(ann)
        for _ in range(2):
            failure = await failure_of(ann)
            assert failure is not end
            assert (failure.code, str(failure)) == (4502, str(end))
