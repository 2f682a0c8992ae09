"""Where each frame goes: to the request it answers, to the application, or nowhere."""

import asyncio

from tests.support.waiting import within
from tests.unit.client.dispatching import BOB, A, Harness, joined
from tieline.client import ClientError, ErrorEvent, MemberJoined, NoReply, Refused, Unknown
from tieline.wire import replies
from tieline.wire.codes import ErrorCode


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
