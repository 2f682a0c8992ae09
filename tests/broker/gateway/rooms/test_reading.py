"""The logs of rooms, read from a real stream."""

import asyncio

import pytest

from gateway.rooms.reading import PAGE
from tests.broker.gateway.rooms.scene import ALICE, BOB, CAROL, CELLAR, HALL, SUBJECTS, Scene
from tests.support.nats_server import NatsServer
from tieline.runtime.patience import PATIENCE_S
from tieline.runtime.requests import NoAnswer
from tieline.wire import jetstream
from tieline.wire.ids import UserId

MORE_THAN_ONE_ANSWER_HOLDS = 1_100


async def test_the_last_change_of_each_user_is_read(scene: Scene) -> None:
    await scene.enters(ALICE)
    bob = await scene.enters(BOB)
    gone = await scene.leaves(ALICE)
    below = await scene.enters(CAROL, CELLAR)
    barrier = await scene.mailbox.barrier()
    found = await scene.reader.last_since([HALL, CELLAR], 1, barrier)
    assert {one.number for one in found[HALL]} == {bob, gone}
    assert [one.number for one in found[CELLAR]] == [below]
    newer = await scene.reader.last_since([HALL, CELLAR], gone, barrier)
    assert {room: [one.number for one in changes] for room, changes in newer.items()} == {
        HALL: [gone],
        CELLAR: [below],
    }
    history = await scene.reader.history(HALL, found[HALL], barrier)
    assert history is not None
    assert [one.user for one in history] == [ALICE, BOB, ALICE]


@pytest.mark.parametrize("kept", [1, 0])
async def test_what_is_kept_no_more_is_not_waited_for(scene: Scene, kept: int) -> None:
    numbers = [await scene.enters(user) for user in (ALICE, BOB)]
    barrier = await scene.mailbox.barrier()
    found = await scene.reader.last_since([HALL], 1, barrier)
    for number in numbers[: len(numbers) - kept]:
        delete = jetstream.delete_message(SUBJECTS.mailbox())
        await scene.requests.ask_once(delete, jetstream.deletion_of(number), PATIENCE_S)
    history = await scene.reader.history(HALL, found[HALL], barrier)
    assert history is not None
    assert [one.number for one in history] == numbers[len(numbers) - kept :]


async def test_a_room_without_changes_has_none(scene: Scene) -> None:
    barrier = await scene.mailbox.barrier()
    assert await scene.reader.last_since([HALL], 1, barrier) == {HALL: []}


async def test_more_users_than_one_answer_holds_are_read_in_parts(scene: Scene) -> None:
    users = [UserId(f"user{number}") for number in range(MORE_THAN_ONE_ANSWER_HOLDS)]
    await asyncio.gather(*(scene.enters(user) for user in users))
    await scene.enters(ALICE, CELLAR)
    barrier = await scene.mailbox.barrier()
    found = await scene.reader.last_since([HALL, CELLAR], 1, barrier)
    assert len(found[HALL]) == MORE_THAN_ONE_ANSWER_HOLDS > PAGE
    assert len(found[CELLAR]) == 1
    assert await scene.reader.history(HALL, found[HALL], barrier) is None


async def test_whether_a_number_is_that_of_a_change_is_known(scene: Scene) -> None:
    number, other = await scene.enters(ALICE), await scene.enters(BOB)
    barrier = await scene.mailbox.barrier()
    ((_, nonce), (_, another)) = [(await scene.called(each)).rsplit("-", 1) for each in (number, other)]
    assert await scene.reader.is_change(number, nonce)
    assert not await scene.reader.is_change(number, another)
    assert not await scene.reader.is_change(number, "")
    assert not await scene.reader.is_change(barrier.sequence, "")
    assert not await scene.reader.is_change(number + 1_000, nonce)


async def test_what_cannot_be_read_is_said(scene: Scene, pip_nats: NatsServer) -> None:
    barrier = await scene.mailbox.barrier()
    pip_nats.kill()
    with pytest.raises(NoAnswer):
        await scene.reader.last_since([HALL], 1, barrier)
