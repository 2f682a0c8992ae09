"""A newcomer whose room its gateway does not know yet: it waits for nothing, and misses nothing."""

from typing import Any

import pytest

from gateway.client.deliveries import NOTHING
from gateway.client.mail import Had, Place
from tests.broker.gateway.rooms.scene import ALICE, BOB, CAROL, CELLAR, HALL, Here, Scene
from tests.broker.gateway.rooms.test_delivery import DAN, sends
from tests.support.waiting import until


async def hears_messages(here: Here, count: int) -> list[dict[str, Any]]:
    """Wait until a client was told so much, and return all of it."""
    messages: list[dict[str, Any]] = []

    def has_heard() -> bool:
        messages.extend(here.harness.messages())
        return len(messages) >= count

    await until(has_heard)
    return messages


async def test_a_change_that_is_told_late_brings_no_frame_again(scene: Scene) -> None:
    carol = Here(scene, CAROL, places=True)
    await carol.is_followed(HALL)
    bob = await scene.enters(BOB)
    await sends(scene, "a")
    scene.delivery.release(carol.session, NOTHING)
    mail, event = await hears_messages(carol, 2)
    assert mail["requestId"] == "a"
    number = mail["place"].partition("-")[0]
    assert event["place"] == f"{number}-{bob}"
    await scene.delivery.drop(carol.session)

    carol = Here(scene, CAROL, places=True)
    await carol.comes(HALL, resumed=True, place=event["place"])
    dan = await scene.enters(DAN)
    assert await carol.hears(1) == [f"room-{dan}"]


@pytest.mark.parametrize("places", [False, True])
async def test_who_is_cut_off_before_it_was_told_of_a_room_misses_nothing(scene: Scene, places: bool) -> None:
    await scene.enters(ALICE)
    carol = Here(scene, CAROL, places=places)
    await carol.is_followed(HALL)
    await scene.enters(BOB)
    await scene.updates(ALICE, is_silent=True)
    await sends(scene, "a")
    await scene.updates(BOB, is_silent=True)
    scene.delivery.release(carol.session, NOTHING)
    assert carol.names() == ["a"]

    await scene.delivery.drop(carol.session)
    await sends(scene, "b")  # who names its place gets the rest by itself
    await scene.rooms.listen(HALL)
    if not places:
        await until(lambda: scene.retold == [(HALL, [ALICE, BOB])])
    assert places is not bool(scene.retold)


async def test_who_is_put_out_before_it_has_its_seat_is_told_that(scene: Scene) -> None:
    carol = Here(scene, CAROL, places=True)
    await carol.is_followed(HALL, CELLAR)
    bob = await scene.enters(BOB)
    put_out = await scene.puts_out(CAROL, HALL)
    await scene.enters(DAN)
    scene.delivery.release(carol.session, NOTHING)
    carol.session.rooms = {CELLAR: 1}  # as the answer to REFRESH_TOKEN says

    assert await carol.hears(2) == [f"room-{bob}-after-{bob - 1}", f"room-{put_out}"]
    alice = await scene.enters(ALICE, CELLAR)
    (event,) = await hears_messages(carol, 1)
    assert event["place"] == str(alice)


async def test_who_left_before_it_has_its_seat_is_told_nothing(scene: Scene) -> None:
    carol = Here(scene, CAROL)
    await carol.is_followed(HALL, CELLAR)
    await scene.enters(BOB)
    await scene.leaves(CAROL)
    scene.delivery.release(carol.session, NOTHING)
    await scene.rooms.listen(HALL)
    await scene.enters(ALICE)
    dan = await scene.enters(DAN, CELLAR)
    assert await carol.hears(1) == [f"room-{dan}"]


async def test_who_comes_back_is_welcomed_where_it_goes_on(scene: Scene) -> None:
    bob = await scene.enters(BOB)
    await sends(scene, "a")
    newest = (await scene.mailbox.barrier()).sequence
    for place, expected in ((f"{newest}-{bob}", Place(newest, bob)), (f"{newest}-0", Place(newest, 0))):
        carol = Here(scene, CAROL, places=True)
        await carol.is_followed(HALL, resumed=True)
        missed = await scene.delivery.missed(carol.session, Had("", place))
        assert missed.place == expected
        await scene.delivery.drop(carol.session)


async def test_a_room_of_which_something_may_be_missing_is_not_entered(scene: Scene) -> None:
    bob = await scene.enters(BOB)
    await scene.rooms.listen(HALL)
    carol = Here(scene, CAROL, places=True)
    await carol.is_followed(HALL, resumed=True)
    missed = await scene.delivery.missed(carol.session, Had("", str(bob)))
    scene.rooms.hold()
    dan = await scene.enters(DAN)
    scene.delivery.release(carol.session, missed)
    await sends(scene, "a")
    (mail,) = await hears_messages(carol, 1)
    assert mail["place"].partition("-")[2] == str(bob)
    await scene.rooms.catch_up(await scene.mailbox.barrier())
    assert await carol.hears(1) == [f"room-{dan}"]
