"""The rooms that a gateway listens to: everything that is stored is known, whatever was pushed."""

import asyncio
import time

import pytest

from tests.broker.gateway.rooms.scene import ALICE, BOB, CAROL, HALL, SUBJECTS, Here, Scene, carol_in_the_hall
from tests.support.nats_server import NatsServer
from tests.support.waiting import until
from tests.unit.gateway.client.harness import event
from tieline.runtime.requests import NoAnswer
from tieline.wire.ids import SessionId, UserId
from tieline.wire.internal.rooms import RoomChange


async def test_a_room_is_known_as_its_log_keeps_it(scene: Scene) -> None:
    numbers = [await scene.enters(ALICE), await scene.enters(BOB), await scene.leaves(ALICE)]
    hall = await scene.rooms.listen(HALL)
    assert [one.number for one in hall.log.since(0)] == numbers[1:]
    assert scene.rooms.known(HALL) is hall
    later = await scene.enters(CAROL)
    await scene.rooms.reached(hall, later)
    assert hall.number == later
    await asyncio.gather(*(scene.rooms.remember(hall) for _ in range(3)))
    assert [one.number for one in hall.log.since(0)] == [*numbers, later]


async def test_a_room_that_cannot_be_read_is_read_for_the_next(scene: Scene, pip_nats: NatsServer) -> None:
    number = await scene.enters(ALICE)
    hall = await scene.rooms.listen(HALL)
    pip_nats.kill()
    with pytest.raises(NoAnswer):
        await scene.rooms.remember(hall)
    assert [one.number for one in hall.log.since(0)] == [number]
    pip_nats.start()
    await until(lambda: scene.broker.is_connected)
    await scene.enters(BOB)  # which makes the stream anew
    await until(lambda: scene.rooms.known(HALL) is hall)
    await scene.rooms.remember(hall)


async def test_those_who_come_at_once_listen_once(scene: Scene) -> None:
    halls = await asyncio.gather(*(scene.rooms.listen(HALL) for _ in range(3)))
    assert halls[0] is halls[1] is halls[2]


async def test_what_was_not_heard_is_brought_before_anybody_goes_on(scene: Scene) -> None:
    carol, hall = await carol_in_the_hall(scene)
    scene.mailbox.suspect_loss()
    assert scene.rooms.known(HALL) is None
    number = await scene.enters(ALICE)
    await scene.rooms.reached(hall, number)
    assert await carol.hears(1) == [f"room-{number}"]


async def test_what_was_lost_without_a_gap_is_found_by_looking(scene: Scene) -> None:
    carol, hall = await carol_in_the_hall(scene)
    hall.hold()  # as if it had not come
    number = await scene.enters(ALICE)
    await scene.mailbox.barrier()
    hall.held = None
    assert hall.number < number
    await scene.rooms.look()
    assert hall.number == number
    assert await carol.hears(1) == [f"room-{number}"]


async def test_an_update_that_is_read_before_it_is_pushed_is_no_joining(scene: Scene) -> None:
    await scene.enters(BOB)
    carol, hall = await carol_in_the_hall(scene)
    hall.hold()  # as during an election: what is pushed waits until all has been read
    silent = await scene.updates(BOB, is_silent=True)
    await scene.rooms.look()
    assert hall.number == silent
    number = await scene.enters(ALICE)
    assert await carol.hears(1) == [f"room-{number}"]


async def test_who_lost_its_line_before_a_loss_is_found_is_told_once_more(scene: Scene) -> None:
    carol, hall = await carol_in_the_hall(scene)
    hall.hold()  # as if it had not come
    await scene.enters(ALICE)
    await scene.mailbox.barrier()
    hall.held = None
    scene.broker.send(SUBJECTS.user(CAROL, carol.session.session), event("a signal"))
    await scene.mailbox.settled()
    assert carol.harness.names() == ["a signal"]
    await scene.delivery.drop(carol.session)
    assert scene.retold == []
    await scene.rooms.look()
    assert scene.retold == [(HALL, [ALICE])]


async def test_a_gap_is_noticed_by_what_comes_next(scene: Scene) -> None:
    hall = await scene.rooms.listen(HALL)
    hall.hold()
    await scene.enters(ALICE)
    await scene.mailbox.barrier()
    hall.held = None
    before = scene.mailbox.suspected_losses
    last = await scene.leaves(ALICE)
    await scene.rooms.reached(hall, last)
    assert scene.mailbox.suspected_losses == before + 1


async def test_a_room_without_members_is_forgotten_after_a_while(scene: Scene) -> None:
    hall = await scene.rooms.listen(HALL)
    await scene.rooms.look()
    assert scene.rooms.known(HALL) is hall
    hall.has_seats_since -= 1_000
    await scene.rooms.look()
    assert scene.rooms.known(HALL) is None
    assert await scene.rooms.listen(HALL) is not hall


async def test_a_stream_that_was_lost_goes_on_counting(scene: Scene) -> None:
    carol = Here(scene, CAROL)
    await carol.comes()
    for _ in range(3):
        await scene.enters(ALICE)
        await scene.leaves(ALICE)
    await carol.joins()
    hall = await scene.rooms.listen(HALL)
    await scene.broker.client.jetstream().delete_stream(SUBJECTS.mailbox())
    before = hall.number
    number = await scene.enters(BOB)
    assert number > before
    assert await carol.hears(1) == [f"room-{number}"]
    assert hall.number == number
    answer = await carol.joins()
    assert answer.joined_at is not None


async def test_a_barrier_that_comes_after_a_newer_one_is_no_loss(scene: Scene) -> None:
    number = await scene.enters(ALICE)
    older = await scene.mailbox.barrier()
    hall = await scene.rooms.listen(HALL)
    await scene.rooms.catch_up(older)
    assert [one.number for one in hall.log.since(0)] == [number]


async def test_a_stream_that_counts_anew_is_read_from_its_beginning(scene: Scene) -> None:
    carol, hall = await carol_in_the_hall(scene)
    hall.hold()  # as if it had not come
    unheard = await scene.enters(BOB)
    await scene.mailbox.barrier()
    hall.held = None
    hall.whole_to += 1_000_000  # as if a stream had been lost that had counted so far
    number = await scene.enters(ALICE)
    await scene.rooms.reached(hall, number)
    assert await carol.hears(2) == [f"room-{unheard}-after-0", f"room-{number}"]
    assert hall.whole_to < number + 1_000


async def test_a_room_that_is_being_read_is_not_forgotten(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    await scene.enters(ALICE)
    begun = scene.rooms.begin(HALL, 0)
    await asyncio.sleep(0)  # which is when it is subscribed to
    scene.rooms._rooms[HALL].has_seats_since -= 1_000

    await scene.rooms.look()
    await begun

    assert scene.rooms.known(HALL) is not None
    assert caplog.records == []


def left(user: UserId, revision: int, ago_s: float = 0.0) -> RoomChange:
    """What tells that a user has left, decided so long ago."""
    at = int((time.time() - ago_s) * 1000)
    return RoomChange("left", revision, SessionId(f"{user}-s"), "online", True, 0, "left", at=at)


async def test_a_change_that_is_older_than_what_is_known_is_dropped(scene: Scene) -> None:
    carol = Here(scene, CAROL)
    await carol.comes()
    await scene.enters(BOB)
    for change in (scene.enters, scene.leaves, scene.enters):
        await change(ALICE)
    await carol.joins()
    hall = await scene.rooms.listen(HALL)
    losses = scene.mailbox.suspected_losses
    for revision in (1, 2):
        await scene.tells(ALICE, left(ALICE, revision))
    number = await scene.updates(ALICE, is_silent=False)
    await scene.rooms.reached(hall, number)
    assert await carol.hears(1) == [f"room-{number}"]
    assert hall.roster is not None
    assert hall.roster.joined_at(ALICE) is not None
    assert hall.log.last_of(ALICE) == number
    assert (scene.retold, scene.mailbox.suspected_losses) == ([], losses)


async def test_a_bucket_that_counts_anew_is_believed(scene: Scene, pip_nats: NatsServer) -> None:
    await scene.enters(ALICE)
    await scene.leaves(ALICE)
    await scene.enters(ALICE)
    hall = await scene.rooms.listen(HALL)
    pip_nats.kill()
    await until(lambda: not scene.broker.is_connected)
    pip_nats.start()
    await until(lambda: scene.broker.is_connected)
    await scene.tells(ALICE, left(ALICE, 1))  # which makes the stream anew
    await until(lambda: not hall.is_in(ALICE))


async def test_a_change_that_is_stored_late_is_asked_for_once_more(scene: Scene) -> None:
    await scene.enters(ALICE)
    await scene.tells(BOB, left(BOB, 100, ago_s=61))
    hall = await scene.rooms.listen(HALL)
    assert scene.retold == [(HALL, [BOB])]
    await scene.tells(CAROL, left(CAROL, 101, ago_s=61))
    number = await scene.tells(BOB, left(BOB, 102, ago_s=59))
    await scene.rooms.reached(hall, number)
    assert scene.retold == [(HALL, [BOB]), (HALL, [CAROL])]
    assert [(one.user, one.entry.revision) for one in hall.log.since(0)] == [(ALICE, 1), (BOB, 102)]
