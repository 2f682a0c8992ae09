"""Pages that no caller waits for: each is asked for behind the one before it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.waiting import within
from tests.unit.client.minimal_gateway import Frame
from tests.unit.client.resuming_gateways import FixedJitter
from tieline.client import SessionLost, Stats, messages
from tieline.client.events import ErrorEvent
from tieline.client.listings import Listings
from tieline.client.messages import Reply
from tieline.client.pending import PendingRequests
from tieline.client.rosters import Listing
from tieline.wire import replies
from tieline.wire.codes import ErrorCode
from tieline.wire.ids import RoomId, UserId
from tieline.wire.replies import Member, Roster

A = RoomId("a")


def page(*users: str, more: str = "") -> Roster:
    members = tuple(Member(UserId(user), "online", voice=True, joined_at=1) for user in users)
    return Roster(A, members, 5, next=more)


class Harness:
    """A list that is fetched, and the connection on which its pages are asked for."""

    def __init__(self, timeout_s: float = 10) -> None:
        self.listing = Listing(A)
        self.jitter = FixedJitter()
        self.pending = PendingRequests(timeout_s, Stats())
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """"" when the list is whole, else why it will not be."""
        self._asked: asyncio.Queue[Frame] = asyncio.Queue()

    async def send(self, frame: bytes) -> None:
        self._asked.put_nowait(json.loads(frame))

    @asynccontextmanager
    async def fetching(self, first: Roster) -> AsyncIterator[None]:
        """Fetch what is behind a first page while the block runs."""
        self.pending.connected()
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(self.pending.write_to(self))
            listings = Listings(self.pending, self.jitter)
            listings.fetch(self.listing, first, lambda: self.ended.set_result(""), self.ended.set_result)
            yield
            writing.cancel()

    async def asked(self) -> Frame:
        """Wait for the next page to be asked for."""
        return await within(self._asked.get())

    def answer(self, asked: Frame, data: object) -> None:
        message = messages.decode(replies.success(asked["requestId"], "MEMBERS", data))
        assert isinstance(message, Reply)
        self.pending.answer(message)

    def refuse(self, asked: Frame, why: ErrorCode) -> None:
        message = messages.decode(replies.error(asked["requestId"], "MEMBERS", why))
        assert isinstance(message, ErrorEvent)
        self.pending.refuse(message)

    def users(self) -> list[str]:
        return [member.user_id for member in self.listing.roster().members]


async def test_a_list_of_one_page_is_whole() -> None:
    harness = Harness()
    async with harness.fetching(page("ann")):
        assert await within(harness.ended) == ""
    assert harness.users() == ["ann"]


async def test_each_page_is_asked_for_behind_the_one_before() -> None:
    harness = Harness()
    async with harness.fetching(page("ann", more="x")):
        second = await harness.asked()
        assert (second["cmd"], second["data"]) == ("MEMBERS", {"room": "a", "after": "x"})
        harness.answer(second, page("bob", more="y"))
        third = await harness.asked()
        assert third["data"] == {"room": "a", "after": "y"}
        assert not harness.ended.done()
        harness.answer(third, page("cat"))
        assert await within(harness.ended) == ""
    assert harness.users() == ["ann", "bob", "cat"]


async def test_a_page_that_fails_for_now_is_asked_for_again() -> None:
    harness = Harness()
    async with harness.fetching(page("ann", more="x")):
        for why in (ErrorCode.INTERNAL, ErrorCode.RATE_LIMITED):
            harness.refuse(await harness.asked(), why)
        again = await harness.asked()
        assert again["data"] == {"room": "a", "after": "x"}
        harness.answer(again, page("bob"))
        assert await within(harness.ended) == ""


async def test_a_page_without_an_answer_is_asked_for_again() -> None:
    harness = Harness(timeout_s=0.01)
    async with harness.fetching(page("ann", more="x")):
        first, again = await harness.asked(), await harness.asked()
        assert first["requestId"] != again["requestId"]
        assert first["data"] == again["data"]
    assert not harness.ended.done()


async def test_a_refusal_that_stays_ends_the_list() -> None:
    harness = Harness()
    async with harness.fetching(page("ann", more="x")):
        harness.refuse(await harness.asked(), ErrorCode.NOT_IN_SAME_ROOM)
        assert await within(harness.ended) == "NOT_IN_SAME_ROOM"


async def test_a_page_that_cannot_be_read_ends_the_list() -> None:
    harness = Harness()
    async with harness.fetching(page("ann", more="x")):
        harness.answer(await harness.asked(), {"hall": 7})
        assert await within(harness.ended) == "UNREADABLE"


async def test_with_the_session_the_list_ends_without_a_word() -> None:
    harness = Harness()
    async with harness.fetching(page("ann", more="x")):
        await harness.asked()
        harness.pending.fail_all(lambda request: SessionLost(request.cmd, request.request_id))
    assert not harness.ended.done()


async def test_of_a_room_that_was_left_no_page_is_asked_for() -> None:
    harness = Harness()
    harness.listing.is_void = True
    async with harness.fetching(page("ann", more="x")):
        await harness.send(b'{"cmd":"nothing before"}')
        assert await harness.asked() == {"cmd": "nothing before"}
    assert not harness.ended.done()
