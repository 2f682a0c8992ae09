"""The server has given up the session: a new one begins, and says so."""

import asyncio
import json
from collections.abc import Awaitable

import pytest

from tests.support.waiting import within
from tests.unit.client.reading import next_of
from tests.unit.client.resuming_gateways import Backend, FixedJitter, Gateway
from tieline.client import (
    Candidate,
    Reconnecting,
    Rejoined,
    RoomLost,
    SessionLost,
    SessionReset,
    connect,
)
from tieline.wire.ids import RoomId

A, D = RoomId("a"), RoomId("d")


async def lost(request: Awaitable[object]) -> SessionLost:
    with pytest.raises(SessionLost) as caught:
        await within(request)
    return caught.value


async def test_what_waited_is_lost_and_the_rooms_are_joined_again(
    backend: Backend, gateway: Gateway, jitter: FixedJitter
) -> None:
    async with connect(gateway.url, "ann", resume=True, jitter=jitter) as ann, asyncio.TaskGroup() as tasks:
        for room in ("a", "b", "c", "d"):
            await ann.join(room)
        await ann.leave("b")
        await backend.say("ann", "MEMBER_LEFT", {"room": "c", "userId": "ann", "reason": "kicked"}, "k")
        await next_of(ann, 1)
        backend.ignored |= {"WEBRTC_OFFER", "PING"}
        waiting = [tasks.create_task(lost(ann.call("bob", {}))), tasks.create_task(lost(ann.ping()))]
        await backend.received_from("ann", 7)
        backend.refusals["JOIN"].append((1000, "ROOM_FORBIDDEN"))
        backend.forget("ann")
        backend.cut("ann")
        gone, reset, forbidden, joined = await next_of(ann, 4)
        assert isinstance(gone, Reconnecting)
        assert reset == SessionReset((A, D), rejoining=True)
        assert forbidden == RoomLost(A, "ROOM_FORBIDDEN")
        assert isinstance(joined, Rejoined)
        assert (joined.roster.room, [member.user_id for member in joined.roster.members]) == ("d", ["ann"])
        assert [(await failed).cmd for failed in waiting] == ["WEBRTC_OFFER", "PING"]
        assert (ann.stats.resets, ann.stats.resumes, ann.stats.resent) == (1, 0, 0)
        backend.forget("ann")
        backend.cut("ann")
        assert (await next_of(ann, 2))[1] == SessionReset((D,), rejoining=True)
        assert backend.queries[-1]["last"] == ""


async def test_the_rooms_are_joined_before_anything_newer_is_sent(
    backend: Backend, gateway: Gateway, jitter: FixedJitter
) -> None:
    async with connect(gateway.url, "ann", resume=True, jitter=jitter) as ann:
        for room in ("a", "b"):
            await ann.join(room)
        backend.forget("ann")
        backend.cut("ann")
        async for event in ann.events():
            if isinstance(event, SessionReset):
                break
        assert await within(ann.candidate("ann", 1)) == "relayed"
        commands = [json.loads(frame)["cmd"] for frame in backend.received["ann"]]
        assert commands == ["JOIN"] * 4 + ["WEBRTC_ICE_CANDIDATE"]
        assert [type(event) for event in await next_of(ann, 3)] == [Rejoined, Rejoined, Candidate]


async def test_rooms_are_left_alone_when_told_so(
    backend: Backend, gateway: Gateway, jitter: FixedJitter
) -> None:
    async with connect(gateway.url, "ann", resume=True, rejoin=False, jitter=jitter) as ann:
        await ann.join("a")
        backend.forget("ann")
        backend.cut("ann")
        assert (await next_of(ann, 2))[1] == SessionReset((A,), rejoining=False)
        await ann.ping()
        assert len(backend.received["ann"]) == 2


async def test_rooms_on_their_way_back_survive_another_loss(
    backend: Backend, gateway: Gateway, jitter: FixedJitter
) -> None:
    async with connect(gateway.url, "ann", resume=True, jitter=jitter) as ann:
        await ann.join("a")
        backend.ignored.add("JOIN")
        for turn in range(2):
            backend.forget("ann")
            backend.cut("ann")
            assert (await next_of(ann, 2))[1] == SessionReset((A,), rejoining=True)
            await backend.received_from("ann", 2 + turn)
        backend.ignored.clear()
        backend.cut("ann")
        assert isinstance((await next_of(ann, 3))[-1], Rejoined)
        frames = backend.received["ann"]
        assert len(frames) == 4
        assert frames[2] == frames[3]
        assert ann.stats.resent == 1


async def test_a_room_whose_reply_makes_no_sense_is_lost(
    backend: Backend, gateway: Gateway, jitter: FixedJitter
) -> None:
    async with connect(gateway.url, "ann", resume=True, jitter=jitter) as ann:
        await ann.join("a")
        backend.refusals["JOIN"].append((200, ""))
        backend.forget("ann")
        backend.cut("ann")
        assert (await next_of(ann, 3))[-1] == RoomLost(A, "UNREADABLE")


async def test_a_caller_that_insists_gets_session_lost(
    backend: Backend, gateway: Gateway, jitter: FixedJitter
) -> None:
    async with connect(gateway.url, "ann", resume=True, insist_s=30, jitter=jitter) as ann:
        backend.ignored.add("WEBRTC_ICE_CANDIDATE")
        async with asyncio.TaskGroup() as tasks:
            waiting = [tasks.create_task(lost(ann.candidate("bob", number))) for number in (1, 2)]
            await backend.received_from("ann", 1)
            backend.forget("ann")
            backend.cut("ann")
            await asyncio.gather(*waiting)
        assert len(backend.received["ann"]) == 1
