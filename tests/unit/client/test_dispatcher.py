"""Where each frame goes: to the request it answers, to the application, or nowhere."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.unit.client.minimal_gateway import within
from tieline.client import (
    ClientError,
    Closed,
    ErrorEvent,
    Event,
    MemberJoined,
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
ANN, BOB = UserId("ann"), UserId("bob")
LOST = Closed(1006, "connection lost")


def welcome(*rooms: RoomId, resumed: bool = False) -> Welcome:
    return Welcome(ANN, SessionId("s"), "secret", resumed, rooms, 30, 25, 65_536)


def joined(request_id: str, user: UserId = BOB) -> bytes:
    return replies.success(request_id, "MEMBER_JOINED", replies.MemberJoined(A, user))


class RecordingWriter:
    """A connection that keeps what is written."""

    def __init__(self) -> None:
        self.written: asyncio.Queue[dict[str, str]] = asyncio.Queue()

    async def send(self, frame: bytes) -> None:
        self.written.put_nowait(json.loads(frame))

    async def next(self) -> dict[str, str]:
        return await within(self.written.get())


class Parts:
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
    parts = Parts()
    async with parts.connected(), asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(parts.ask("LEAVE"))
        await parts.writer.next()
        parts.dispatcher.dispatch(replies.success("r", "LEAVE", {"room": "a"}))
        assert not isinstance(await within(asking), ClientError)
    assert await parts.events() == []


async def test_a_refusal_fails_its_request_and_is_no_event() -> None:
    parts = Parts()
    async with parts.connected(), asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(parts.ask())
        await parts.writer.next()
        parts.dispatcher.dispatch(replies.error("r", "JOIN", ErrorCode.ROOM_FULL))
        failure = await within(asking)
        assert isinstance(failure, Refused)
        assert (failure.code, failure.reason, failure.cmd) == (1000, "ROOM_FULL", "JOIN")
        assert (failure.msg, failure.request_id) == ("房间已满", "r")
    assert await parts.events() == []


async def test_no_reply_is_named_and_a_late_refusal_is_an_event() -> None:
    parts = Parts(timeout_s=0.01)
    async with parts.connected():
        silence = await within(parts.ask())
        assert isinstance(silence, NoReply)
        assert (silence.cmd, silence.request_id) == ("JOIN", "r")
        parts.dispatcher.dispatch(replies.error("r", "JOIN", ErrorCode.ROOM_FORBIDDEN))
    (late,) = await parts.events()
    assert isinstance(late, ErrorEvent)
    assert late.request_id == silence.request_id


async def test_a_late_reply_is_no_event() -> None:
    parts = Parts(timeout_s=0.01)
    async with parts.connected():
        assert isinstance(await within(parts.ask()), NoReply)
        parts.dispatcher.dispatch(replies.success("r", "JOIN", {"room": "r", "members": []}))
        parts.dispatcher.dispatch(replies.success("e", "SOMETHING_NEW", {}))
    assert [type(event) for event in await parts.events()] == [Unknown]


async def test_a_refusal_of_nothing_that_was_asked_is_an_event() -> None:
    parts = Parts()
    parts.dispatcher.dispatch(replies.error("", "", ErrorCode.BAD_MESSAGE))
    assert await parts.events() == [ErrorEvent(400, "消息格式错误", "BAD_MESSAGE")]


async def test_a_message_that_comes_twice_is_handed_out_once() -> None:
    parts = Parts()
    for frame in (joined("1"), joined("2"), joined("1")):
        parts.dispatcher.dispatch(frame)
    assert parts.dispatcher.session.last == "2"
    assert parts.stats.duplicates == 1
    assert await parts.events() == [MemberJoined(A, BOB, "1"), MemberJoined(A, BOB, "2")]


async def test_without_resume_everything_is_handed_out() -> None:
    parts = Parts(resume=False)
    parts.dispatcher.dispatch(joined("1"))
    parts.dispatcher.dispatch(joined("1"))
    assert parts.stats.duplicates == 0
    assert await parts.events() == [MemberJoined(A, BOB, "1")] * 2


@pytest.mark.parametrize("resume", [True, False])
async def test_only_a_client_that_resumes_obeys_reconnect(resume: bool) -> None:
    parts = Parts(resume=resume)
    frame = replies.success("go", "RECONNECT", replies.Reconnect(5, 10))
    told = Reconnect(5, 10, "go")
    assert parts.dispatcher.dispatch(frame) == (told if resume else None)
    assert await parts.events() == [told]


async def test_the_same_reconnect_is_obeyed_once() -> None:
    parts = Parts()
    frame = replies.success("go", "RECONNECT", replies.Reconnect(5, 10))
    assert parts.dispatcher.dispatch(frame) is not None
    assert parts.dispatcher.dispatch(frame) is None


async def test_requests_outlive_a_lost_connection() -> None:
    parts = Parts(timeout_s=10)
    async with asyncio.TaskGroup() as tasks:
        async with parts.connected():
            asking = tasks.create_task(parts.ask("LEAVE"))
            await parts.writer.next()
        parts.dispatcher.connection_lost(LOST)
        assert not asking.done()
        parts.dispatcher.connection_replaced(welcome(resumed=True), 1.5)
        async with parts.writing():
            await parts.writer.next()
            parts.dispatcher.dispatch(replies.success("r", "LEAVE", {"room": "a"}))
            assert not isinstance(await within(asking), ClientError)
    assert await parts.events() == [Reconnecting(1006, "connection lost"), Resumed(1.5, resent=1)]


async def test_every_reconnect_counts_as_resumed_or_reset() -> None:
    parts = Parts()
    for resumed in (True, False, True):
        parts.dispatcher.connection_replaced(welcome(resumed=resumed), 0)
    assert (parts.stats.reconnects, parts.stats.resumes, parts.stats.resets) == (3, 2, 1)
    events = [type(event) for event in await parts.events()]
    assert events == [Resumed, SessionReset, Resumed]


async def test_a_new_session_fails_what_the_old_one_was_asked() -> None:
    parts = Parts()
    async with asyncio.TaskGroup() as tasks:
        asking = [tasks.create_task(parts.ask(cmd, cmd)) for cmd in ("PING", "LEAVE")]
        async with parts.connected():
            for _ in asking:
                await parts.writer.next()
        parts.dispatcher.connection_replaced(welcome(), 0)
        failures = [await within(asked) for asked in asking]
    assert [type(failure) for failure in failures] == [SessionLost, SessionLost]
    assert [str(failure) for failure in failures] == [
        "the session was lost before PING was answered",
        "the session was lost before LEAVE was answered",
    ]


@pytest.mark.parametrize("rejoin", [True, False])
async def test_a_new_session_joins_the_old_rooms_if_wanted(rejoin: bool) -> None:
    parts = Parts(A, B, rejoin=rejoin)
    parts.dispatcher.connection_replaced(welcome(), 0)
    async with parts.writing(), asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(parts.pending.ask(PendingRequest("r", "PING", b'{"cmd":"PING"}')))
        cmds = [(await parts.writer.next())["cmd"] for _ in range(3 if rejoin else 1)]
        asking.cancel()
    assert cmds == (["JOIN", "JOIN", "PING"] if rejoin else ["PING"])
    assert await parts.events() == [SessionReset((A, B), rejoining=rejoin)]


async def outcome_of_rejoining(parts: Parts, make_reply: object = None) -> Event:
    """Lose the session of a client in room a, and return what becomes of that room."""
    parts.dispatcher.connection_replaced(welcome(), 0)
    assert await within(anext(parts.dispatcher.inbox)) == SessionReset((A,), rejoining=True)
    async with parts.writing():
        request_id = (await parts.writer.next())["requestId"]
        match make_reply:
            case ErrorCode() as refusal:
                parts.dispatcher.dispatch(replies.error(request_id, "JOIN", refusal))
            case None:
                pass
            case data:
                parts.dispatcher.dispatch(replies.success(request_id, "JOIN", data))
        return await within(anext(parts.dispatcher.inbox))


async def test_a_room_that_is_joined_again_comes_with_its_members() -> None:
    parts = Parts(A)
    roster = Roster(A, (replies.Member(ANN, "online", voice=True, joined_at=1),))
    assert await outcome_of_rejoining(parts, roster) == Rejoined(roster)
    assert list(parts.dispatcher.session.rooms) == [A]


async def test_a_room_that_is_refused_is_lost_with_the_reason() -> None:
    assert await outcome_of_rejoining(Parts(A), ErrorCode.ROOM_FORBIDDEN) == RoomLost(A, "ROOM_FORBIDDEN")


async def test_a_room_without_an_answer_is_lost() -> None:
    assert await outcome_of_rejoining(Parts(A, timeout_s=0.01)) == RoomLost(A, "NO_REPLY")


async def test_a_room_with_an_unreadable_answer_is_lost() -> None:
    assert await outcome_of_rejoining(Parts(A), {"hall": 7}) == RoomLost(A, "UNREADABLE")


async def test_a_lost_room_is_not_joined_by_the_next_session() -> None:
    parts = Parts(A)
    await outcome_of_rejoining(parts, ErrorCode.ROOM_FORBIDDEN)
    parts.dispatcher.connection_replaced(welcome(), 0)
    assert await parts.events() == [SessionReset((), rejoining=True)]


async def test_a_room_still_being_joined_is_joined_by_the_next() -> None:
    parts = Parts(A)
    for _ in range(2):
        parts.dispatcher.connection_replaced(welcome(), 0)
    assert await parts.events() == [SessionReset((A,), rejoining=True)] * 2


async def test_the_end_fails_each_request_with_an_exception_of_its_own() -> None:
    parts, end = Parts(), Closed(4502, "kicked")
    async with parts.connected(), asyncio.TaskGroup() as tasks:
        asking = [tasks.create_task(parts.ask("PING", name)) for name in "ab"]
        for _ in asking:
            await parts.writer.next()
        parts.dispatcher.connection_ended(end)
        failures = [await within(asked) for asked in asking]
    assert [str(failure) for failure in failures] == [str(end)] * 2
    assert len({id(failure) for failure in (*failures, end)}) == 3
    assert [event async for event in parts.dispatcher.inbox] == []
