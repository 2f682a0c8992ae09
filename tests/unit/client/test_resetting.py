"""The server has given up the session: a new one begins, and says so."""

import asyncio
import json
from collections.abc import Awaitable

import pytest

from tests.unit.client.resuming_gateway import Dice, Door, Exchange
from tests.unit.client.small_gateway import lose_patience, within
from tieline.client import (
    Candidate,
    Client,
    Event,
    Reconnecting,
    Rejoined,
    RoomLost,
    SessionLost,
    SessionReset,
    connect,
)
from tieline.wire.ids import RoomId

A, D = RoomId("a"), RoomId("d")


async def next_of(client: Client, count: int) -> list[Event]:
    return [await within(anext(client.events())) for _ in range(count)]


async def lost(request: Awaitable[object]) -> SessionLost:
    with pytest.raises(SessionLost) as caught:
        await within(request)
    return caught.value


async def test_what_waited_is_lost_and_the_rooms_are_joined_again(
    exchange: Exchange, door: Door, dice: Dice
) -> None:
    async with connect(door.url, "ann", resume=True, jitter=dice) as ann, asyncio.TaskGroup() as tasks:
        for room in ("a", "b", "c", "d"):
            await ann.join(room)
        await ann.leave("b")
        await exchange.say("ann", "MEMBER_LEFT", {"room": "c", "userId": "ann", "reason": "kicked"}, "k")
        await next_of(ann, 1)
        exchange.deaf |= {"WEBRTC_OFFER", "PING"}
        waiting = [tasks.create_task(lost(ann.call("bob", {}))), tasks.create_task(lost(ann.ping()))]
        await exchange.heard("ann", 7)
        exchange.refusals["JOIN"].append((1000, "ROOM_FORBIDDEN"))
        exchange.forget("ann")
        exchange.cut("ann")
        gone, reset, forbidden, joined = await next_of(ann, 4)
        assert isinstance(gone, Reconnecting)
        assert reset == SessionReset((A, D), rejoining=True)
        assert forbidden == RoomLost(A, "ROOM_FORBIDDEN")
        assert isinstance(joined, Rejoined)
        assert (joined.roster.room, [member.user_id for member in joined.roster.members]) == ("d", ["ann"])
        assert [(await failed).cmd for failed in waiting] == ["WEBRTC_OFFER", "PING"]
        assert (ann.stats.resets, ann.stats.resumes, ann.stats.resent) == (1, 0, 0)
        exchange.forget("ann")
        exchange.cut("ann")
        assert (await next_of(ann, 2))[1] == SessionReset((D,), rejoining=True)
        assert exchange.queries[-1]["last"] == ""


async def test_the_rooms_are_joined_before_anything_newer_is_sent(
    exchange: Exchange, door: Door, dice: Dice
) -> None:
    async with connect(door.url, "ann", resume=True, jitter=dice) as ann:
        for room in ("a", "b"):
            await ann.join(room)
        exchange.forget("ann")
        exchange.cut("ann")
        async for event in ann.events():
            if isinstance(event, SessionReset):
                break
        assert await within(ann.candidate("ann", 1)) == "relayed"
        commands = [json.loads(frame)["cmd"] for frame in exchange.received["ann"]]
        assert commands == ["JOIN"] * 4 + ["WEBRTC_ICE_CANDIDATE"]
        assert [type(event) for event in await next_of(ann, 3)] == [Rejoined, Rejoined, Candidate]


async def test_rooms_are_left_alone_when_told_so(exchange: Exchange, door: Door, dice: Dice) -> None:
    async with connect(door.url, "ann", resume=True, rejoin=False, jitter=dice) as ann:
        await ann.join("a")
        exchange.forget("ann")
        exchange.cut("ann")
        assert (await next_of(ann, 2))[1] == SessionReset((A,), rejoining=False)
        await ann.ping()
        assert len(exchange.received["ann"]) == 2


async def test_rooms_on_their_way_back_survive_another_loss(
    exchange: Exchange, door: Door, dice: Dice
) -> None:
    async with connect(door.url, "ann", resume=True, jitter=dice) as ann:
        await ann.join("a")
        exchange.deaf.add("JOIN")
        for turn in range(2):
            exchange.forget("ann")
            exchange.cut("ann")
            assert (await next_of(ann, 2))[1] == SessionReset((A,), rejoining=True)
            await exchange.heard("ann", 2 + turn)
        exchange.deaf.clear()
        exchange.cut("ann")
        assert isinstance((await next_of(ann, 3))[-1], Rejoined)
        frames = exchange.received["ann"]
        assert len(frames) == 4
        assert frames[2] == frames[3]
        assert ann.stats.resent == 1


async def test_a_room_that_nobody_answers_for_is_lost(exchange: Exchange, door: Door, dice: Dice) -> None:
    async with connect(door.url, "ann", resume=True, jitter=dice) as ann:
        await ann.join("a")
        lose_patience(ann)
        exchange.deaf.add("JOIN")
        exchange.forget("ann")
        exchange.cut("ann")
        assert (await next_of(ann, 3))[-1] == RoomLost(A, "NO_REPLY")


async def test_a_room_whose_reply_makes_no_sense_is_lost(exchange: Exchange, door: Door, dice: Dice) -> None:
    async with connect(door.url, "ann", resume=True, jitter=dice) as ann:
        await ann.join("a")
        exchange.refusals["JOIN"].append((200, ""))
        exchange.forget("ann")
        exchange.cut("ann")
        assert (await next_of(ann, 3))[-1] == RoomLost(A, "UNREADABLE")


async def test_whoever_insists_is_told_that_the_session_is_lost(
    exchange: Exchange, door: Door, dice: Dice
) -> None:
    async with connect(door.url, "ann", resume=True, insist_s=30, jitter=dice) as ann:
        exchange.deaf.add("WEBRTC_ICE_CANDIDATE")
        async with asyncio.TaskGroup() as tasks:
            waiting = [tasks.create_task(lost(ann.candidate("bob", number))) for number in (1, 2)]
            await exchange.heard("ann", 1)
            exchange.forget("ann")
            exchange.cut("ann")
            await asyncio.gather(*waiting)
        assert len(exchange.received["ann"]) == 1
