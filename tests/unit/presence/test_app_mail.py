"""An application's own messages, to a user and to a room."""

import json

import pytest

from presence.app_mail import MailboxPost
from presence.store import StoreUnavailable
from tests.unit.presence.presence_process import SUBJECTS, PresenceProcess
from tests.unit.presence.requests import opening
from tieline.runtime.message import Message
from tieline.runtime.requests import NoAnswer
from tieline.wire.ids import Address, RoomId, SessionId, UserId
from tieline.wire.internal.backend import Affected, MessageRoom, MessageUser

ALICE, HALL = UserId("alice"), RoomId("hall")
TO = Address(ALICE, SessionId("s-1"))


def messages(process: PresenceProcess) -> dict[str, dict[str, object]]:
    """List the messages that were sent, by their subject."""
    frames = (each for each in process.recorder.sent if each.payload.startswith(b"{"))
    sent = ((each.subject, json.loads(each.payload)) for each in frames)
    return {subject: frame for subject, frame in sent if frame.get("cmd") == "MESSAGE"}


async def with_two() -> PresenceProcess:
    process = PresenceProcess()
    for user in ("alice", "bob"):
        await process.open(opening(user, "hall", secret=user))
    return process


async def test_a_message_to_a_user_goes_to_its_session() -> None:
    process = await with_two()
    assert await process.ask(MessageUser("0a", 60.0, ALICE, b'{"text":"hello"}')) == Affected(1)
    assert messages(process) == {
        "tieline.user.alice.alice-s1": {
            "requestId": "message-0a",
            "module": "ROOM",
            "cmd": "MESSAGE",
            "code": 200,
            "msg": "success",
            "data": {"data": {"text": "hello"}},
        }
    }


async def test_a_message_to_a_room_goes_to_all_who_are_there_or_away() -> None:
    process = await with_two()
    await process.end("alice", resumable=True)
    assert await process.ask(MessageRoom("0a", 60.0, HALL, b"1")) == Affected(2)
    sent = messages(process)
    assert sent.keys() == {"tieline.user.alice.alice-s1", "tieline.user.bob.bob-s1"}
    assert [frame["data"] for frame in sent.values()] == [{"room": "hall", "data": 1}] * 2


@pytest.mark.parametrize("user", ["alice", "nobody"])
async def test_to_who_is_offline_nothing_is_sent(user: str) -> None:
    process = await with_two()
    await process.end("alice")
    assert await process.ask(MessageUser("0a", 60.0, UserId(user), b"1")) == Affected(0)
    assert messages(process) == {}


class FakeMailbox:
    """Answers what is published with these bytes; None: not at all."""

    def __init__(self, answer: bytes | None) -> None:
        self.answer = answer
        self.asked: list[tuple[str, bytes, bytes]] = []

    async def ask_once(
        self, subject: str, payload: bytes, _timeout: float, headers: bytes = b"", /
    ) -> Message:
        self.asked.append((subject, payload, headers))
        if self.answer is None:
            raise NoAnswer(subject)
        return Message(subject, "", self.answer, b"")


async def test_a_message_is_stored_by_its_name_before_it_is_answered() -> None:
    mailbox = FakeMailbox(b'{"stream":"MAILBOX","seq":7}')
    await MailboxPost(mailbox, SUBJECTS)(TO, b"frame")
    ((subject, payload, headers),) = mailbox.asked
    assert (subject, payload) == ("tieline.user.alice.s-1", b"frame")
    assert b"Nats-Msg-Id: " in headers


@pytest.mark.parametrize("answer", [None, b'{"error":{"code":503,"err_code":1,"description":"no room"}}'])
async def test_a_message_that_is_not_stored_is_not_answered(answer: bytes | None) -> None:
    with pytest.raises(StoreUnavailable):
        await MailboxPost(FakeMailbox(answer), SUBJECTS)(TO, b"frame")
