"""What presence answers the API, and what a backend is told of it."""

import asyncio
from typing import Protocol

import pytest

from api.presence import RemotePresence, changed, told
from api.problems import Refusal
from tests.support.api import FakePresence
from tieline.api.bodies import Changed
from tieline.runtime.broker import BrokerAway
from tieline.runtime.requests import NoAnswer
from tieline.wire.ids import UserId
from tieline.wire.internal import codec
from tieline.wire.internal.answers import Refused
from tieline.wire.internal.backend import Affected, Disconnect, LookAtUser, UserSeen
from tieline.wire.subjects import Subjects

ORDER = Disconnect("0a", 60.0, UserId("alice"))
SEEN = UserSeen("offline", {}, (), False, False, 0)


async def test_a_change_says_what_it_has_affected() -> None:
    assert await changed(FakePresence(Affected(2)), ORDER) == Changed(affected=2)


async def test_what_was_asked_for_is_returned() -> None:
    assert await told(FakePresence(SEEN), LookAtUser(UserId("alice")), UserSeen) == SEEN


@pytest.mark.parametrize(
    ("reason", "status"), [("KEY_USED", 422), ("NO_SUCH_CALL", 409), ("ROOM_FULL", 409), ("NEWER", 409)]
)
async def test_a_refusal_becomes_a_problem_of_its_name(reason: str, status: int) -> None:
    with pytest.raises(Refusal) as refusal:
        await changed(FakePresence(Refused(reason)), ORDER)
    assert (refusal.value.status, refusal.value.reason) == (status, reason)


@pytest.mark.parametrize("error", [NoAnswer("presence"), BrokerAway("away")])
async def test_no_answer_is_a_problem_after_which_to_ask_again(error: Exception) -> None:
    with pytest.raises(Refusal) as refusal:
        await changed(FakePresence(error), ORDER)
    assert (refusal.value.status, refusal.value.headers) == (503, {"Retry-After": "1"})


class Requests:
    """Answers each request with these bytes."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.subjects: list[str] = []

    def put(self, subject: str, question: "Question", _patience_s: float, _headers: None) -> None:
        self.subjects.append(subject)
        assert question.payload() == codec.encode(ORDER)
        asyncio.get_running_loop().call_soon(question.hear, Reply(self.answer))


class Question(Protocol):
    def payload(self) -> bytes: ...

    def hear(self, reply: "Reply") -> bool: ...


class Reply:
    def __init__(self, data: bytes) -> None:
        self.data = data


async def test_an_order_goes_to_presence_on_its_own_subject() -> None:
    requests = Requests(codec.encode(Affected(1)))
    presence = RemotePresence(requests, Subjects("blue"))  # type: ignore[arg-type]
    assert await presence.ask(ORDER) == Affected(1)
    assert requests.subjects == ["blue.presence.disconnect"]
