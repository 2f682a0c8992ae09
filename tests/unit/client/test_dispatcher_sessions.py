"""What outlives a connection and a session, and how rooms are joined again."""

import asyncio

import pytest

from tests.support.waiting import within
from tests.unit.client.dispatching import ANN, BOB, LOST, A, B, Harness, member, welcome
from tieline.client import (
    ClientError,
    Closed,
    Event,
    Reconnect,
    Reconnecting,
    Rejoined,
    Resumed,
    RoomLost,
    Roster,
    SessionLost,
    SessionReset,
)
from tieline.client.pending import PendingRequest
from tieline.wire import replies
from tieline.wire.codes import ErrorCode


@pytest.mark.parametrize("resume", [True, False])
async def test_only_a_client_that_resumes_obeys_reconnect(resume: bool) -> None:
    harness = Harness(resume=resume)
    frame = replies.success("go", "RECONNECT", replies.Reconnect(5, 10))
    told = Reconnect(5, 10, "go")
    assert harness.dispatcher.dispatch(frame) == (told if resume else None)
    assert await harness.events() == [told]


async def test_the_same_reconnect_is_obeyed_once() -> None:
    harness = Harness()
    frame = replies.success("go", "RECONNECT", replies.Reconnect(5, 10))
    assert harness.dispatcher.dispatch(frame) is not None
    assert harness.dispatcher.dispatch(frame) is None


async def test_requests_outlive_a_lost_connection() -> None:
    harness = Harness(timeout_s=10)
    async with asyncio.TaskGroup() as tasks:
        async with harness.connected():
            asking = tasks.create_task(harness.ask("LEAVE"))
            await harness.writer.next()
        harness.dispatcher.connection_lost(LOST)
        assert not asking.done()
        harness.dispatcher.connection_replaced(welcome(resumed=True), 1.5)
        async with harness.writing():
            await harness.writer.next()
            harness.dispatcher.dispatch(replies.success("r", "LEAVE", {"room": "a"}))
            assert not isinstance(await within(asking), ClientError)
    assert await harness.events() == [Reconnecting(1006, "connection lost"), Resumed(1.5, resent=1)]


async def test_every_reconnect_counts_as_resumed_or_reset() -> None:
    harness = Harness()
    for resumed in (True, False, True):
        harness.dispatcher.connection_replaced(welcome(resumed=resumed), 0)
    assert (harness.stats.reconnects, harness.stats.resumes, harness.stats.resets) == (3, 2, 1)
    events = [type(event) for event in await harness.events()]
    assert events == [Resumed, SessionReset, Resumed]


async def test_a_new_session_fails_what_the_old_one_was_asked() -> None:
    harness = Harness()
    async with asyncio.TaskGroup() as tasks:
        asking = [tasks.create_task(harness.ask(cmd, cmd)) for cmd in ("PING", "LEAVE")]
        async with harness.connected():
            for _ in asking:
                await harness.writer.next()
        harness.dispatcher.connection_replaced(welcome(), 0)
        failures = [await within(asked) for asked in asking]
    assert [type(failure) for failure in failures] == [SessionLost, SessionLost]
    assert [str(failure) for failure in failures] == [
        "the session was lost before PING was answered",
        "the session was lost before LEAVE was answered",
    ]


@pytest.mark.parametrize("rejoin", [True, False])
async def test_a_new_session_joins_the_old_rooms_if_wanted(rejoin: bool) -> None:
    harness = Harness(A, B, rejoin=rejoin)
    harness.dispatcher.connection_replaced(welcome(), 0)
    async with harness.writing(), asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(harness.pending.ask(PendingRequest("r", "PING", b'{"cmd":"PING"}')))
        cmds = [(await harness.writer.next())["cmd"] for _ in range(3 if rejoin else 1)]
        asking.cancel()
    assert cmds == (["JOIN", "JOIN", "PING"] if rejoin else ["PING"])
    assert await harness.events() == [SessionReset((A, B), rejoining=rejoin)]


async def outcome_of_rejoining(harness: Harness, make_reply: object = None) -> Event:
    """Lose the session of a client in room a, and return what becomes of that room."""
    harness.dispatcher.connection_replaced(welcome(), 0)
    assert await within(anext(harness.dispatcher.inbox)) == SessionReset((A,), rejoining=True)
    async with harness.writing():
        request_id = (await harness.writer.next())["requestId"]
        match make_reply:
            case ErrorCode() as refusal:
                harness.dispatcher.dispatch(replies.error(request_id, "JOIN", refusal))
            case None:
                pass
            case data:
                harness.dispatcher.dispatch(replies.success(request_id, "JOIN", data))
        return await within(anext(harness.dispatcher.inbox))


async def test_a_room_that_is_joined_again_comes_with_its_members() -> None:
    harness = Harness(A)
    roster = Roster(A, (replies.Member(ANN, "online", voice=True, joined_at=1),))
    assert await outcome_of_rejoining(harness, roster) == Rejoined(roster)
    assert list(harness.dispatcher.session.rooms) == [A]


async def test_a_room_that_is_joined_again_comes_with_all_its_pages() -> None:
    harness = Harness(A)
    harness.dispatcher.connection_replaced(welcome(), 0)
    await within(anext(harness.dispatcher.inbox))
    async with harness.writing():
        join = await harness.writer.next()
        first = Roster(A, (member(ANN),), 5, count=2, next="x")
        harness.dispatcher.dispatch(replies.success(join["requestId"], "JOIN", first))
        asked = await harness.writer.next()
        harness.dispatcher.dispatch(
            replies.success(asked["requestId"], "MEMBERS", Roster(A, (member(BOB),), 5))
        )
    assert await harness.events() == [Rejoined(Roster(A, (member(ANN), member(BOB)), 5))]


async def test_a_room_that_is_refused_is_lost_with_the_reason() -> None:
    assert await outcome_of_rejoining(Harness(A), ErrorCode.ROOM_FORBIDDEN) == RoomLost(A, "ROOM_FORBIDDEN")


async def test_a_room_without_an_answer_is_lost() -> None:
    assert await outcome_of_rejoining(Harness(A, timeout_s=0.01)) == RoomLost(A, "NO_REPLY")


async def test_a_room_with_an_unreadable_answer_is_lost() -> None:
    assert await outcome_of_rejoining(Harness(A), {"hall": 7}) == RoomLost(A, "UNREADABLE")


async def test_a_lost_room_is_not_joined_by_the_next_session() -> None:
    harness = Harness(A)
    await outcome_of_rejoining(harness, ErrorCode.ROOM_FORBIDDEN)
    harness.dispatcher.connection_replaced(welcome(), 0)
    assert await harness.events() == [SessionReset((), rejoining=True)]


async def test_a_room_still_being_joined_is_joined_by_the_next() -> None:
    harness = Harness(A)
    for _ in range(2):
        harness.dispatcher.connection_replaced(welcome(), 0)
    assert await harness.events() == [SessionReset((A,), rejoining=True)] * 2


async def test_the_end_fails_each_request_with_an_exception_of_its_own() -> None:
    harness, end = Harness(), Closed(4502, "kicked")
    async with harness.connected(), asyncio.TaskGroup() as tasks:
        asking = [tasks.create_task(harness.ask("PING", name)) for name in "ab"]
        for _ in asking:
            await harness.writer.next()
        harness.dispatcher.connection_ended(end)
        failures = [await within(asked) for asked in asking]
    assert [str(failure) for failure in failures] == [str(end)] * 2
    assert len({id(failure) for failure in (*failures, end)}) == 3
    assert [event async for event in harness.dispatcher.inbox] == []
