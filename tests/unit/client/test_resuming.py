"""A connection is lost: what of the session goes on, and how."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.support.waiting import within
from tests.unit.client.reading import next_of
from tests.unit.client.resuming_gateways import INTERNAL, Backend, FixedJitter, Gateway, denied
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


def said(events: list[Event]) -> list[Any]:
    return [event.candidate if isinstance(event, Candidate) else type(event) for event in events]


async def test_what_was_missed_comes_once_and_in_order(
    backend: Backend, gateway: Gateway, jitter: FixedJitter
) -> None:
    async with connect(gateway.url, "ann", resume=True, jitter=jitter) as ann:
        await backend.write("bob", "ann", 1, 2)
        assert said(await next_of(ann, 2)) == [1, 2]
        backend.cut("ann")
        await backend.write("bob", "ann", 3, 4)
        lost, resumed, *missed = await next_of(ann, 4)
        assert lost == Reconnecting(1006, "connection lost")
        assert isinstance(resumed, Resumed)
        assert resumed.away_s > 0
        assert resumed.resent == 0
        assert said(missed) == [3, 4]
        await backend.write("bob", "ann", 5)
        assert said(await next_of(ann, 1)) == [5]
        assert (ann.stats.reconnects, ann.stats.resumes, ann.stats.resets) == (1, 1, 0)
        assert ann.stats.duplicates == 0
        assert ann.welcome.resumed
        assert ann.closed is None


async def test_it_names_its_session_and_the_last_message_of_others(
    backend: Backend, gateway: Gateway, jitter: FixedJitter
) -> None:
    async with connect(f"{gateway.url}?shard=1", "ann", resume=True, jitter=jitter) as ann:
        await backend.say("ann", "MEMBER_JOINED", {"room": "r", "userId": "bob"}, "名字 &=1")
        assert isinstance(await within(anext(ann.events())), MemberJoined)
        await ann.ping()
        backend.refusals["JOIN"].append((1000, "ROOM_FORBIDDEN"))
        with pytest.raises(Refused):
            await ann.join("cellar")
        secret = ann.welcome.resume_token
        backend.cut("ann")
        await next_of(ann, 2)
        first, second = backend.queries
        wishes = {"acks": "1", "roster": "1", "calls": "1", "place": "1"}
        assert first == {"shard": "1", **wishes, "resume": ""}
        assert second == {**first, "resume": secret, "last": "名字 &=1"}


async def test_what_has_no_answer_is_sent_again_before_newer_messages(
    backend: Backend, gateway: Gateway, jitter: FixedJitter
) -> None:
    async with (
        connect(gateway.url, "ann", resume=True, jitter=jitter) as ann,
        connect(gateway.url, "bob") as bob,
    ):
        assert await ann.candidate("bob", 0) == "relayed"
        backend.unanswered.add("WEBRTC_ICE_CANDIDATE")
        async with asyncio.TaskGroup() as tasks:
            sent = [tasks.create_task(ann.candidate("bob", number)) for number in (1, 2)]
            await backend.received_from("ann", 3)
            backend.ignored.add("WEBRTC_ICE_CANDIDATE")
            sent.append(tasks.create_task(ann.candidate("bob", 3)))
            await backend.received_from("ann", 4)
            backend.cut("ann")
            assert isinstance(await within(anext(ann.events())), Reconnecting)
            sent.append(tasks.create_task(ann.candidate("bob", 4)))
            backend.unanswered.clear()
            backend.ignored.clear()
            assert await within(asyncio.gather(*sent)) == ["relayed"] * 4
            resumed = await within(anext(ann.events()))
            assert isinstance(resumed, Resumed)
            assert resumed.resent == ann.stats.resent == 3
        frames = backend.received["ann"]
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
    backend: Backend,
    gateway: Gateway,
    jitter: FixedJitter,
    cmd: str,
    request_: Callable[[Client], Awaitable[object]],
) -> None:
    backend.ignored.add(cmd)

    async def lose_it() -> None:
        await backend.received_from("ann", 1)
        backend.ignored.clear()
        backend.cut("ann")

    async with connect(gateway.url, "ann", resume=True, jitter=jitter) as ann:
        await within(asyncio.gather(request_(ann), lose_it()))
        first, again = backend.received["ann"]
        assert first == again
        assert json.loads(first)["cmd"] == cmd


async def test_a_replay_of_everything_repeats_nothing(
    backend: Backend, gateway: Gateway, jitter: FixedJitter
) -> None:
    async with connect(gateway.url, "ann", resume=True, jitter=jitter) as ann:
        await backend.write("bob", "ann", 1, 2)
        await backend.sessions["ann"].send('{"requestId":"not-kept","cmd":"NEWS","data":{}}')
        assert said(await next_of(ann, 3)) == [1, 2, Unknown]
        backend.cut("ann")
        await backend.write("bob", "ann", 3)
        assert said(await next_of(ann, 3)) == [Reconnecting, Resumed, 3]
        assert backend.queries[-1]["last"] == "not-kept"
        assert ann.stats.duplicates == 2


async def test_where_it_stands_is_the_servers_to_say(
    backend: Backend, gateway: Gateway, jitter: FixedJitter
) -> None:
    backend.names_places = True
    async with connect(gateway.url, "ann", resume=True, jitter=jitter) as ann:
        for number in (1, 2):
            await backend.say("ann", "NEWS", {"number": number}, "same")
        await next_of(ann, 2)
        backend.cut("ann")
        for number in (3, 4):
            await backend.say("ann", "NEWS", {"number": number}, "same")
        assert said(await next_of(ann, 4)) == [Reconnecting, Resumed, Unknown, Unknown]
        assert (backend.queries[-1]["last"], backend.queries[-1]["lastPlace"]) == ("same", "2")
        assert ann.stats.duplicates == 0


async def test_two_messages_of_one_id_are_two_with_and_without_places(
    backend: Backend, gateway: Gateway, jitter: FixedJitter
) -> None:
    for backend.names_places in (False, True):
        async with connect(gateway.url, "ann", resume=True, jitter=jitter) as ann:
            for number in (1, 2):
                await backend.say("ann", "NEWS", {"number": number}, "same")
            frames = [event.frame for event in await next_of(ann, 2) if isinstance(event, Unknown)]
            assert [json.loads(frame)["data"]["number"] for frame in frames] == [1, 2]


async def test_what_is_sent_twice_with_two_places_is_handed_out_once(
    backend: Backend, gateway: Gateway, jitter: FixedJitter
) -> None:
    backend.names_places = True
    async with connect(gateway.url, "ann", resume=True, jitter=jitter) as ann:
        await backend.write("bob", "ann", 1, 1, 2)
        assert said(await next_of(ann, 2)) == [1, 2]
        backend.names_places = False
        backend.cut("ann")
        assert said(await next_of(ann, 2)) == [Reconnecting, Resumed]
        await backend.write("bob", "ann", 2, 3)
        assert said(await next_of(ann, 1)) == [3]
        assert backend.queries[-1]["lastPlace"] == "3"


async def test_a_server_that_names_no_places_is_told_the_last_id(
    backend: Backend, gateway: Gateway, jitter: FixedJitter
) -> None:
    backend.names_places = True
    async with connect(gateway.url, "ann", resume=True, jitter=jitter) as ann:
        await backend.write("bob", "ann", 1)
        await next_of(ann, 1)
        backend.names_places = False
        for number in (2, 3):
            backend.cut("ann")
            await backend.sessions["ann"].deliver('{"place":"1","requestId":"forged","cmd":"NEWS","data":{}}')
            await backend.write("bob", "ann", number)
            await next_of(ann, 4 if number == 2 else 3)
        assert (backend.queries[-1]["last"], "lastPlace" in backend.queries[-1]) == ("bob-2", False)


async def test_a_message_without_an_id_leaves_last_as_it_is(
    backend: Backend, gateway: Gateway, jitter: FixedJitter
) -> None:
    async with connect(gateway.url, "ann", resume=True, jitter=jitter) as ann:
        await backend.write("bob", "ann", 1)
        await backend.sessions["ann"].send("[]")
        assert said(await next_of(ann, 2)) == [1, Unknown]
        backend.cut("ann")
        await next_of(ann, 2)
        assert backend.queries[-1]["last"] == "bob-1"


@pytest.mark.parametrize("code", [1001, 1011, 1012, 4000, 4001, 4002, 4499])
async def test_codes_that_say_so_are_resumed_after(
    backend: Backend, gateway: Gateway, jitter: FixedJitter, code: int
) -> None:
    async with connect(gateway.url, "ann", resume=True, jitter=jitter) as ann:
        await backend.close("ann", code)
        lost, resumed = await next_of(ann, 2)
        assert lost == Reconnecting(code, "")
        assert isinstance(resumed, Resumed)


@pytest.mark.parametrize("code", [1000, 1009, 4500, 4501, 4502, 4503, 4504, 4999])
async def test_final_codes_are_final(
    backend: Backend, gateway: Gateway, jitter: FixedJitter, code: int
) -> None:
    async with connect(gateway.url, "ann", resume=True, jitter=jitter) as ann, asyncio.TaskGroup() as tasks:
        backend.ignored.add("PING")
        waiting = tasks.create_task(failure_of(ann.ping()))
        await backend.received_from("ann", 1)
        await backend.close("ann", code)
        end = await within(waiting)
        assert isinstance(end, Closed)
        assert end.code == code
        assert [event async for event in ann.events()] == []
        assert ann.closed is not None
        assert ann.closed.code == code
        assert isinstance(await failure_of(ann.candidate("bob", 1)), Closed)
        assert len(gateway.attempts) == 1


async def failure_of(request: Awaitable[object]) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is what the test looks at
        await request
    return caught.value


async def test_without_resume_one_loss_is_the_end(backend: Backend, gateway: Gateway) -> None:
    async with connect(gateway.url, "ann") as ann:
        await backend.write("bob", "ann", 1, 1)
        assert said(await next_of(ann, 2)) == [1, 1]
        await backend.say("ann", "RECONNECT", {"afterMs": 0, "jitterMs": 0}, "r")
        await backend.close("ann", 1012)
        assert len([event async for event in ann.events()]) == 1
        assert ann.closed is not None
        assert ann.closed.code == 1012
        assert backend.queries == [{"acks": "1", "roster": "1", "calls": "1"}]


async def test_without_acks_a_message_waits_for_the_connection(
    backend: Backend, gateway: Gateway, jitter: FixedJitter
) -> None:
    async with connect(gateway.url, "ann", resume=True, acks=False, jitter=jitter) as ann:
        assert await ann.candidate("ann", 1) is None
        assert said(await next_of(ann, 1)) == [1]
        backend.cut("ann")
        assert isinstance(await within(anext(ann.events())), Reconnecting)
        assert await within(ann.candidate("ann", 2)) is None
        assert said(await next_of(ann, 2)) == [Resumed, 2]
        assert len(backend.received["ann"]) == 2


async def test_a_request_given_up_while_away_is_never_sent(
    backend: Backend, gateway: Gateway, jitter: FixedJitter
) -> None:
    async with connect(gateway.url, "ann", resume=True, jitter=jitter) as ann:
        gateway.http_refusals += [denied(503)] * 10_000
        backend.cut("ann")
        assert isinstance(await within(anext(ann.events())), Reconnecting)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await ann.ping(1)
        gateway.http_refusals.clear()
        assert await within(ann.ping(2)) == 2
        assert [json.loads(frame)["data"] for frame in backend.received["ann"]] == [2]


async def test_insisting_sends_the_same_frame_until_the_outcome_is_known(
    backend: Backend, gateway: Gateway, jitter: FixedJitter
) -> None:
    async with connect(gateway.url, "ann", resume=True, insist_s=30, jitter=jitter) as ann:
        backend.refusals["WEBRTC_ICE_CANDIDATE"] += [(INTERNAL, "INTERNAL")] * 2
        acks = asyncio.gather(*(ann.candidate("ann", number) for number in (1, 2)))
        assert await within(acks) == ["relayed", "relayed"]
        assert said(await next_of(ann, 2)) == [1, 2]
        first, second, third, other = backend.received["ann"]
        assert first == second == third != other
        assert ann.stats.resent == 2
        backend.refusals["WEBRTC_ICE_CANDIDATE"].append((1000, "TARGET_OFFLINE"))
        with pytest.raises(Refused, match="TARGET_OFFLINE"):
            await ann.candidate("ann", 3)


async def test_insisting_ends(backend: Backend, gateway: Gateway, jitter: FixedJitter) -> None:
    jitter.number = 0.01
    backend.refusals["WEBRTC_ICE_CANDIDATE"] += [(INTERNAL, "INTERNAL")] * 1000
    async with connect(gateway.url, "ann", resume=True, insist_s=0.1, jitter=jitter) as ann:
        with pytest.raises(Refused, match="INTERNAL"):
            await within(ann.candidate("ann", 1))
        assert len(set(backend.received["ann"])) == 1
        assert 1 < len(backend.received["ann"]) < 1000
    async with connect(gateway.url, "ann", resume=True, jitter=jitter) as ann:
        with pytest.raises(Refused, match="INTERNAL"):
            await within(ann.candidate("ann", 2))
