"""Publishing to users of a real broker, with and without the mailbox's word."""

import asyncio

import pytest
from nats.js.api import StreamConfig

from presence.mailbox import make_mailbox
from router.parcels import Carried, Outcome, Parcel, parcels_of
from router.relay import Relaying
from tests.broker.runtime.watching import PATIENCE_S, Inbox, happens, watch
from tests.support.full_broker import make_room
from tests.support.nats_server import NatsServer
from tests.support.waiting import until
from tests.unit.wire.samples import HOSTILE_IDS
from tieline.runtime.broker import Broker
from tieline.runtime.requests import NoAnswer, Requests
from tieline.wire.ids import SessionId, UserId
from tieline.wire.internal.signals import Delivery, Relay
from tieline.wire.subjects import Subjects

SUBJECTS = Subjects("t")
ALICE, BOB = UserId("alice"), UserId("bob")
HERS, HIS = SessionId("hers"), SessionId("his")

TOO_BIG = b"x" * 2000
"""More than the mailbox of these tests takes."""


def parcels(deliveries: tuple[Delivery, ...], own: bytes) -> tuple[Parcel, ...]:
    """What a verdict delivers."""
    return parcels_of(Relay("relayed", deliveries), own)


class Harness:
    """A broker, what is relayed over it, and what arrives."""

    def __init__(self, broker: Broker, requests: Requests) -> None:
        self.broker = broker
        self.requests = requests
        self.relaying = Relaying(broker, requests, SUBJECTS)
        self.arrived = Inbox()

    async def arrivals(self, count: int) -> list[tuple[str, bytes]]:
        """Return what arrived for whom, so much of it and nothing more."""
        await self.broker.flush()
        messages = [await self.arrived.next() for _ in range(count)]
        assert self.arrived.is_empty()
        return [(message.subject, message.data) for message in messages]

    async def kept(self) -> list[tuple[str, bytes]]:
        """Return what the mailbox has, in order."""
        jetstream = self.broker.client.jetstream()
        state = (await jetstream.stream_info(SUBJECTS.mailbox())).state
        messages = [
            await jetstream.get_msg(SUBJECTS.mailbox(), number)
            for number in range(state.first_seq, state.last_seq + 1)
        ]
        return [(message.subject or "", message.data or b"") for message in messages]

    async def is_stored(self, user: UserId, session: SessionId, frame: bytes) -> bool:
        """Store a frame, and return what was said of it."""
        said: asyncio.Queue[Outcome] = asyncio.Queue()
        self.relaying.store(user, session, frame, said.put_nowait)
        async with asyncio.timeout(PATIENCE_S):
            return await said.get() is Outcome.STORED

    async def published(self, *frames: bytes) -> list[Outcome]:
        """Publish frames to Bob in one turn, and return what became of each."""
        said: list[Outcome] = []
        for frame in frames:
            self.relaying.publish(BOB, HIS, frame, said.append)
        await until(lambda: len(said) == len(frames))
        return said


@pytest.fixture
async def without_mailbox(broker: Broker) -> Harness:
    """A broker without a mailbox."""
    requests = Requests(broker, SUBJECTS.replies("router", "1"))
    await requests.start()
    harness = Harness(broker, requests)
    await broker.subscribe(SUBJECTS.users(), harness.arrived.put)
    await broker.flush()
    return harness


@pytest.fixture
async def harness(without_mailbox: Harness) -> Harness:
    """A broker with a mailbox as presence makes it."""
    await make_mailbox(without_mailbox.broker, SUBJECTS, "memory", 1, 30)
    return without_mailbox


@pytest.fixture
async def small_mailbox(without_mailbox: Harness) -> Harness:
    """A broker whose mailbox refuses what is too big."""
    await without_mailbox.broker.client.jetstream().add_stream(
        StreamConfig(SUBJECTS.mailbox(), subjects=[SUBJECTS.users()], max_msg_size=1000)
    )
    return without_mailbox


# One frame.


async def test_a_frame_reaches_listeners_and_mailbox_byte_for_byte(harness: Harness) -> None:
    frame, subject = bytes(range(256)), SUBJECTS.user(BOB, HIS)

    assert await harness.published(frame) == [Outcome.STORED]

    assert await harness.arrivals(1) == [(subject, frame)]
    assert await harness.is_stored(BOB, HIS, b"another")
    assert await harness.kept() == [(subject, frame), (subject, b"another")]


async def test_a_frame_reaches_a_user_of_any_name(harness: Harness) -> None:
    for name in HOSTILE_IDS:
        assert await harness.is_stored(UserId(name), HIS, b"frame")

    expected = [(SUBJECTS.user(UserId(name), HIS), b"frame") for name in HOSTILE_IDS]
    assert await harness.arrivals(len(HOSTILE_IDS)) == expected
    assert await harness.kept() == expected


async def test_a_frame_relayed_again_is_in_the_mailbox_once(harness: Harness) -> None:
    await harness.published(b"frame")
    for _ in range(2):
        assert await harness.is_stored(BOB, HIS, b"frame")

    assert await harness.arrivals(3) == [(SUBJECTS.user(BOB, HIS), b"frame")] * 3
    assert await harness.kept() == [(SUBJECTS.user(BOB, HIS), b"frame")]


async def test_a_frame_the_mailbox_refuses_is_not_stored(small_mailbox: Harness) -> None:
    assert await small_mailbox.is_stored(BOB, HIS, b"frame")
    assert not await small_mailbox.is_stored(BOB, HIS, TOO_BIG)


# What a verdict says.


@pytest.mark.parametrize("stored", [True, False])
async def test_frames_are_published_in_order_and_none_is_the_signal_s(harness: Harness, stored: bool) -> None:
    deliveries = (
        Delivery(BOB, HIS, b"released before"),
        Delivery(BOB, HIS, None),
        Delivery(ALICE, HERS, b"released by it"),
    )

    await harness.relaying.carry(parcels(deliveries, own=b"own"), stored=stored)

    assert await harness.arrivals(3) == [
        (SUBJECTS.user(BOB, HIS), b"released before"),
        (SUBJECTS.user(BOB, HIS), b"own"),
        (SUBJECTS.user(ALICE, HERS), b"released by it"),
    ]


async def test_what_is_carried_with_the_mailbox_s_word_is_in_it(harness: Harness) -> None:
    deliveries = tuple(Delivery(BOB, HIS, b"%d" % number) for number in range(200))

    await harness.relaying.carry(parcels(deliveries, own=b""), stored=True)

    assert await harness.kept() == [(SUBJECTS.user(BOB, HIS), b"%d" % number) for number in range(200)]


@pytest.mark.parametrize("stored", [True, False])
async def test_a_verdict_that_delivers_nothing_publishes_nothing(harness: Harness, stored: bool) -> None:
    await harness.relaying.carry((), stored=stored)

    assert await harness.arrivals(0) == []


async def test_a_frame_does_not_overtake_one_that_is_not_stored(small_mailbox: Harness) -> None:
    deliveries = (Delivery(BOB, HIS, b"fine"), Delivery(BOB, HIS, TOO_BIG), Delivery(BOB, HIS, b"fine too"))

    carried = await small_mailbox.relaying.carry(parcels(deliveries, own=b""), stored=True)
    assert carried == Carried(1, Outcome.UNKNOWN, (0,))

    assert [frame for _, frame in await small_mailbox.kept()] == [b"fine"]


@pytest.mark.parametrize("stored", [True, False])
async def test_without_a_broker_nothing_is_published_and_that_is_said(
    harness: Harness, pip_nats: NatsServer, stored: bool
) -> None:
    away, _ = watch(harness.broker)
    pip_nats.kill()
    await happens(away)

    carried = await harness.relaying.carry(parcels((Delivery(BOB, HIS, None),), own=b"own"), stored=stored)
    assert carried == Carried(0, Outcome.UNKNOWN, ())


# A broker without room.


@pytest.fixture
async def full(full_broker: Broker) -> Harness:
    """A broker that has no room for another message; `make_room` gives it some."""
    requests = Requests(full_broker, SUBJECTS.replies("router", "1"))
    await requests.start()
    return Harness(full_broker, requests)


@pytest.mark.parametrize("stored", [True, False])
async def test_a_mailbox_without_room_is_told_at_once(
    full: Harness, stored: bool, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3):
        of_bob = parcels((Delivery(BOB, HIS, None),), own=b"%d" % number)
        assert (await full.relaying.carry(of_bob, stored=stored)).outcome is Outcome.NO_ROOM
    assert not await full.relaying.has_room()
    assert caplog.messages == ["the mailbox has no room"]


async def test_what_is_published_while_one_is_asked_about_shares_its_answer(full: Harness) -> None:
    assert await full.published(b"1", b"2", b"3") == [Outcome.NO_ROOM] * 3
    assert await full.published(b"4", b"5") == [Outcome.NO_ROOM] * 2


async def test_of_many_frames_without_acks_few_are_awaited(harness: Harness) -> None:
    harness.relaying = Relaying(harness.broker, harness.requests, SUBJECTS, ask_every_s=1000)
    assert await harness.published(b"first") == [Outcome.STORED]
    said: list[Outcome] = []
    for number in range(3):
        harness.relaying.publish(BOB, HIS, b"%d" % number, said.append)

    assert said == [Outcome.STORED] * 3  # and nothing is waited for

    assert await harness.relaying.was_stored(BOB, b"2")  # asked behind them, and stored nowhere
    assert [frame for _, frame in await harness.kept()] == [b"first", b"0", b"1", b"2"]


async def test_a_frame_is_published_at_once_unless_the_mailbox_is_asked(harness: Harness) -> None:
    harness.relaying = relaying = Relaying(harness.broker, harness.requests, SUBJECTS, ask_every_s=1000)
    said: list[Outcome] = []
    assert not relaying.publish_at_once(BOB, HIS, b"first")

    relaying.publish(BOB, HIS, b"first", said.append)
    assert not relaying.publish_at_once(BOB, HIS, b"second")
    await until(said.copy)
    assert relaying.publish_at_once(BOB, HIS, b"second")

    await harness.broker.flush()
    assert [frame for _, frame in await harness.kept()] == [b"first", b"second"]


async def test_nothing_is_published_at_once_where_there_was_no_room(full: Harness) -> None:
    assert await full.published(b"1") == [Outcome.NO_ROOM]

    assert not full.relaying.publish_at_once(BOB, HIS, b"2")


async def test_a_router_that_finds_no_room_by_itself_asks_about_every_frame(full: Harness) -> None:
    assert not await full.relaying.has_room()
    await make_room(full.broker)

    for frame in (b"1", b"2"):
        said: list[Outcome] = []
        full.relaying.publish(BOB, HIS, frame, said.append)
        assert said == []
        await until(said.copy)
        assert said == [Outcome.STORED]


async def test_with_room_again_frames_are_stored(full: Harness) -> None:
    assert await full.published(b"1") == [Outcome.NO_ROOM]

    await make_room(full.broker)

    assert await full.published(b"2", b"3") == [Outcome.STORED] * 2
    assert await full.relaying.has_room()


async def test_without_a_mailbox_there_is_no_room(without_mailbox: Harness) -> None:
    assert not await without_mailbox.relaying.has_room()


# What the mailbox remembers.


async def test_the_mailbox_knows_what_it_was_given_however_it_was_given(harness: Harness) -> None:
    await harness.published(b"sent")
    await harness.relaying.carry(parcels((Delivery(BOB, HIS, None),), own=b"stored"), stored=True)

    for frame in (b"sent", b"stored"):
        for _ in range(2):
            assert await harness.relaying.was_stored(BOB, frame)
    assert not await harness.relaying.was_stored(BOB, b"sent ")
    assert not await harness.relaying.was_stored(ALICE, b"sent")


async def test_a_question_gives_mailbox_and_listeners_nothing(harness: Harness) -> None:
    for _ in range(3):
        assert not await harness.relaying.was_stored(BOB, b"frame")

    assert await harness.kept() == []
    assert await harness.arrivals(0) == []


async def test_a_frame_can_be_stored_after_a_question_about_it(harness: Harness) -> None:
    assert not await harness.relaying.was_stored(BOB, b"frame")

    assert await harness.is_stored(BOB, HIS, b"frame")

    assert await harness.kept() == [(SUBJECTS.user(BOB, HIS), b"frame")]
    assert await harness.relaying.was_stored(BOB, b"frame")


async def test_without_a_mailbox_a_question_has_no_answer(without_mailbox: Harness) -> None:
    with pytest.raises(NoAnswer):
        await without_mailbox.relaying.was_stored(BOB, b"frame")
