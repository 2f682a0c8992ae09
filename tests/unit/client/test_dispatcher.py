"""Where each frame goes: to the request it answers, to the application, or nowhere."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.unit.client.minimal_gateway import within
from tieline.client import (
    ClientError,
    Closed,
    ErrorEvent,
    Event,
    MemberJoined,
    MemberLeft,
    NoReply,
    Reconnect,
    Reconnecting,
    Refused,
    Rejoined,
    Resumed,
    RoomLost,
    Roster,
    SessionLost,
    SessionReset,
    Stats,
    Unknown,
    Welcome,
)
from tieline.client.dispatcher import Dispatcher
from tieline.client.pending import PendingRequest, PendingRequests
from tieline.wire import replies
from tieline.wire.codes import ErrorCode
from tieline.wire.ids import RoomId, SessionId, UserId

A, B = RoomId("a"), RoomId("b")
ANN, BOB, CAT, DAN = (UserId(name) for name in ("ann", "bob", "cat", "dan"))
LOST = Closed(1006, "connection lost")


def welcome(*rooms: RoomId, resumed: bool = False) -> Welcome:
    return Welcome(ANN, SessionId("s"), "secret", resumed, rooms, 30, 25, 65_536)


def joined(request_id: str, user: UserId = BOB) -> bytes:
    return replies.success(request_id, "MEMBER_JOINED", replies.MemberJoined(A, user))


class RecordingWriter:
    """A connection that keeps what is written."""

    def __init__(self) -> None:
        self.written: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def send(self, frame: bytes) -> None:
        self.written.put_nowait(json.loads(frame))

    async def next(self) -> dict[str, Any]:
        return await within(self.written.get())


class Harness:
    """A dispatcher, the requests that it answers, and the connection on which those are written."""

    def __init__(
        self, *rooms: RoomId, resume: bool = True, rejoin: bool = True, timeout_s: float = 10
    ) -> None:
        self.stats = Stats()
        self.pending = PendingRequests(timeout_s, self.stats)
        self.dispatcher = Dispatcher(welcome(*rooms), self.pending, self.stats, resume=resume, rejoin=rejoin)
        self.writer = RecordingWriter()

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Write requests while the block runs."""
        self.pending.connected()
        async with self.writing():
            yield

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.pending.write_to(self.writer))
            yield
            task.cancel()

    async def ask(self, cmd: str = "JOIN", request_id: str = "r") -> object:
        """Send a request; returns the answer, or how it failed."""
        try:
            return await self.pending.ask(PendingRequest(request_id, cmd, b"{}"))
        except ClientError as failure:
            return failure

    async def events(self) -> list[Event]:
        """End, and return every event that came before."""
        self.dispatcher.connection_ended(Closed(1000, ""))
        return [event async for event in self.dispatcher.inbox]


async def test_a_reply_answers_its_request_and_is_no_event() -> None:
    harness = Harness()
    async with harness.connected(), asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(harness.ask("LEAVE"))
        await harness.writer.next()
        harness.dispatcher.dispatch(replies.success("r", "LEAVE", {"room": "a"}))
        assert not isinstance(await within(asking), ClientError)
    assert await harness.events() == []


async def test_a_refusal_fails_its_request_and_is_no_event() -> None:
    harness = Harness()
    async with harness.connected(), asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(harness.ask())
        await harness.writer.next()
        harness.dispatcher.dispatch(replies.error("r", "JOIN", ErrorCode.ROOM_FULL))
        failure = await within(asking)
        assert isinstance(failure, Refused)
        assert (failure.code, failure.reason, failure.cmd) == (1000, "ROOM_FULL", "JOIN")
        assert (failure.msg, failure.request_id) == ("房间已满", "r")
    assert await harness.events() == []


async def test_no_reply_is_named_and_a_late_refusal_is_an_event() -> None:
    harness = Harness(timeout_s=0.01)
    async with harness.connected():
        silence = await within(harness.ask())
        assert isinstance(silence, NoReply)
        assert (silence.cmd, silence.request_id) == ("JOIN", "r")
        harness.dispatcher.dispatch(replies.error("r", "JOIN", ErrorCode.ROOM_FORBIDDEN))
    (late,) = await harness.events()
    assert isinstance(late, ErrorEvent)
    assert late.request_id == silence.request_id


async def test_a_late_reply_is_no_event() -> None:
    harness = Harness(timeout_s=0.01)
    async with harness.connected():
        assert isinstance(await within(harness.ask()), NoReply)
        harness.dispatcher.dispatch(replies.success("r", "JOIN", {"room": "r", "members": []}))
        harness.dispatcher.dispatch(replies.success("e", "SOMETHING_NEW", {}))
    assert [type(event) for event in await harness.events()] == [Unknown]


async def test_a_refusal_of_nothing_that_was_asked_is_an_event() -> None:
    harness = Harness()
    harness.dispatcher.dispatch(replies.error("", "", ErrorCode.BAD_MESSAGE))
    assert await harness.events() == [ErrorEvent(400, "消息格式错误", "BAD_MESSAGE")]


async def test_a_message_that_comes_twice_is_handed_out_once() -> None:
    harness = Harness()
    for frame in (joined("1"), joined("2"), joined("1")):
        harness.dispatcher.dispatch(frame)
    assert harness.dispatcher.session.last == "2"
    assert harness.stats.duplicates == 1
    assert await harness.events() == [MemberJoined(A, BOB, "1"), MemberJoined(A, BOB, "2")]


async def test_without_resume_everything_is_handed_out() -> None:
    harness = Harness(resume=False)
    harness.dispatcher.dispatch(joined("1"))
    harness.dispatcher.dispatch(joined("1"))
    assert harness.stats.duplicates == 0
    assert await harness.events() == [MemberJoined(A, BOB, "1")] * 2


def changed(number: int, *, joined: tuple[UserId, ...] = (), left: tuple[UserId, ...] = ()) -> bytes:
    """Make a batch of changes, as a gateway does."""
    gone = [replies.Left(user, "left") for user in left]
    data = replies.RoomChanged(A, number, [member(user) for user in joined], gone, [])
    return replies.success(f"room-{number}", "ROOM_CHANGED", data)


def member(user: UserId) -> replies.Member:
    return replies.Member(user, "online", voice=True, joined_at=1)


@pytest.mark.parametrize("resume", [True, False])
async def test_a_batch_is_one_event_for_each_member(resume: bool) -> None:
    harness = Harness(A, resume=resume)
    harness.dispatcher.dispatch(changed(7, joined=(BOB, CAT)))
    harness.dispatcher.dispatch(changed(9, left=(BOB,)))
    assert harness.dispatcher.session.last == ("room-9" if resume else "")
    assert await harness.events() == [
        MemberJoined(A, BOB, "room-7", 7),
        MemberJoined(A, CAT, "room-7", 7),
        MemberLeft(A, BOB, "left", "room-9", 9),
    ]


async def test_a_batch_that_comes_twice_is_handed_out_once() -> None:
    harness = Harness(A)
    for _ in range(2):
        harness.dispatcher.dispatch(changed(7, joined=(BOB,)))
    assert harness.stats.duplicates == 1
    assert len(await harness.events()) == 1


async def test_a_list_that_nobody_asked_for_is_told_when_it_is_whole() -> None:
    harness = Harness(A)
    harness.dispatcher.dispatch(changed(7, joined=(BOB, DAN)))
    async with harness.connected():
        first = Roster(A, (member(ANN), member(BOB)), 9, count=3, next="b")
        harness.dispatcher.dispatch(replies.success("room-9-list", "ROOM_CHANGED", first))
        asked = await harness.writer.next()
        assert (asked["cmd"], asked["data"]) == ("MEMBERS", {"room": "a", "after": "b"})
        harness.dispatcher.dispatch(
            replies.success(asked["requestId"], "MEMBERS", Roster(A, (member(CAT),), 9))
        )
    assert harness.dispatcher.session.last == "room-9-list"
    assert (await harness.events())[2:] == [
        MemberLeft(A, DAN, "left", "room-9-list", 9),
        MemberJoined(A, CAT, "room-9-list", 9),
    ]


async def test_a_list_whose_page_is_refused_is_not_told() -> None:
    harness = Harness(A)
    async with harness.connected():
        first = Roster(A, (member(ANN), member(BOB)), 9, count=3, next="b")
        harness.dispatcher.dispatch(replies.success("room-9-list", "ROOM_CHANGED", first))
        asked = await harness.writer.next()
        harness.dispatcher.dispatch(replies.error(asked["requestId"], "MEMBERS", ErrorCode.NOT_IN_SAME_ROOM))
    assert await harness.events() == []


@pytest.mark.parametrize(
    "kicked",
    [changed(7, left=(ANN,)), replies.success("7", "MEMBER_LEFT", replies.MemberLeft(A, ANN, "kicked"))],
)
async def test_a_room_that_one_is_put_out_of_is_none_of_the_sessions(kicked: bytes) -> None:
    harness = Harness(A, B)
    harness.dispatcher.dispatch(replies.success("6", "MEMBER_LEFT", replies.MemberLeft(A, BOB, "left")))
    assert list(harness.dispatcher.session.rooms) == [A, B]
    harness.dispatcher.dispatch(kicked)
    assert list(harness.dispatcher.session.rooms) == [B]
    assert len(await harness.events()) == 2


async def test_of_a_room_that_was_left_nothing_is_remembered() -> None:
    harness = Harness(A)
    listing = harness.dispatcher.rosters.begin(A)
    harness.dispatcher.dispatch(replies.success("r", "LEAVE", {"room": "a"}))
    assert listing.is_void


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
