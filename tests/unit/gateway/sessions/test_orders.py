"""What the backend wants of sessions that are here."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest
import pytest_asyncio

from gateway.client.actions import RoomListing
from gateway.client.session import Session
from gateway.rooms.memberships import Answer, Ask
from gateway.sessions.orders import Orders
from tests.support.waiting import until
from tests.unit.gateway.client.harness import Harness
from tests.unit.gateway.sessions.scene import SUBJECTS, Scene
from tieline.runtime.message import Message
from tieline.wire.ids import RoomId, SessionId, UserId
from tieline.wire.internal import codec
from tieline.wire.internal.answers import Refused, SessionGone
from tieline.wire.internal.backend import JoinOrder
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.internal.rooms import RoomJoined, RoomMembers
from tieline.wire.replies import Member, RosterPage

HALL, CELLAR, ALICE = RoomId("hall"), RoomId("cellar"), UserId("alice")
ASKER = "t.presence.p-1.reply.7"
LISTING = RoomListing(RosterPage(HALL, msgspec.Raw(b"[]")), 7, 0, 1)


class FakeMemberships:
    """Puts nobody anywhere, and says what came of it."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        """In their order; the last one again and again."""
        self.asked: list[RoomId] = []

    async def put_in(self, _session: Session, wanted: JoinOrder, _asks: Ask) -> Answer:
        self.asked.append(wanted.room)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class FakeNotices:
    """Where clients are told."""

    def __init__(self) -> None:
        self.sent: list[dict[str, object]] = []
        self.is_wanted: Callable[[], bool] = lambda: False

    def send(self, _session: Session, event: bytes, is_wanted: Callable[[], bool] = lambda: False) -> None:
        self.sent.append(json.loads(event))
        self.is_wanted = is_wanted


async def nobody(_session: Session, _request: object) -> PresenceReply | None:
    raise AssertionError("nothing is asked here")


class Ordered:
    """Alice is here, and what is ordered for her."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self.scene = Scene(tasks)
        self.alice = self.scene.here("alice")
        self.memberships = FakeMemberships(LISTING)
        self.notices = FakeNotices()
        self.orders = Orders(
            subjects=SUBJECTS,
            broker=self.scene.sender,
            connections=self.scene.connections,
            memberships=self.memberships,
            asks=nobody,
            notices=self.notices,
            tasks=tasks,
            retry_s=0.0,
        )

    @property
    def session(self) -> Session:
        return session_of(self.alice)

    async def join(self, user: UserId = ALICE, session: str = "s-alice", asker: str = ASKER) -> None:
        order = codec.encode(JoinOrder(user, HALL, SessionId(session)))
        self.orders.on_join(Message("t.gateway.g-1.join", asker, order, b""))
        for _ in range(5):
            await asyncio.sleep(0)

    @property
    def answers(self) -> list[PresenceReply]:
        assert {subject for subject, _ in self.scene.sender.sent} <= {ASKER}
        return [codec.decode_presence_reply(payload) for _, payload in self.scene.sender.sent]


def session_of(harness: Harness) -> Session:
    assert harness.connection.session is not None
    return harness.connection.session


@pytest_asyncio.fixture
async def ordered() -> AsyncIterator[Ordered]:
    async with asyncio.TaskGroup() as tasks:
        yield Ordered(tasks)


async def test_a_session_is_in_a_room_and_its_client_told(ordered: Ordered) -> None:
    await ordered.join()
    assert ordered.session.rooms == {HALL: 7}
    (event,) = ordered.notices.sent
    assert (event["cmd"], event["data"]) == ("MEMBER_JOINED", {"room": "hall", "userId": "alice"})
    assert ordered.answers == [RoomJoined(0)]


async def test_who_is_there_already_is_told_nothing(ordered: Ordered) -> None:
    ordered.memberships.answers = [LISTING, RoomJoined(0)]
    await ordered.join()
    await ordered.join()
    assert len(ordered.notices.sent) == 1
    assert ordered.answers == [RoomJoined(0)] * 2


async def test_it_is_told_until_it_is_gone_or_put_out(ordered: Ordered) -> None:
    await ordered.join()
    assert ordered.notices.is_wanted()
    ordered.session.rooms.clear()
    assert not ordered.notices.is_wanted()
    await ordered.join()
    assert ordered.notices.is_wanted()
    ordered.scene.connections.remove(ordered.session)
    assert not ordered.notices.is_wanted()


async def test_who_takes_lists_is_told_by_one(ordered: Ordered) -> None:
    ordered.session.batches = True
    await ordered.join()
    assert ordered.notices.sent == []
    assert ordered.answers == [RoomJoined(0)]


@pytest.mark.parametrize("members", [(Member(ALICE, "online", True, 7),), ()])
async def test_an_older_presence_lists_the_members(ordered: Ordered, members: tuple[Member, ...]) -> None:
    ordered.memberships.answers = [RoomMembers(members)]
    await ordered.join()
    assert ordered.session.rooms == {HALL: 7 if members else 0}


@pytest.mark.parametrize("reply", [Refused("ROOM_FULL"), SessionGone(replaced=True)])
async def test_what_presence_refuses_it_is_told(ordered: Ordered, reply: Refused | SessionGone) -> None:
    ordered.memberships.answers = [reply]
    await ordered.join()
    assert ordered.session.rooms == {}
    assert ordered.answers == [reply]


async def test_what_is_not_known_is_tried_until_it_is(ordered: Ordered) -> None:
    ordered.memberships.answers = [None, None, None, None, LISTING]
    await ordered.join()
    await until(lambda: bool(ordered.notices.sent))
    assert ordered.session.rooms == {HALL: 7}
    assert ordered.answers == [], "presence waits for it no more"


async def test_nobody_tries_for_who_is_gone(ordered: Ordered) -> None:
    ordered.memberships.answers = [None]
    await ordered.join()
    ordered.scene.connections.remove(ordered.session)  # else the tests' tasks would not end


async def test_rooms_that_presence_speaks_of_are_taken_up(ordered: Ordered) -> None:
    ordered.orders.take_up(ordered.session, [HALL, CELLAR])
    await until(lambda: len(ordered.notices.sent) == 2)
    assert ordered.session.rooms == {HALL: 7, CELLAR: 7}
    assert ordered.answers == []


@pytest.mark.parametrize(("user", "session"), [("alice", "s-other"), ("bob", "s-alice")])
async def test_of_another_session_it_is_said_that_it_is_gone(
    ordered: Ordered, user: str, session: str
) -> None:
    await ordered.join(UserId(user), session)
    assert ordered.answers == [SessionGone(replaced=False)]


@pytest.mark.parametrize("asker", ["", "t.user.bob.s-1", "t.gateway.g-2.reply.7"])
async def test_nobody_but_presence_may_order(ordered: Ordered, asker: str) -> None:
    await ordered.join(asker=asker)
    assert ordered.session.rooms == {}
    assert ordered.scene.sender.sent == []


async def test_what_cannot_be_read_is_no_order(ordered: Ordered) -> None:
    ordered.orders.on_join(Message("t.gateway.g-1.join", ASKER, b"?", b""))
    assert ordered.scene.sender.sent == []


async def test_without_a_broker_it_cannot_answer(ordered: Ordered, caplog: pytest.LogCaptureFixture) -> None:
    ordered.scene.sender.is_away = True
    await ordered.join()
    assert [record.message for record in caplog.records] == [
        "could not say what came of an order: broker away"
    ]
