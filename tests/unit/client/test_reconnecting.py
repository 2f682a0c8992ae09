"""How the next connection is come by: where, when, with which token, and for how long."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.unit.client.resuming_gateway import Dice, Door, Exchange, Seat, denied
from tests.unit.client.small_gateway import within
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


async def resumed(client: Client) -> Resumed:
    """Wait for the loss, and for the end of it."""
    assert isinstance(await within(anext(client.events())), Reconnecting)
    event = await within(anext(client.events()))
    assert isinstance(event, Resumed)
    return event


async def ended(client: Client) -> Closed:
    """Wait for the end of all."""
    async with asyncio.timeout(20):
        async for _ in client.events():
            pass
    assert client.closed is not None
    return client.closed


async def test_the_next_connection_is_to_another_gateway(
    exchange: Exchange, door: Door, other_door: Door, dice: Dice
) -> None:
    async with connect((door.url, other_door.url), "ann", resume=True, jitter=dice) as ann:
        assert ann.url == door.url
        exchange.cut("ann")
        await resumed(ann)
        assert ann.url == other_door.url
        exchange.cut("ann")
        await resumed(ann)
        assert ann.url == door.url


async def test_a_server_that_is_down_for_a_while_is_waited_for(
    exchange: Exchange, dice: Dice, shut_door: Door
) -> None:
    async with AsyncExitStack() as stack:
        async with shut_door.open(exchange):
            ann = await stack.enter_async_context(connect(shut_door.url, "ann", resume=True, jitter=dice))
            assert await ann.ping(1) == 1
        assert isinstance(await within(anext(ann.events())), Reconnecting)
        await dice.rolled(5)
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(ann.ping(2))
            await dice.rolled(5)
            assert not waiting.done()
            await stack.enter_async_context(shut_door.open(exchange))
            assert await within(waiting) == 2
        assert isinstance(await within(anext(ann.events())), Resumed)
        assert ann.stats.reconnects == 1
        await ann.close()


async def test_retry_after_is_obeyed(exchange: Exchange, door: Door, dice: Dice) -> None:
    async with connect(door.url, "ann", resume=True, jitter=dice) as ann:
        door.denials.append(denied(503, Retry_After="1"))
        exchange.cut("ann")
        await resumed(ann)
        _, refused, let_in = door.knocks
        assert 1 <= let_in - refused < 3


async def test_retry_after_holds_for_the_gateway_that_said_it(
    exchange: Exchange, door: Door, other_door: Door, dice: Dice
) -> None:
    async with connect((door.url, other_door.url), "ann", resume=True, jitter=dice) as ann:
        other_door.denials.append(denied(503, Retry_After="60"))
        for _ in range(2):
            exchange.cut("ann")
            await resumed(ann)
            assert ann.url == door.url
        assert (len(door.knocks), len(other_door.knocks)) == (3, 1)


async def test_a_refusal_that_will_not_change_is_the_end(exchange: Exchange, door: Door, dice: Dice) -> None:
    async with connect(door.url, "ann", resume=True, jitter=dice) as ann:
        door.denials += [denied(502), denied(429), denied(403)]
        exchange.cut("ann")
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
        assert len(door.knocks) == 4


async def test_a_final_code_before_the_welcome_is_the_end(exchange: Exchange, door: Door, dice: Dice) -> None:
    async def kick(seat: Seat) -> None:
        assert seat.connection is not None
        await seat.connection.close(4502)

    async with connect(door.url, "ann", resume=True, jitter=dice) as ann:
        exchange.before_welcome = kick
        exchange.cut("ann")
        assert (await ended(ann)).code == 4502


async def test_it_gives_up_when_told_to(exchange: Exchange, dice: Dice, shut_door: Door) -> None:
    async with AsyncExitStack() as stack:
        async with shut_door.open(exchange):
            connecting = connect(shut_door.url, "ann", resume=True, give_up_after_s=0.1, jitter=dice)
            ann = await stack.enter_async_context(connecting)
        end = await ended(ann)
        assert isinstance(end, GaveUp)
        assert isinstance(end.last, Unreachable)
        assert end.may_reconnect


class Tokens:
    """A source of tokens: what it gives or raises, one after the other."""

    def __init__(self, *given: str | Exception) -> None:
        self.left = list(given)

    async def __call__(self) -> str:
        given = self.left.pop(0)
        if isinstance(given, Exception):
            raise given
        return given


async def test_an_expired_token_is_followed_by_a_fresh_one(
    exchange: Exchange, door: Door, dice: Dice
) -> None:
    async with connect(door.url, Tokens("ann.1", "ann.2"), resume=True, jitter=dice) as ann:
        await exchange.close("ann", 4501)
        await resumed(ann)
        assert exchange.tokens == ["ann.1", "ann.2"]


async def test_a_fresh_token_may_be_refused_once(exchange: Exchange, door: Door, dice: Dice) -> None:
    tokens = Tokens("ann.1", "ann.2", "ann.3", "ann.4", "ann.5", "ann.6")
    async with connect(door.url, tokens, resume=True, jitter=dice) as ann:
        for _ in range(2):
            door.denials.append(denied(401))
            exchange.cut("ann")
            await resumed(ann)
        assert exchange.tokens == ["ann.1", "ann.3", "ann.5"]
        door.denials += [denied(401)] * 2
        tokens.left.append("ann.7")
        exchange.cut("ann")
        end = await ended(ann)
        assert isinstance(end, GaveUp)
        assert isinstance(end.last, Denied)
        assert end.last.code == 401
        assert not tokens.left


async def test_a_token_source_may_be_away_but_not_broken(exchange: Exchange, door: Door, dice: Dice) -> None:
    tokens = Tokens("ann", ConnectionRefusedError(), TimeoutError(), "ann.2", KeyError("no such user"))
    async with connect(door.url, tokens, resume=True, jitter=dice) as ann:
        exchange.cut("ann")
        await resumed(ann)
        exchange.cut("ann")
        end = await ended(ann)
        assert isinstance(end, GaveUp)
        assert isinstance(end.last, KeyError)


async def test_the_first_connection_is_tried_once_on_each_gateway(
    exchange: Exchange, door: Door, other_door: Door
) -> None:
    urls = ("ws://127.0.0.1:1/ws", door.url, other_door.url)
    door.denials.append(denied(503, Retry_After="60"))
    async with connect(urls, "ann") as ann:
        assert ann.url == other_door.url
    door.denials.append(denied(503))
    with pytest.raises(Denied, match="503"):
        async with connect(urls[:2], "ann", resume=True):
            pytest.fail("connected")
    door.denials.append(denied(403))
    with pytest.raises(Denied, match="403"):
        async with connect(urls[1:], "ann", resume=True):
            pytest.fail("connected")
    assert len(other_door.knocks) == 1
    with pytest.raises(ValueError, match="no URL"):
        async with connect((), "ann"):
            pytest.fail("connected")


async def test_closing_while_reconnecting_ends_at_once(
    exchange: Exchange, dice: Dice, shut_door: Door
) -> None:
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        async with shut_door.open(exchange):
            ann = await stack.enter_async_context(connect(shut_door.url, "ann", resume=True, jitter=dice))
        assert isinstance(await within(anext(ann.events())), Reconnecting)
        dice.number = 1e6
        await dice.rolled(1)
        waiting = tasks.create_task(failure_of(ann))
        await within(ann.close())
        assert (await within(waiting)).code == 1000
        assert ann.closed is not None
        assert ann.closed.code == 1000
        assert [event async for event in ann.events()] == []
        await within(ann.close())


async def test_closing_during_an_attempt_ends_at_once(exchange: Exchange, door: Door, dice: Dice) -> None:
    arrived = asyncio.Event()

    async def hang(seat: Seat) -> None:
        arrived.set()
        assert seat.connection is not None
        await seat.connection.wait_closed()

    async with connect(door.url, "ann", resume=True, jitter=dice) as ann:
        exchange.before_welcome = hang
        exchange.cut("ann")
        await within(arrived.wait())
        await within(ann.close())
        assert ann.closed is not None
        assert ann.closed.code == 1000


async def test_an_attempt_that_came_to_nothing_may_yet_replace_the_next(
    exchange: Exchange, door: Door, dice: Dice
) -> None:
    async def break_off(seat: Seat) -> None:
        exchange.before_welcome = None
        assert seat.connection is not None
        seat.connection.transport.abort()

    async with connect(door.url, "ann", resume=True, jitter=dice) as ann:
        exchange.before_welcome = break_off
        exchange.cut("ann")
        await resumed(ann)
        await exchange.close("ann", 4500)
        await resumed(ann)


async def test_an_attempt_that_reached_nobody_replaces_nothing(
    exchange: Exchange, door: Door, dice: Dice
) -> None:
    urls = (door.url, "ws://127.0.0.1:1/ws")
    async with connect(urls, "ann", resume=True, jitter=dice) as ann:
        exchange.cut("ann")
        await resumed(ann)
        await exchange.close("ann", 4500)
        assert (await ended(ann)).code == 4500


async def failure_of(client: Client) -> Closed:
    with pytest.raises(Closed) as closed:
        await client.ping()
    return closed.value


async def test_leaving_the_block_says_goodbye_over_the_newest_connection(
    exchange: Exchange, door: Door, dice: Dice
) -> None:
    async with connect(door.url, "ann", resume=True, jitter=dice) as ann:
        exchange.cut("ann")
        await resumed(ann)
    await exchange.until(lambda: exchange.closed == [None, 1000])
