"""Several frames in one round: stored in their order, and none behind one that is not.

On one node each follows the one before it; on three all are stored together.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from presence.mailbox import make_mailbox
from presence.store import StoreUnavailable
from router import in_order
from router.in_order import AT_ONCE, InOrder
from router.parcels import Carried, Done, Outcome, Parcel
from router.relay import NotStored, Relaying
from tests.broker.runtime.watching import Inbox, happens, watch
from tests.support.cluster import Cluster
from tests.support.nats_server import NatsServer
from tests.support.waiting import until_true
from tieline.runtime.broker import Broker, connect
from tieline.runtime.message import Message
from tieline.runtime.requests import Requests
from tieline.wire import jetstream_answers, jetstream_headers
from tieline.wire.digests import message_id
from tieline.wire.ids import CallId, FrameDigest, SessionId, UserId
from tieline.wire.subjects import Subjects

ALICE, BOB = UserId("alice"), UserId("bob")
HERS, HIS = SessionId("hers"), SessionId("his")
CALL = CallId("0123456789abcdef")

STORED = Outcome.STORED

LONG_S = 20.0
"""Longer than any answer takes."""


def parcel(name: str, user: UserId = BOB) -> Parcel:
    return Parcel(user, HIS if user == BOB else HERS, name.encode(), CALL)


def parcels(*names: str) -> list[Parcel]:
    """Frames for both, in turn: what an answer releases is."""
    return [parcel(name, (BOB, ALICE)[place % 2]) for place, name in enumerate(names)]


class Mailbox:
    """A mailbox, a router that stores in it, and what the mailbox pushes."""

    def __init__(self, broker: Broker, subjects: Subjects) -> None:
        self.broker = broker
        self.subjects = subjects
        self.requests = Requests(broker, subjects.replies("router", "r"))
        self.relaying = Relaying(broker, self.requests, subjects)
        self.pushed = Inbox()
        self.published = 0
        """Messages that were published to users, whatever became of them."""

    async def open(self, replicas: int) -> None:
        async def is_made() -> bool:
            try:
                for part in self.subjects.parts():
                    await make_mailbox(self.broker, part, "file", replicas, 30, 1 << 20)
            except StoreUnavailable:
                return False
            return True

        await until_true(is_made)
        await self.requests.start()
        await self.broker.subscribe(self.subjects.live(BOB, HIS), self.pushed.put)
        await self.broker.subscribe(self.subjects.live(ALICE, HERS), self.pushed.put)
        for part in self.subjects.parts():
            await self.broker.subscribe(part.users(), self._on_published)
        await self.broker.flush()

    def _on_published(self, _: Message) -> None:
        self.published += 1

    async def takes(self, **changes: object) -> None:
        """Change what the mailbox takes."""
        context = self.broker.client.jetstream()
        for part in self.subjects.parts():
            config = (await context.stream_info(part.mailbox())).config
            await context.update_stream(config.evolve(**changes))

    async def takes_short_ones(self) -> None:
        """Let the mailbox refuse what is longer than a few words."""
        await self.takes(max_msg_size=500)

    async def carries(self, *names: str) -> Carried:
        return await self.relaying.carry(parcels(*names), stored=True)

    async def names(self, count: int) -> list[str]:
        """Return what the mailbox has pushed, in its order: so much, and nothing else."""
        found = [await self.pushed.next() for _ in range(count)]
        await self.broker.flush()
        assert self.pushed.is_empty()
        assert {jetstream_headers.call_of(message.headers) for message in found} <= {CALL}
        return [message.data.decode() for message in found]

    async def stores(self, name: str, before: str = "") -> Outcome:
        """Store one frame by itself, behind the one called `before`."""
        one = parcel(name)
        headers = jetstream_headers.named(message_id(BOB, one.frame), CALL)
        if before:
            following = message_id(BOB, before.encode())
            headers = jetstream_headers.following(message_id(BOB, one.frame), CALL, following)
        subject = self.subjects.user(BOB, HIS)
        reply = await self.requests.ask_once(subject, one.frame, 5, headers)
        error = jetstream_answers.read_published(reply.data).error
        return STORED if error is None else Outcome.OVERTAKEN if error.is_overtaken else Outcome.UNKNOWN


@pytest.fixture
async def one_node(broker: Broker) -> Mailbox:
    mailbox = Mailbox(broker, Subjects("t"))
    await mailbox.open(1)
    return mailbox


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster.plain(tmp_path_factory.mktemp("nodes")) as running:
        yield running


@pytest.fixture
async def three_nodes(cluster: Cluster, request: pytest.FixtureRequest) -> AsyncIterator[Mailbox]:
    broker = await connect(cluster.url, "test")
    mailbox = Mailbox(broker, Subjects(f"t{abs(hash(request.node.name))}"))
    await mailbox.open(3)
    yield mailbox
    await broker.close()


@pytest.fixture
async def apart(broker: Broker) -> Mailbox:
    """A mailbox in partitions, in which the two users lie apart."""
    mailbox = Mailbox(broker, Subjects("t", 4))
    assert mailbox.subjects.place_of(ALICE) != mailbox.subjects.place_of(BOB)
    await mailbox.open(1)
    return mailbox


@pytest.fixture(params=["one_node", "three_nodes"])
def mailbox(request: pytest.FixtureRequest) -> Mailbox:
    found: Mailbox = request.getfixturevalue(request.param)
    return found


async def test_several_are_stored_in_one_round_and_in_order(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long a busy machine takes: what is not answered in time is published anew, or one by one."""
    for limit in ("TOGETHER_LEAST_S", "TOGETHER_MOST_S"):
        monkeypatch.setattr(in_order, limit, LONG_S)
    mailbox.relaying = Relaying(mailbox.broker, mailbox.requests, mailbox.subjects, ask_every_s=LONG_S)
    names = [f"{number:03}" for number in range(30)]

    assert await mailbox.carries(*names) == Carried(30, STORED, tuple(range(30)))

    assert await mailbox.names(30) == names
    assert mailbox.published == 30


async def test_more_than_go_in_one_round_go_in_several(mailbox: Mailbox) -> None:
    names = [f"{number:03}" for number in range(AT_ONCE + 3)]

    assert (await mailbox.carries(*names)).outcome is STORED

    assert await mailbox.names(len(names)) == names


async def test_what_is_stored_already_is_not_stored_again(mailbox: Mailbox) -> None:
    await mailbox.carries("1", "2")

    for names in (["1", "2", "3", "4"], ["0", "2", "5"]):
        mailbox.relaying = Relaying(mailbox.broker, mailbox.requests, mailbox.subjects)
        assert (await mailbox.carries(*names)).outcome is STORED

    assert await mailbox.names(6) == ["1", "2", "3", "4", "0", "5"]


async def test_nothing_is_stored_behind_what_is_not(mailbox: Mailbox) -> None:
    await mailbox.takes_short_ones()

    assert await mailbox.carries("1", "x" * 1000, "3") == Carried(1, Outcome.UNKNOWN, (0,))

    assert await mailbox.names(1) == ["1"]


async def test_without_a_broker_nothing_is_known(pip_nats: NatsServer, one_node: Mailbox) -> None:
    away, _ = watch(one_node.broker)
    pip_nats.kill()
    await happens(away)

    assert await one_node.carries("1", "2") == Carried(0, Outcome.UNKNOWN, ())


async def test_frames_of_several_signals_keep_their_orders(mailbox: Mailbox) -> None:
    series = {who: [f"{who}{nth}" for nth in range(8)] for who in "abc"}

    carried = await asyncio.gather(*(mailbox.carries(*names) for names in series.values()))

    assert {each.outcome for each in carried} == {STORED}
    stored = await mailbox.names(24)
    for who, names in series.items():
        assert [name for name in stored if name.startswith(who)] == names


async def test_a_frame_that_was_asked_about_is_stored_when_it_comes(mailbox: Mailbox) -> None:
    frame = parcel("1").frame
    assert not await mailbox.relaying.was_stored(BOB, frame)

    assert await mailbox.carries("1") == Carried(1, STORED, (0,))

    assert await mailbox.relaying.was_stored(BOB, frame)
    assert await mailbox.names(1) == ["1"]


# One node: each follows the one before it.


async def test_a_frame_is_refused_unless_it_follows_the_last_one(one_node: Mailbox) -> None:
    assert await one_node.stores("1") is STORED
    assert await one_node.stores("2", before="another") is Outcome.OVERTAKEN
    assert await one_node.stores("2", before="1") is STORED
    assert await one_node.stores("2", before="another") is STORED  # for it is there
    assert await one_node.stores("3", before="1") is Outcome.OVERTAKEN
    assert await one_node.stores("3") is STORED

    assert await one_node.names(3) == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([STORED, STORED, STORED], [STORED, STORED, STORED]),
        ([STORED, Outcome.OVERTAKEN, Outcome.OVERTAKEN], [STORED]),
        ([STORED, Outcome.UNKNOWN, Outcome.OVERTAKEN], [STORED, Outcome.UNKNOWN]),
        ([Outcome.NO_ROOM, Outcome.OVERTAKEN, Outcome.OVERTAKEN], [Outcome.NO_ROOM]),
        ([STORED, Outcome.OVERTAKEN, STORED], [STORED]),
    ],
)
async def test_a_round_ends_where_something_came_in_between(
    one_node: Mailbox, said: list[Outcome], expected: list[Outcome]
) -> None:
    asked: list[tuple[Parcel, str]] = []

    def store(one: Parcel, done: Done, before: str) -> None:
        asked.append((one, before))
        done(said[len(asked) - 1])

    in_order = InOrder(one_node.broker, one_node.requests, one_node.subjects, store)
    three = parcels("1", "2", "3")

    assert await in_order.round(three) == expected
    assert asked == list(
        zip(three, ["", *(message_id(one.user, one.frame) for one in three[:2])], strict=True)
    )


# Three nodes: all together.


async def test_a_stream_that_takes_none_together_stores_one_by_one(three_nodes: Mailbox) -> None:
    await three_nodes.takes(allow_atomic=False)
    names = [f"{number}" for number in range(5)]

    assert (await three_nodes.carries(*names)).outcome is STORED

    assert await three_nodes.names(5) == names


async def test_what_is_refused_together_may_come_by_itself(three_nodes: Mailbox) -> None:
    assert (await three_nodes.carries("of before")).outcome is STORED

    assert (await three_nodes.carries("of before", "1", "2")).outcome is STORED
    assert (await three_nodes.carries("3", "4")).outcome is STORED

    assert await three_nodes.names(5) == ["of before", "1", "2", "3", "4"]


# In partitions.


async def test_what_goes_to_one_partition_goes_in_one_round(apart: Mailbox) -> None:
    names = [f"{number:03}" for number in range(30)]

    carried = await apart.carries(*names)

    assert (carried.length, carried.outcome) == (30, STORED)
    assert carried.published == (*range(0, 30, 2), *range(1, 30, 2))
    pushed = await apart.names(30)
    assert [name for name in pushed if int(name) % 2 == 0] == names[0::2]
    assert [name for name in pushed if int(name) % 2] == names[1::2]


async def test_nothing_goes_to_another_partition_behind_one_that_fails(apart: Mailbox) -> None:
    await apart.takes_short_ones()

    carried = await apart.carries("0", "1", "2" * 600, "3", "4")

    assert carried == Carried(1, Outcome.UNKNOWN, (0,))
    assert await apart.names(1) == ["0"]


async def test_a_retry_asks_each_partition_for_what_it_had(apart: Mailbox) -> None:
    own, released = parcel("own")._replace(is_own=True), parcel("released", ALICE)
    await apart.relaying.carry((own, released), stored=True)
    again = await apart.relaying.carry((own, released), stored=True)
    assert again == Carried(2, STORED, ())
    place = apart.subjects.place_of(ALICE)
    await apart.broker.client.jetstream().delete_stream(apart.subjects.parts()[place].mailbox())
    await make_mailbox(apart.broker, apart.subjects.parts()[place], "file", 1, 30, 1 << 20)

    with pytest.raises(NotStored):
        await apart.relaying.carry((own, released), stored=True)

    assert (await apart.relaying.carry((own, released), stored=True)).length == 2
    assert (await apart.names(3)).count("released") == 2


async def test_of_a_release_elsewhere_presence_is_told_nothing(apart: Mailbox) -> None:
    releases = ((ALICE, FrameDigest(b"answer")), (BOB, FrameDigest(b"answer")))
    apart.relaying.note_releases(ALICE, BOB, releases, stored=True)
    assert apart.relaying.carried(ALICE, BOB) == releases[1:]
    assert apart.relaying.carried(BOB, ALICE) == releases[:1]


async def test_a_partition_without_room_is_none_with_room(apart: Mailbox) -> None:
    assert await apart.relaying.has_room()
    await apart.broker.client.jetstream().delete_stream(apart.subjects.parts()[3].mailbox())
    assert not await apart.relaying.has_room()
