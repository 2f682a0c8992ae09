"""Requests without an answer: when they are written, written again, and how each of them ends."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import msgspec
import pytest

from tests.support.waiting import within
from tieline.client import Closed, ErrorEvent, NoReply, Refused
from tieline.client.messages import Reply
from tieline.client.pending import RESEND_WINDOW_S, PendingRequest, PendingRequests
from tieline.client.stats import Stats


class RecordingWriter:
    """A connection that keeps what is written in `written`; after `breaks_after` frames it is closed."""

    def __init__(self, breaks_after: int = 1000) -> None:
        self.written: asyncio.Queue[bytes] = asyncio.Queue()
        self._left = breaks_after

    async def send(self, frame: bytes) -> None:
        if not self._left:
            raise Closed(1006, "")
        self._left -= 1
        self.written.put_nowait(frame)

    async def next(self, count: int) -> list[str]:
        return [(await within(self.written.get())).decode() for _ in range(count)]


class Requests:
    """Pending requests that are sent by id, and how each ended."""

    def __init__(self, timeout_s: float = 10) -> None:
        self.stats = Stats()
        self.pending = PendingRequests(timeout_s, self.stats)
        self.ended: list[tuple[str, object]] = []
        self._changed = asyncio.Event()

    def send(self, *ids: str, wants_reply: bool = True) -> list[PendingRequest]:
        sent = [self._request(request_id, wants_reply) for request_id in ids]
        for request in sent:
            self.pending.send(request)
        return sent

    def _request(self, request_id: str, wants_reply: bool) -> PendingRequest:
        def end(answer: object) -> None:
            self.ended.append((request_id, answer))
            self._changed.set()

        frame = request_id.encode()
        return PendingRequest(request_id, "PING", frame, wants_reply=wants_reply, on_answer=end)

    def answer(self, *ids: str) -> None:
        for request_id in ids:
            self.pending.answer(pong(request_id))

    async def all_ended(self, count: int) -> list[tuple[str, type]]:
        """Wait until so many have ended."""
        async with asyncio.timeout(20):
            while len(self.ended) < count:
                self._changed.clear()
                await self._changed.wait()
        return [(request_id, type(answer)) for request_id, answer in self.ended]


def pong(request_id: str) -> Reply:
    return Reply(cmd="PONG", request_id=request_id, data=msgspec.Raw(b"null"))


def refusal(request_id: str) -> ErrorEvent:
    return ErrorEvent(1000, "no", "ROOM_FULL", "JOIN", request_id)


@asynccontextmanager
async def writing(pending: PendingRequests, writer: RecordingWriter) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(pending.write_to(writer))
        yield
        task.cancel()


@pytest.fixture
async def requests() -> Requests:
    return Requests()


async def test_requests_wait_for_a_connection_and_leave_in_order(requests: Requests) -> None:
    writer = RecordingWriter()
    requests.send("a", "b")
    assert requests.pending.connected() == 0
    requests.send("c")
    async with writing(requests.pending, writer):
        assert await writer.next(3) == ["a", "b", "c"]
        requests.answer("c", "a", "c", "unknown")
    assert requests.ended == [("c", pong("c")), ("a", pong("a"))]


async def test_over_the_next_connection_open_requests_leave_first(requests: Requests) -> None:
    broken, whole = RecordingWriter(breaks_after=2), RecordingWriter()
    requests.send("a", "b", "c")
    requests.pending.connected()
    async with writing(requests.pending, broken):
        await broken.next(2)
    requests.answer("a")
    requests.pending.disconnected()
    requests.send("d")
    # "c" too: it is unknown whether the connection broke before it or after.
    assert requests.pending.connected() == 2
    requests.send("e")
    async with writing(requests.pending, whole):
        assert await whole.next(4) == ["b", "c", "d", "e"]
    assert requests.stats.resent == 2


async def test_a_request_answered_before_its_turn_is_not_written(requests: Requests) -> None:
    writer = RecordingWriter()
    requests.send("a", "b")
    requests.pending.connected()
    requests.answer("a")
    async with writing(requests.pending, writer):
        assert await writer.next(1) == ["b"]


async def test_a_request_that_is_too_old_is_not_sent_again(requests: Requests) -> None:
    writer, now = RecordingWriter(), asyncio.get_running_loop().time()
    for request, age_s in zip(requests.send("old", "older", "young"), (55.5, 500, 54), strict=True):
        request.first_sent_at = now - age_s
    assert requests.pending.connected() == 1
    async with writing(requests.pending, writer):
        assert await writer.next(1) == ["young"]
    assert await requests.all_ended(2) == [("old", NoReply), ("older", NoReply)]


async def test_no_reply_is_only_said_over_a_connection() -> None:
    timeout_s = 0.05
    disconnected, control = Requests(timeout_s), Requests(timeout_s)
    for requests in (disconnected, control):
        requests.send("a")
        requests.pending.connected()
    disconnected.pending.disconnected()
    # The control's timer began later than the other's, so when it is over the other's would be too.
    assert await control.all_ended(1) == [("a", NoReply)]
    assert disconnected.ended == []
    disconnected.pending.connected()
    assert await disconnected.all_ended(1) == [("a", NoReply)]


async def test_a_request_without_reply_ends_once_it_is_written(requests: Requests) -> None:
    writer = RecordingWriter()
    requests.send("a", "b", wants_reply=False)
    requests.answer("a")
    assert not requests.pending.refuse(refusal("a"))
    assert requests.ended == []
    requests.pending.connected()
    async with writing(requests.pending, writer):
        assert await writer.next(2) == ["a", "b"]
    assert requests.ended == [("a", None), ("b", None)]
    assert requests.pending.connected() == 0


async def test_a_request_without_reply_outlives_a_break(requests: Requests) -> None:
    broken, whole = RecordingWriter(breaks_after=0), RecordingWriter()
    requests.send("a", wants_reply=False)
    requests.pending.connected()
    await within(requests.pending.write_to(broken))
    assert requests.ended == []
    assert requests.pending.connected() == 1
    async with writing(requests.pending, whole):
        assert await whole.next(1) == ["a"]
    assert requests.ended == [("a", None)]


async def test_a_refusal_ends_one_request_once(requests: Requests) -> None:
    requests.send("a", "b")
    assert requests.pending.refuse(refusal("b"))
    assert not requests.pending.refuse(refusal("b"))
    assert await requests.all_ended(1) == [("b", Refused)]


async def test_each_request_fails_with_an_exception_of_its_own(requests: Requests) -> None:
    requests.send("a", "b")
    requests.pending.fail_all(lambda request: Closed(1006, request.request_id))
    requests.pending.fail_all(lambda request: Closed(1006, request.request_id))
    assert [(request_id, str(why)) for request_id, why in requests.ended] == [
        (request_id, f"connection closed: 1006 {request_id}") for request_id in "ab"
    ]


async def test_a_refused_request_may_be_asked_again(requests: Requests) -> None:
    request, writer = PendingRequest("a", "PING", b"a"), RecordingWriter()
    requests.pending.connected()
    async with writing(requests.pending, writer), asyncio.TaskGroup() as tasks:
        first = tasks.create_task(refused(requests.pending.ask(request)))
        await writer.next(1)
        requests.pending.refuse(refusal("a"))
        await within(first)
        second = tasks.create_task(requests.pending.ask(request))
        assert await writer.next(1) == ["a"]
        requests.answer("a")
        assert await within(second) == pong("a")
    assert requests.stats.resent == 1


async def test_an_answer_for_a_cancelled_caller_changes_nothing(requests: Requests) -> None:
    writer = RecordingWriter()
    requests.pending.connected()
    async with writing(requests.pending, writer), asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(requests.pending.ask(PendingRequest("a", "PING", b"a")))
        await writer.next(1)
        asking.cancel()
        requests.answer("a")
    assert asking.cancelled()


async def test_every_request_has_an_id_of_its_own() -> None:
    ids = [Requests().pending.next_id() for _ in range(100)]
    one = Requests().pending
    ids += [one.next_id() for _ in range(100)]
    assert len(set(ids)) == 200


async def refused(asking: Awaitable[object]) -> None:
    with pytest.raises(Refused):
        await asking


def test_resending_stops_before_the_server_forgets() -> None:
    assert RESEND_WINDOW_S < 60
