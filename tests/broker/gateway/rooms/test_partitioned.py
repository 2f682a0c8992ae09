"""A gateway whose mailbox is in several partitions, at a broker of the test's own."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.client.deliveries import Backlogs
from gateway.delivery.delivery import Delivery, Shares
from gateway.delivery.mailbox import LONG_AT_ONCE
from gateway.rooms.delivery import RoomDelivery
from gateway.rooms.live_rooms import LiveRooms
from gateway.rooms.memberships import Memberships
from gateway.rooms.pacer import Pacer
from gateway.rooms.partitioned import Part, PartitionedDelivery
from gateway.rooms.reading import LogReader
from presence.mailbox import make_mailbox
from presence.room_log import MailboxLog
from presence.store import StoreUnavailable
from tests.broker.gateway.rooms.scene import ALICE, BOB, CAROL, HALL, Here, Scene
from tests.support.nats_server import NatsServer
from tests.support.waiting import until_true
from tests.unit.gateway.client.harness import event
from tieline.runtime.broker import Broker, connect
from tieline.runtime.guard import BackgroundTasks
from tieline.wire.ids import GatewayId
from tieline.wire.subjects import Subjects

SUBJECTS = Subjects("t", 4)
PEOPLE = (ALICE, BOB, CAROL)


class PartitionedScene(Scene):
    """The rooms of one gateway, and presence, where the mailbox is in partitions."""

    def __init__(self, broker: Broker, tasks: BackgroundTasks) -> None:
        super().__init__(broker, tasks)
        pacer = Pacer(asyncio.get_running_loop())
        shares = Shares(Backlogs(), asyncio.Semaphore(LONG_AT_ONCE))

        def part_of(subjects: Subjects) -> Part:
            mailbox = Delivery(broker, self.requests, subjects, GatewayId("g"), tasks, shares=shares)
            reader = LogReader(self.requests, subjects)
            rooms = LiveRooms(broker, subjects, mailbox, reader, pacer, tasks)
            seats = Memberships(rooms)
            way = RoomDelivery(mailbox, rooms, seats, reader, pacer, self.asks, tasks)
            return Part(mailbox, rooms, seats, way)

        self.parts = [part_of(part) for part in SUBJECTS.parts()]
        self.all = PartitionedDelivery(self.parts, SUBJECTS.place_of)
        self.delivery = self.memberships = self.all
        self.log = MailboxLog(self.requests, SUBJECTS, self._make)

    async def _make(self) -> None:
        async def is_made() -> bool:
            try:
                for part in SUBJECTS.parts():
                    await make_mailbox(self.broker, part, "memory", 1, 30)
            except StoreUnavailable:
                return False
            return True

        await until_true(is_made)

    async def start(self) -> None:
        """Make the streams, and listen."""
        await self._make()
        await self.requests.start()
        await self.all.start()


@pytest.fixture
async def scene(pip_nats: NatsServer) -> AsyncIterator[PartitionedScene]:
    broker = await connect(pip_nats.url, "test")
    async with BackgroundTasks() as tasks:
        begun = PartitionedScene(broker, tasks)
        await begun.start()
        yield begun
        await broker.close()


async def here(scene: PartitionedScene, *, places: bool = False) -> list[Here]:
    """Let three come, who lie in two partitions at least, and are in one room."""
    assert len({SUBJECTS.place_of(user) for user in PEOPLE}) > 1
    people = [Here(scene, user, places=places) for user in PEOPLE]
    for one in people:
        await one.comes(HALL, listens=True)
    return people


async def test_everybody_hears_of_a_change_wherever_he_lies(scene: PartitionedScene) -> None:
    people = await here(scene)
    await scene.enters(ALICE)
    for one in people[1:]:
        assert len(await one.hears(1)) == 1


@pytest.mark.parametrize("nth", [1, 2])
async def test_mail_and_changes_come_in_one_order_in_each_partition(
    scene: PartitionedScene, nth: int
) -> None:
    one = (await here(scene))[nth]
    for name in ("a", "b"):
        await scene.enters(ALICE)
        scene.broker.send(SUBJECTS.user(one.session.user, one.session.session), event(name))
        await scene.all.settled()
        heard = await one.hears(2)
        assert [word.partition("-")[0] for word in heard] == ["room", name]
        await scene.leaves(ALICE)
        await one.hears(1)


async def test_the_number_of_a_change_is_that_of_its_users_partition(scene: PartitionedScene) -> None:
    await here(scene)
    for user in PEOPLE:
        number = await scene.enters(user)
        stream = SUBJECTS.parts()[SUBJECTS.place_of(user)].mailbox()
        message = await scene.broker.client.jetstream().get_msg(stream, number)
        assert (message.subject or "").endswith(f".room.hall.{user}")


async def test_a_log_has_a_change_if_each_partition_has_it(scene: PartitionedScene) -> None:
    await scene.enters(ALICE)
    assert await scene.log.has(HALL, ALICE)
    last = SUBJECTS.parts()[-1]
    await scene.broker.client.jetstream().purge_stream(last.mailbox())
    assert not await scene.log.has(HALL, ALICE)


async def test_it_stores_while_each_partition_does(scene: PartitionedScene) -> None:
    assert await scene.all.stores()
    await scene.broker.client.jetstream().delete_stream(SUBJECTS.parts()[1].mailbox())
    assert not await scene.all.stores()


async def test_losses_of_all_partitions_are_counted(scene: PartitionedScene) -> None:
    before = scene.all.suspected_losses
    for part in scene.parts[1:3]:
        part.mailbox.suspect_loss()
    assert scene.all.suspected_losses == before + 2


async def test_who_asks_about_a_room_is_answered_by_its_partition(scene: PartitionedScene) -> None:
    for there, user in enumerate(PEOPLE, 1):
        one = Here(scene, user)
        await one.comes()
        assert (await one.joins()).members == there


async def test_who_comes_back_goes_on_where_it_was(scene: PartitionedScene) -> None:
    _, bob, _ = await here(scene, places=True)
    await scene.all.drop(bob.session)
    await scene.enters(ALICE)
    again = Here(scene, BOB, places=True)
    await again.comes(HALL, resumed=True, place="1")
    assert len(await again.hears(1)) == 1


async def test_who_has_gone_is_told_nothing(scene: PartitionedScene) -> None:
    people = await here(scene)
    for one in people:
        await scene.all.drop(one.session)
    await scene.enters(ALICE)
    await scene.all.settled()
    assert [one.names() for one in people] == [[], [], []]
    scene.all.forget_rosters()
    scene.all.note_old_presence()
