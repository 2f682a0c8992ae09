"""Requests as they come off the broker: answered one by one, whatever another one is."""

import asyncio

import pytest

from presence.service import UNKNOWN, PresenceService
from tests.support.metrics import value_of
from tests.unit.presence.presence_process import SUBJECTS, PresenceProcess
from tests.unit.presence.requests import opening
from tieline import metrics
from tieline.runtime.message import Message
from tieline.wire import internal
from tieline.wire.ids import RoomId, SessionId, UserId
from tieline.wire.internal import JoinRoom, ListMembers, Opened, Refused, RoomMembers


def asking(op: str, data: bytes, reply: str) -> Message:
    return Message(SUBJECTS.presence(op), reply, data, b"")


async def answers(process: PresenceProcess, *messages: Message) -> dict[str, object]:
    """Let a service answer these; returns what came, by where it was to go."""
    async with asyncio.TaskGroup() as tasks:
        service = PresenceService(process.recorder, tasks, process.operations)
        for message in messages:
            service.on_request(message)
    asked = {message.reply for message in messages}
    return {
        sent.subject: internal.decode_presence_reply(sent.payload)
        for sent in process.recorder.sent
        if sent.subject in asked
    }


async def test_each_request_is_answered_where_it_says() -> None:
    process = PresenceProcess()
    found = await answers(process, asking("open", internal.encode(opening("alice", "hall")), "a"))
    alice, session, hall = UserId("alice"), SessionId("alice-s1"), RoomId("hall")
    found |= await answers(
        process,
        asking("members", internal.encode(ListMembers(alice, session, hall)), "b"),
        asking("join", internal.encode(JoinRoom(UserId("bob"), session, hall)), "c"),
    )
    assert isinstance(found["a"], Opened)
    assert isinstance(found["b"], RoomMembers)
    assert [member.user_id for member in found["b"].members] == [alice]
    assert not isinstance(found["c"], RoomMembers | Refused)


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", b"not msgpack", b"\x92\xa9SaidToDie\x01", internal.encode([1, 2, 3])]
)
async def test_what_cannot_be_read_is_counted_and_takes_no_other_along(data: bytes) -> None:
    failed = metrics.PRESENCE_REQUESTS.labels(UNKNOWN, "failed")
    before = value_of(failed)
    found = await answers(
        PresenceProcess(),
        asking("replaced", data, "a"),
        asking("open", internal.encode(opening("alice", "hall")), "b"),
    )
    assert found.keys() == {"b"}
    assert value_of(failed) == before + 1


async def test_a_request_on_the_subject_of_another_stays_unanswered() -> None:
    assert (
        await answers(PresenceProcess(), asking("join", internal.encode(opening("alice", "hall")), "a")) == {}
    )
