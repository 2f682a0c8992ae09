import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import msgspec
import pytest

from tests.unit.client.small_gateway import within
from tieline.client import Closed, ErrorEvent, NoReply, Refused
from tieline.client.messages import Reply
from tieline.client.pending import RESEND_WINDOW_S, Letter, Letters
from tieline.client.stats import Stats


class Wire:
    """What is written stands in `written`; after `breaks_after` of them nothing can be."""

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


class Desk:
    """Letters, posted by name, and what became of them."""

    def __init__(self, timeout_s: float = 10) -> None:
        self.stats = Stats()
        self.letters = Letters(timeout_s, self.stats)
        self.ended: list[tuple[str, object]] = []

    def post(self, *names: str, wants_reply: bool = True) -> list[Letter]:
        posted = [self._letter(name, wants_reply) for name in names]
        for letter in posted:
            self.letters.post(letter)
        return posted

    def _letter(self, name: str, wants_reply: bool) -> Letter:
        def end(answer: object) -> None:
            self.ended.append((name, answer))

        return Letter(name, "PING", name.encode(), wants_reply=wants_reply, on_answer=end)

    def answer(self, *names: str) -> None:
        for name in names:
            self.letters.answer(pong(name))


def pong(name: str) -> Reply:
    return Reply(cmd="PONG", request_id=name, data=msgspec.Raw(b"null"))


def refusal(name: str) -> ErrorEvent:
    return ErrorEvent(1000, "no", "ROOM_FULL", "JOIN", name)


@asynccontextmanager
async def writing(letters: Letters, wire: Wire) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(letters.write_to(wire))
        yield
        task.cancel()


@pytest.fixture
async def desk() -> Desk:
    return Desk()


async def test_letters_wait_for_a_wire_and_leave_in_order(desk: Desk) -> None:
    wire = Wire()
    desk.post("a", "b")
    assert desk.letters.connect() == 0
    desk.post("c")
    async with writing(desk.letters, wire):
        assert await wire.next(3) == ["a", "b", "c"]
        desk.answer("c", "a", "c", "unknown")
    assert desk.ended == [("c", pong("c")), ("a", pong("a"))]


async def test_over_the_next_wire_what_is_open_leaves_first(desk: Desk) -> None:
    broken, whole = Wire(breaks_after=2), Wire()
    desk.post("a", "b", "c")
    desk.letters.connect()
    async with writing(desk.letters, broken):
        await broken.next(2)
    desk.answer("a")
    desk.letters.disconnect()
    desk.post("d")
    assert desk.letters.connect() == 2  # nobody knows whether the wire broke before "c" or after it
    desk.post("e")
    async with writing(desk.letters, whole):
        assert await whole.next(4) == ["b", "c", "d", "e"]
    assert desk.stats.resent == 2


async def test_what_is_answered_before_its_turn_is_not_written(desk: Desk) -> None:
    wire = Wire()
    desk.post("a", "b")
    desk.letters.connect()
    desk.answer("a")
    async with writing(desk.letters, wire):
        assert await wire.next(1) == ["b"]


async def test_a_letter_that_is_too_old_is_not_sent_again(desk: Desk) -> None:
    wire, now = Wire(), asyncio.get_running_loop().time()
    for letter, age_s in zip(desk.post("old", "older", "young"), (55.5, 500, 54), strict=True):
        letter.first_sent_at = now - age_s
    assert desk.letters.connect() == 1
    async with writing(desk.letters, wire):
        assert await wire.next(1) == ["young"]
    assert [(name, type(why)) for name, why in desk.ended] == [("old", NoReply), ("older", NoReply)]


async def test_no_reply_is_only_said_of_a_connection_that_stands() -> None:
    timeout_s = 0.05
    desk = Desk(timeout_s)
    desk.post("a")
    desk.letters.connect()
    desk.letters.disconnect()
    await asyncio.sleep(3 * timeout_s)
    assert desk.ended == []
    desk.letters.connect()
    await asyncio.sleep(3 * timeout_s)
    assert [(name, type(why)) for name, why in desk.ended] == [("a", NoReply)]


async def test_a_letter_that_wants_no_reply_ends_when_it_is_written_and_no_earlier(desk: Desk) -> None:
    wire = Wire()
    desk.post("a", "b", wants_reply=False)
    desk.answer("a")
    assert not desk.letters.refuse(refusal("a"))
    assert desk.ended == []
    desk.letters.connect()
    async with writing(desk.letters, wire):
        assert await wire.next(2) == ["a", "b"]
    assert desk.ended == [("a", None), ("b", None)]
    assert desk.letters.connect() == 0


async def test_a_refusal_is_of_one_letter(desk: Desk) -> None:
    desk.post("a", "b")
    assert desk.letters.refuse(refusal("b"))
    assert not desk.letters.refuse(refusal("b"))
    assert [(name, type(why)) for name, why in desk.ended] == [("b", Refused)]


async def test_each_letter_is_given_up_with_an_exception_of_its_own(desk: Desk) -> None:
    desk.post("a", "b")
    desk.letters.give_up(lambda letter: Closed(1006, letter.request_id))
    desk.letters.give_up(lambda letter: Closed(1006, letter.request_id))
    assert [(name, str(why)) for name, why in desk.ended] == [
        (name, f"connection closed: 1006 {name}") for name in "ab"
    ]


async def test_a_letter_may_be_delivered_once_more(desk: Desk) -> None:
    letter, wire = Letter("a", "PING", b"a"), Wire()
    desk.letters.connect()
    async with writing(desk.letters, wire), asyncio.TaskGroup() as tasks:
        first = tasks.create_task(refused(desk.letters.deliver(letter)))
        await wire.next(1)
        desk.letters.refuse(refusal("a"))
        await within(first)
        second = tasks.create_task(desk.letters.deliver(letter))
        assert await wire.next(1) == ["a"]
        desk.answer("a")
        assert await within(second) == pong("a")
    assert desk.stats.resent == 1


async def test_an_answer_for_somebody_who_just_left_changes_nothing(desk: Desk) -> None:
    wire = Wire()
    desk.letters.connect()
    async with writing(desk.letters, wire), asyncio.TaskGroup() as tasks:
        delivering = tasks.create_task(desk.letters.deliver(Letter("a", "PING", b"a")))
        await wire.next(1)
        delivering.cancel()
        desk.answer("a")
    assert delivering.cancelled()


async def refused(delivering: Awaitable[object]) -> None:
    with pytest.raises(Refused):
        await delivering


def test_resending_stops_before_the_server_forgets() -> None:
    assert RESEND_WINDOW_S < 60
