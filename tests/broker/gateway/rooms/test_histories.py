"""Every change of a room is known for those who come back, as far as its log keeps it."""

import pytest

from gateway.rooms.live_room import LiveRoom
from tests.broker.gateway.rooms.scene import ALICE, BOB, HALL, Scene
from tieline.runtime.requests import NoAnswer


def numbers(room: LiveRoom) -> list[int]:
    """The numbers of all changes that are known."""
    return [change.number for change in room.log.since(0)]


async def test_each_change_is_known_once_the_room_is_remembered(scene: Scene) -> None:
    told = [await scene.enters(ALICE), await scene.leaves(ALICE), await scene.enters(ALICE)]
    hall = await scene.rooms.listen(HALL)
    assert numbers(hall) == told[-1:]
    await scene.rooms.remember(hall)
    assert numbers(hall) == told
    told.append(await scene.enters(BOB))
    await scene.rooms.reached(hall, told[-1])
    await scene.rooms.remember(hall)
    assert numbers(hall) == told


async def test_a_room_in_which_nothing_has_changed_has_a_history_too(scene: Scene) -> None:
    hall = await scene.rooms.listen(HALL)
    await scene.rooms.remember(hall)
    assert hall.log.has_each_since(0)


async def test_what_is_listened_to_no_more_is_not_remembered(scene: Scene) -> None:
    await scene.enters(ALICE)
    for _ in range(2):  # nor is it taken to be remembered by the next who asks
        with pytest.raises(NoAnswer):
            await scene.rooms.remember(LiveRoom(HALL))


async def test_who_came_back_first_has_made_the_history_known(scene: Scene) -> None:
    told = [await scene.enters(ALICE), await scene.leaves(ALICE)]
    await scene.rooms.begin(HALL, since=0)
    hall = await scene.rooms.listen(HALL)
    assert numbers(hall) == told
    await scene.rooms.remember(hall)
    assert numbers(hall) == told
