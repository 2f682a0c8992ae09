"""A connection is lost: what of the session goes on, and how."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.unit.client.resuming_gateway import INTERNAL, Dice, Door, Exchange, denied
from tests.unit.client.small_gateway import within
from tieline.client import (
    Candidate,
    Client,
    Closed,
    Event,
    MemberJoined,
    Reconnecting,
    Refused,
    Resumed,
    Unknown,
    connect,
)


async def next_of(client: Client, count: int) -> list[Event]:
    return [await within(anext(client.events())) for _ in range(count)]


def said(events: list[Event]) -> list[Any]:
    return [event.candidate if isinstance(event, Candidate) else type(event) for event in events]


async def test_what_was_missed_comes_once_and_in_order(exchange: Exchange, door: Door, dice: Dice) -> None:
    async with connect(door.url, "ann", resume=True, jitter=dice) as ann:
        await exchange.write("bob", "ann", 1, 2)
        assert said(await next_of(ann, 2)) == [1, 2]
        exchange.cut("ann")
        await exchange.write("bob", "ann", 3, 4)
        lost, resumed, *missed = await next_of(ann, 4)
        assert lost == Reconnecting(1006, "connection lost")
        assert isinstance(resumed, Resumed)
        assert resumed.away_s > 0
        assert resumed.resent == 0
        assert said(missed) == [3, 4]
        await exchange.write("bob", "ann", 5)
        assert said(await next_of(ann, 1)) == [5]
        assert (ann.stats.reconnects, ann.stats.resumes, ann.stats.resets) == (1, 1, 0)
        assert ann.stats.duplicates == 0
        assert ann.welcome.resumed
        assert ann.closed is None


async def test_it_names_its_session_and_the_last_message_that_is_none_of_the_answers(
    exchange: Exchange, door: Door, dice: Dice
) -> None:
    async with connect(f"{door.url}?shard=1", "ann", resume=True, jitter=dice) as ann:
        await exchange.say("ann", "MEMBER_JOINED", {"room": "r", "userId": "bob"}, "名字 &=1")
        assert isinstance(await within(anext(ann.events())), MemberJoined)
        await ann.ping()
        exchange.refusals["JOIN"].append((1000, "ROOM_FORBIDDEN"))
        with pytest.raises(Refused):
            await ann.join("cellar")
        secret = ann.welcome.resume_token
        exchange.cut("ann")
        await next_of(ann, 2)
        first, second = exchange.queries
        assert first == {"shard": "1", "acks": "1", "resume": ""}
        assert second == {"shard": "1", "acks": "1", "resume": secret, "last": "名字 &=1"}


async def test_what_has_no_answer_is_sent_again_in_order_before_anything_newer(
    exchange: Exchange, door: Door, dice: Dice
) -> None:
    async with connect(door.url, "ann", resume=True, jitter=dice) as ann, connect(door.url, "bob") as bob:
        assert await ann.candidate("bob", 0) == "relayed"
        exchange.mute.add("WEBRTC_ICE_CANDIDATE")
        async with asyncio.TaskGroup() as tasks:
            sent = [tasks.create_task(ann.candidate("bob", number)) for number in (1, 2)]
            await exchange.heard("ann", 3)
            exchange.deaf.add("WEBRTC_ICE_CANDIDATE")
            sent.append(tasks.create_task(ann.candidate("bob", 3)))
            await exchange.heard("ann", 4)
            exchange.cut("ann")
            assert isinstance(await within(anext(ann.events())), Reconnecting)
            sent.append(tasks.create_task(ann.candidate("bob", 4)))
            exchange.mute.clear()
            exchange.deaf.clear()
            assert await within(asyncio.gather(*sent)) == ["relayed"] * 4
            resumed = await within(anext(ann.events()))
            assert isinstance(resumed, Resumed)
            assert resumed.resent == ann.stats.resent == 3
        frames = exchange.received["ann"]
        assert frames[1:4] == frames[4:7]
        assert [json.loads(frame)["data"]["data"] for frame in frames] == [0, 1, 2, 3, 1, 2, 3, 4]
        assert said(await next_of(bob, 5)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("cmd", "request_"),
    [
        ("JOIN", lambda client: client.join("r")),
        ("LEAVE", lambda client: client.leave("r")),
        ("MEMBERS", lambda client: client.members("r")),
        ("PING", lambda client: client.ping(7)),
        ("WEBRTC_OFFER", lambda client: client.call("ann", {})),
    ],
)
async def test_every_request_outlives_the_connection(
    exchange: Exchange, door: Door, dice: Dice, cmd: str, request_: Callable[[Client], Awaitable[object]]
) -> None:
    exchange.deaf.add(cmd)

    async def lose_it() -> None:
        await exchange.heard("ann", 1)
        exchange.deaf.clear()
        exchange.cut("ann")

    async with connect(door.url, "ann", resume=True, jitter=dice) as ann:
        await within(asyncio.gather(request_(ann), lose_it()))
        first, again = exchange.received["ann"]
        assert first == again
        assert json.loads(first)["cmd"] == cmd


async def test_a_replay_of_everything_repeats_nothing(exchange: Exchange, door: Door, dice: Dice) -> None:
    async with connect(door.url, "ann", resume=True, jitter=dice) as ann:
        await exchange.write("bob", "ann", 1, 2)
        await exchange.seats["ann"].send('{"requestId":"not-kept","cmd":"NEWS","data":{}}')
        assert said(await next_of(ann, 3)) == [1, 2, Unknown]
        exchange.cut("ann")
        await exchange.write("bob", "ann", 3)
        assert said(await next_of(ann, 3)) == [Reconnecting, Resumed, 3]
        assert exchange.queries[-1]["last"] == "not-kept"
        assert ann.stats.duplicates == 2


async def test_a_message_without_a_name_does_not_move_the_place(
    exchange: Exchange, door: Door, dice: Dice
) -> None:
    async with connect(door.url, "ann", resume=True, jitter=dice) as ann:
        await exchange.write("bob", "ann", 1)
        await exchange.seats["ann"].send("[]")
        assert said(await next_of(ann, 2)) == [1, Unknown]
        exchange.cut("ann")
        await next_of(ann, 2)
        assert exchange.queries[-1]["last"] == "bob-1"


@pytest.mark.parametrize("code", [1001, 1011, 1012, 4000, 4001, 4002, 4499])
async def test_codes_that_say_so_are_resumed_after(
    exchange: Exchange, door: Door, dice: Dice, code: int
) -> None:
    async with connect(door.url, "ann", resume=True, jitter=dice) as ann:
        await exchange.close("ann", code)
        lost, resumed = await next_of(ann, 2)
        assert lost == Reconnecting(code, "")
        assert isinstance(resumed, Resumed)


@pytest.mark.parametrize("code", [1000, 1009, 4500, 4501, 4502, 4503, 4504, 4999])
async def test_final_codes_are_final(exchange: Exchange, door: Door, dice: Dice, code: int) -> None:
    async with connect(door.url, "ann", resume=True, jitter=dice) as ann, asyncio.TaskGroup() as tasks:
        exchange.deaf.add("PING")
        waiting = tasks.create_task(failure_of(ann.ping()))
        await exchange.heard("ann", 1)
        await exchange.close("ann", code)
        end = await within(waiting)
        assert isinstance(end, Closed)
        assert end.code == code
        assert [event async for event in ann.events()] == []
        assert ann.closed is not None
        assert ann.closed.code == code
        assert isinstance(await failure_of(ann.candidate("bob", 1)), Closed)
        assert len(door.knocks) == 1


async def failure_of(request: Awaitable[object]) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is what the test looks at
        await request
    return caught.value


async def test_without_resume_one_loss_is_the_end(exchange: Exchange, door: Door) -> None:
    async with connect(door.url, "ann") as ann:
        await exchange.write("bob", "ann", 1, 1)
        assert said(await next_of(ann, 2)) == [1, 1]
        await exchange.say("ann", "RECONNECT", {"afterMs": 0, "jitterMs": 0}, "r")
        await exchange.close("ann", 1012)
        assert len([event async for event in ann.events()]) == 1
        assert ann.closed is not None
        assert ann.closed.code == 1012
        assert exchange.queries == [{"acks": "1"}]


async def test_without_acks_a_message_waits_for_the_connection(
    exchange: Exchange, door: Door, dice: Dice
) -> None:
    async with connect(door.url, "ann", resume=True, acks=False, jitter=dice) as ann:
        assert await ann.candidate("ann", 1) is None
        assert said(await next_of(ann, 1)) == [1]
        exchange.cut("ann")
        assert isinstance(await within(anext(ann.events())), Reconnecting)
        assert await within(ann.candidate("ann", 2)) is None
        assert said(await next_of(ann, 2)) == [Resumed, 2]
        assert len(exchange.received["ann"]) == 2


async def test_a_request_given_up_while_away_is_never_sent(
    exchange: Exchange, door: Door, dice: Dice
) -> None:
    async with connect(door.url, "ann", resume=True, jitter=dice) as ann:
        door.denials += [denied(503)] * 10_000
        exchange.cut("ann")
        assert isinstance(await within(anext(ann.events())), Reconnecting)
        with pytest.raises(TimeoutError):
            await within(ann.ping(1), 0.01)
        door.denials.clear()
        assert await within(ann.ping(2)) == 2
        assert [json.loads(frame)["data"] for frame in exchange.received["ann"]] == [2]


async def test_insisting_sends_the_very_same_until_it_is_clear_what_became_of_it(
    exchange: Exchange, door: Door, dice: Dice
) -> None:
    async with connect(door.url, "ann", resume=True, insist_s=30, jitter=dice) as ann:
        exchange.refusals["WEBRTC_ICE_CANDIDATE"] += [(INTERNAL, "INTERNAL")] * 2
        acks = asyncio.gather(*(ann.candidate("ann", number) for number in (1, 2)))
        assert await within(acks) == ["relayed", "relayed"]
        assert said(await next_of(ann, 2)) == [1, 2]
        first, second, third, other = exchange.received["ann"]
        assert first == second == third != other
        assert ann.stats.resent == 2
        exchange.refusals["WEBRTC_ICE_CANDIDATE"].append((1000, "TARGET_OFFLINE"))
        with pytest.raises(Refused, match="TARGET_OFFLINE"):
            await ann.candidate("ann", 3)


async def test_insisting_ends(exchange: Exchange, door: Door, dice: Dice) -> None:
    dice.number = 0.01
    exchange.refusals["WEBRTC_ICE_CANDIDATE"] += [(INTERNAL, "INTERNAL")] * 1000
    async with connect(door.url, "ann", resume=True, insist_s=0.1, jitter=dice) as ann:
        with pytest.raises(Refused, match="INTERNAL"):
            await within(ann.candidate("ann", 1))
        assert len(set(exchange.received["ann"])) == 1
        assert 1 < len(exchange.received["ann"]) < 1000
    async with connect(door.url, "ann", resume=True, jitter=dice) as ann:
        with pytest.raises(Refused, match="INTERNAL"):
            await within(ann.candidate("ann", 2))
