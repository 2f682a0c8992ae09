"""What presence answers the API, and what a backend is told of it."""

import asyncio
from typing import Protocol

import msgspec
import pytest

from api.presence import PATIENCE_S, RemotePresence, changed, told
from api.problems import Refusal
from tests.support.api import FakePresence
from tieline.api.bodies import Changed
from tieline.runtime.broker import BrokerAway
from tieline.runtime.requests import NoAnswer
from tieline.wire.ids import UserId
from tieline.wire.internal import codec
from tieline.wire.internal.answers import Outdated, Refused
from tieline.wire.internal.backend import Affected, Ban, Disconnect, LookAtUser, UserSeen
from tieline.wire.internal.directions import PresenceReply, PresenceRequest
from tieline.wire.subjects import Subjects

ORDER = Disconnect("0a", 60.0, UserId("alice"))
SEEN = UserSeen("offline", {}, (), False, False, 0)


async def test_a_change_says_what_it_has_affected() -> None:
    assert await changed(FakePresence(Affected(2)), ORDER) == Changed(affected=2)


async def test_what_was_asked_for_is_returned() -> None:
    assert await told(FakePresence(SEEN), LookAtUser(UserId("alice")), UserSeen) == SEEN


@pytest.mark.parametrize(
    ("reason", "status"),
    [("KEY_USED", 422), ("NO_SUCH_CALL", 409), ("ROOM_FULL", 409), ("OVERTAKEN", 409), ("NEWER", 409)],
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
    """Answers requests with these, in their order."""

    def __init__(self, *answers: PresenceReply) -> None:
        self._answers = [*answers]
        self.subjects: list[str] = []
        self.asked: list[PresenceRequest] = []
        self.patience_s: list[float] = []

    def put(self, subject: str, question: "Question", patience_s: float, _headers: None) -> None:
        self.subjects.append(subject)
        self.patience_s.append(patience_s)
        self.asked.append(codec.decode_presence_request(question.payload()))
        answer = codec.encode(self._answers.pop(0))
        asyncio.get_running_loop().call_soon(question.hear, Reply(answer))


class Question(Protocol):
    def payload(self) -> bytes: ...

    def hear(self, reply: "Reply") -> bool: ...


class Reply:
    def __init__(self, data: bytes) -> None:
        self.data = data


async def test_an_order_goes_to_presence_on_its_own_subject() -> None:
    requests = Requests(Affected(1))
    presence = RemotePresence(requests, Subjects("blue"))  # type: ignore[arg-type]
    assert await presence.ask(ORDER) == Affected(1)
    assert requests.subjects == ["blue.presence.disconnect"]
    assert requests.asked == [ORDER]


async def test_an_order_that_another_may_take_back_is_numbered_first() -> None:
    order, times = Ban("0a", 60.0, UserId("alice"), 60.0), [10.0, 11.5]
    requests = Requests(Outdated(7), Affected(1))
    presence = RemotePresence(requests, Subjects("blue"), lambda: times.pop(0))  # type: ignore[arg-type]
    assert await presence.ask(order) == Affected(1)
    assert requests.asked == [order, msgspec.structs.replace(order, number=7)]
    assert requests.patience_s == [PATIENCE_S, PATIENCE_S - 1.5]


async def test_a_presence_that_numbers_nothing_is_asked_once() -> None:
    requests = Requests(Refused("KEY_USED"))
    presence = RemotePresence(requests, Subjects("blue"))  # type: ignore[arg-type]
    assert await presence.ask(Ban("0a", 60.0, UserId("alice"), 60.0)) == Refused("KEY_USED")
    assert len(requests.asked) == 1


async def test_an_order_whose_caller_has_gone_meanwhile_is_not_given() -> None:
    order, requests = Ban("0a", 60.0, UserId("alice"), 60.0), Requests(Outdated(7))
    presence = RemotePresence(requests, Subjects("blue"))  # type: ignore[arg-type]
    with pytest.raises(NoAnswer):
        await presence.ask(order, lambda: False)
    assert requests.asked == [order]
