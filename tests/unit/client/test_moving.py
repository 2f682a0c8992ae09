"""RECONNECT: the gateway will go away, and the client leaves it before that."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from tests.unit.client.resuming_gateway import Dice, Door, Exchange, Seat, denied
from tests.unit.client.small_gateway import within
from tieline.client import Candidate, Client, Event, Reconnect, Reconnecting, Resumed, connect


async def reconnect(exchange: Exchange, after_ms: int = 0, jitter_ms: int = 0, name: str = "drain") -> None:
    await exchange.say("ann", "RECONNECT", {"afterMs": after_ms, "jitterMs": jitter_ms}, name)


async def next_of(client: Client, count: int) -> list[Any]:
    events: list[Event] = [await within(anext(client.events())) for _ in range(count)]
    return [event.candidate if isinstance(event, Candidate) else type(event) for event in events]


async def test_it_is_elsewhere_before_it_leaves(
    exchange: Exchange, door: Door, other_door: Door, dice: Dice
) -> None:
    async with connect((door.url, other_door.url), "ann", resume=True, jitter=dice) as ann:
        await reconnect(exchange)
        assert await next_of(ann, 2) == [Reconnect, Resumed]
        assert ann.url == other_door.url
        assert exchange.queries[-1]["last"] == "drain"
        await exchange.until(lambda: exchange.closed == [4500])
        await exchange.write("bob", "ann", 1)
        assert await next_of(ann, 1) == [1]
        assert (ann.stats.reconnects, ann.stats.resumes) == (1, 1)
        assert (len(door.knocks), len(other_door.knocks)) == (1, 1)


async def test_it_leaves_after_the_delay_and_its_share_of_the_jitter(
    exchange: Exchange, door: Door, dice: Dice
) -> None:
    dice.number = 0.5
    async with connect(door.url, "ann", resume=True, jitter=dice) as ann:
        asked_at = asyncio.get_running_loop().time()
        await reconnect(exchange, 100, 200)
        assert await next_of(ann, 2) == [Reconnect, Resumed]
        assert 0.2 <= door.knocks[1] - asked_at < 2


async def test_traffic_goes_on_while_it_moves(
    exchange: Exchange, door: Door, other_door: Door, dice: Dice
) -> None:
    count = 300
    async with (
        connect((door.url, other_door.url), "ann", resume=True, jitter=dice) as ann,
        connect(door.url, "bob") as bob,
        asyncio.TaskGroup() as tasks,
    ):
        for sender, to in ((ann, "bob"), (bob, "ann")):
            for number in range(count):
                tasks.create_task(sender.candidate(to, number))
        for turn in range(3):
            await reconnect(exchange, name=f"drain-{turn}")
            await exchange.let_in(3 + turn)
        assert await next_of(bob, count) == list(range(count))
        seen = await next_of(ann, count + 6)
        assert [event for event in seen if isinstance(event, int)] == list(range(count))
        assert Reconnecting not in seen
        assert ann.stats.resumes == 3


async def test_it_stays_where_it_is_as_long_as_nobody_else_lets_it_in(
    exchange: Exchange, door: Door, other_door: Door, dice: Dice
) -> None:
    async with connect((door.url, other_door.url), "ann", resume=True, jitter=dice) as ann:
        for some in (door, other_door):
            some.denials += [denied(503)] * 10_000
        await reconnect(exchange)
        await other_door.knocked(3)
        assert await within(ann.ping(1)) == 1
        await exchange.close("ann", 1012)
        assert await next_of(ann, 2) == [Reconnect, Reconnecting]
        for some in (door, other_door):
            some.denials.clear()
        assert await next_of(ann, 1) == [Resumed]


async def test_a_refusal_elsewhere_does_not_end_what_still_works(
    exchange: Exchange, door: Door, other_door: Door, dice: Dice
) -> None:
    async with connect((door.url, other_door.url), "ann", resume=True, jitter=dice) as ann:
        other_door.denials.append(denied(403))
        await reconnect(exchange)
        await other_door.knocked(1)
        assert await within(ann.ping(1)) == 1
        await exchange.close("ann", 1012)
        assert await next_of(ann, 3) == [Reconnect, Reconnecting, Resumed]


async def test_being_replaced_by_somebody_else_is_still_the_end(
    exchange: Exchange, door: Door, other_door: Door, dice: Dice
) -> None:
    async with connect((door.url, other_door.url), "ann", resume=True, jitter=dice) as ann:
        other_door.denials += [denied(503, Retry_After="60")]
        door.denials += [denied(503, Retry_After="60")]
        await reconnect(exchange)
        await door.knocked(2)
        await exchange.close("ann", 4500)
        assert [type(event) async for event in ann.events()] == [Reconnect]
        assert ann.closed is not None
        assert ann.closed.code == 4500


async def test_a_welcome_that_is_lost_on_the_way_is_asked_for_again(
    exchange: Exchange, door: Door, dice: Dice
) -> None:
    async def break_off(seat: Seat) -> None:
        exchange.before_welcome = None
        assert seat.connection is not None
        seat.connection.transport.abort()

    async with connect(door.url, "ann", resume=True, jitter=dice) as ann:
        exchange.before_welcome = break_off
        await reconnect(exchange)
        assert await next_of(ann, 2) == [Reconnect, Resumed]
        assert len(door.knocks) == 3
        await exchange.write("bob", "ann", 1)
        assert await next_of(ann, 1) == [1]


async def test_closing_while_it_moves_says_goodbye(exchange: Exchange, dice: Dice) -> None:
    door = Door()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(door.open(exchange))
        ann = await stack.enter_async_context(connect(door.url, "ann", resume=True, jitter=dice))
        door.denials += [denied(503)] * 10_000
        await reconnect(exchange)
        await door.knocked(3)
        await within(ann.close())
        await exchange.until(lambda: exchange.closed == [1000])
