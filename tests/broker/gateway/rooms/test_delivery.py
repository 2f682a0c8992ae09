"""What a client is told of its rooms when it comes, and when it comes back."""

import asyncio
import time
from typing import Any

from gateway.client.actions import RoomListing
from gateway.client.deliveries import NOTHING
from gateway.client.events import put_in
from gateway.rooms.changes import name_before_all, name_of
from tests.broker.gateway.rooms.scene import ALICE, BOB, CAROL, HALL, SUBJECTS, Here, Scene, carol_in_the_hall
from tests.support.leftovers import no_more_is_left
from tests.support.waiting import until
from tests.unit.gateway.client.harness import event
from tests.unit.gateway.rooms.hall import short
from tieline.runtime.message import Message
from tieline.runtime.patience import PATIENCE_S
from tieline.wire import jetstream, jetstream_headers
from tieline.wire.ids import RoomId, SecretHash, SessionId, UserId
from tieline.wire.internal.rooms import ListMembers
from tieline.wire.internal.sessions import Opened

DAN = UserId("dan")
CELLAR = RoomId("cellar")


async def sends(scene: Scene, name: str) -> None:
    """Have a signal stored for Carol."""
    scene.broker.send(SUBJECTS.user(CAROL, SessionId("carol-s")), event(name))
    await scene.mailbox.settled()


async def test_who_comes_hears_of_what_is_newer(scene: Scene) -> None:
    await scene.enters(ALICE)
    carol = Here(scene, CAROL)
    await carol.comes(HALL)
    number = await scene.enters(BOB)
    assert await carol.hears(1) == [f"room-{number}"]


async def test_rooms_and_signals_come_in_the_order_in_which_they_are_stored(scene: Scene) -> None:
    carol = Here(scene, CAROL)
    await carol.comes()
    await carol.joins()
    expected = []
    for name in ("a", "b", "c"):
        expected += [f"room-{await scene.enters(ALICE)}", name, f"room-{await scene.leaves(ALICE)}"]
        await sends(scene, name) if name != "a" else None
    del expected[1]
    heard = await carol.hears(len(expected))
    assert [one for one in heard if one.startswith("room")] == [
        one for one in expected if one.startswith("room")
    ]
    assert [one for one in heard if not one.startswith("room")] == ["b", "c"]


async def test_who_comes_back_is_told_what_is_newer_than_its_last(scene: Scene) -> None:
    had = await scene.enters(ALICE)
    await sends(scene, "a")
    bob = await scene.enters(BOB)
    await sends(scene, "b")
    gone = await scene.leaves(ALICE)
    for last, missed in (
        (await scene.called(had), ["a", f"room-{bob}", "b", f"room-{gone}"]),
        ("a", [f"room-{bob}", "b", f"room-{gone}"]),
        ("b", [f"room-{gone}"]),
        (await scene.called(gone), []),
        (f"room-{had}", [f"room-{had}", "a", f"room-{bob}", "b", f"room-{gone}"]),
        ("unknown", [f"room-{had}", "a", f"room-{bob}", "b", f"room-{gone}"]),
    ):
        carol = Here(scene, CAROL)
        await carol.comes(HALL, resumed=True, last=last)
        assert carol.names() == missed
        await scene.delivery.drop(carol.session)


async def test_who_comes_back_to_a_room_that_others_joined_is_told_each(scene: Scene) -> None:
    had = await scene.enters(ALICE)
    told = [await scene.enters(BOB), await scene.leaves(BOB), await scene.enters(BOB)]
    dan = Here(scene, DAN)
    await dan.comes()
    told.append((await dan.joins()).page.number)
    carol = Here(scene, CAROL)
    await carol.comes(HALL, resumed=True, last=await scene.called(had))
    assert carol.names() == [f"room-{number}" for number in told]


async def test_who_names_its_place_is_told_what_is_newer(scene: Scene) -> None:
    carol = Here(scene, CAROL, places=True)
    await carol.comes()
    await carol.joins()
    had = await scene.enters(ALICE)
    await sends(scene, "a")
    bob = await scene.enters(BOB)
    await sends(scene, "a")  # of the same name, at the end of what is missed
    expected = [f"room-{had}", "a", f"room-{bob}", "a"]
    messages: list[dict[str, Any]] = []

    def has_heard() -> bool:
        messages.extend(carol.harness.messages())
        return len(messages) >= 3

    await until(has_heard)
    await scene.delivery.drop(carol.session)
    places = [message["place"] for message in messages]
    assert [short(message["requestId"]) for message in messages] == expected[:3]
    assert places == [str(had), places[1], str(bob)]
    for index, place in enumerate(places):
        carol = Here(scene, CAROL, places=True)
        await carol.comes(HALL, resumed=True, last="a", place=place)
        again = carol.harness.messages()
        assert [short(message["requestId"]) for message in again] == expected[index + 1 : 3]
        assert [message["place"] for message in again] == places[index + 1 :]
        await scene.delivery.drop(carol.session)


async def reads_of_the_mailbox(scene: Scene) -> list[Message]:
    """Have all written down that the stream is asked for."""
    asked: list[Message] = []
    await scene.broker.subscribe(jetstream.direct_get(SUBJECTS.mailbox()), asked.append)
    return asked


async def test_what_those_missed_who_come_back_together_is_read_together(scene: Scene) -> None:
    asked = await reads_of_the_mailbox(scene)
    all_of_them = [Here(scene, user) for user in (ALICE, BOB, CAROL)]
    comings = (here.comes(RoomId(f"with-{here.session.user}"), resumed=True) for here in all_of_them)

    await asyncio.gather(*comings)

    assert len(asked) == 2  # for their mail, and for their rooms


async def test_the_past_of_a_room_is_read_for_who_has_not_had_it(scene: Scene) -> None:
    had, hall, yard = await scene.enters(ALICE), HALL, RoomId("yard")
    await scene.enters(ALICE, yard)
    newest = await scene.enters(BOB, yard)
    asked = await reads_of_the_mailbox(scene)
    dan, carol = Here(scene, DAN, places=True), Here(scene, CAROL, places=True)

    await dan.comes(hall, resumed=True, place=str(newest))
    assert len(asked) == 2
    await carol.comes(yard, resumed=True, place=str(had))

    assert len(asked) == 5
    assert len(carol.names()) == 2
    assert dan.names() == []


async def test_who_comes_back_before_it_was_told_of_a_room_is_sent_the_rest(scene: Scene) -> None:
    carol = Here(scene, CAROL, places=True)
    carol.session.opened(Opened(carol.session.session, False, {HALL: 1}), SecretHash(b""))
    await scene.delivery.follow(carol.harness.connection, carol.session)
    bob = await scene.enters(BOB)
    for name in ("a", "b"):
        await sends(scene, name)
    scene.delivery.release(carol.session, NOTHING)
    first, second = carol.harness.messages()
    assert scene.rooms.known(HALL) is None
    await scene.delivery.drop(carol.session)
    for had, expected in ((first, [f"room-{bob}", "b"]), (second, [f"room-{bob}"])):
        carol = Here(scene, CAROL, places=True)
        await carol.comes(HALL, resumed=True, place=had["place"])
        assert carol.names() == expected
        await scene.delivery.drop(carol.session)


async def test_who_was_there_before_is_not_told_as_one_who_comes(scene: Scene) -> None:
    await scene.enters(ALICE)
    carol = Here(scene, CAROL)
    carol.session.opened(Opened(carol.session.session, False, {HALL: 1}), SecretHash(b""))
    await scene.delivery.follow(carol.harness.connection, carol.session)
    bob = await scene.enters(BOB)
    for user in (ALICE, BOB):
        await scene.updates(user, is_silent=True)
    scene.delivery.release(carol.session, NOTHING)
    dan = await scene.enters(DAN)
    assert await carol.hears(2) == [f"room-{bob}", f"room-{dan}"]


async def test_what_came_after_the_loss_is_not_taken_for_what_was_had(scene: Scene) -> None:
    await sends(scene, "a")
    get = jetstream.direct_get(SUBJECTS.mailbox())
    newest = await scene.mailbox.barrier()
    reply = await scene.requests.ask_once(get, jetstream.message_at(newest.sequence), PATIENCE_S)
    lost_at = jetstream_headers.stored_at(reply.headers)
    assert abs(lost_at - time.time() * 1000) < 60_000
    for name in ("b", "had", "c"):
        await sends(scene, name)
    for at, missed in ((lost_at - 1000, ["a", "b", "had", "c"]), (lost_at + 60_000, ["c"]), (0, ["c"])):
        carol = Here(scene, CAROL)
        await carol.comes(HALL, resumed=True, last="had", lost_at=at)
        assert carol.names() == missed
        await scene.delivery.drop(carol.session)


async def test_a_place_that_nothing_has_yet_is_not_believed(scene: Scene) -> None:
    await sends(scene, "a")
    number = await scene.enters(ALICE)
    for place in ("0", "x", str(number + 1_000)):
        carol = Here(scene, CAROL)
        await carol.comes(HALL, resumed=True, last=await scene.called(number), place=place)
        assert carol.names() == ["a", f"room-{number}"]
        await scene.delivery.drop(carol.session)


async def test_a_number_that_no_change_has_is_not_believed(scene: Scene) -> None:
    await sends(scene, "a")
    number = await scene.enters(ALICE)
    carol = Here(scene, CAROL)
    called = await scene.called(number)
    await carol.comes(HALL, resumed=True, last=called.replace(str(number), str(number + 1_000)))
    assert carol.names() == ["a", f"room-{number}"]


async def test_a_change_that_a_sender_has_foreseen_is_not_believed(scene: Scene) -> None:
    await sends(scene, "a")
    number = await scene.enters(ALICE)
    await sends(scene, "b")
    everything = ["a", f"room-{number}", "b"]
    for guess in (f"room-{number}", f"room-{number}-list", name_of(number, "0" * 16)):
        carol = Here(scene, CAROL)
        await carol.comes(HALL, resumed=True, last=guess)
        assert carol.names() == everything
        await scene.delivery.drop(carol.session)


async def test_who_copies_the_name_of_a_change_hides_nothing(scene: Scene) -> None:
    await sends(scene, "a")
    number = await scene.enters(ALICE)
    called = await scene.called(number)
    await sends(scene, "b")
    barrier = await scene.mailbox.barrier()
    farther = name_before_all(number, called.rpartition("-")[2], barrier.sequence)
    copies = [called, farther]
    for copy in copies:
        await sends(scene, copy)
    for copy in copies:
        carol = Here(scene, CAROL)
        await carol.comes(HALL, resumed=True, last=copy)
        assert carol.harness.names() == ["b", *copies]
        await scene.delivery.drop(carol.session)


async def test_the_copy_of_a_change_that_is_kept_no_more_hides_nothing(scene: Scene) -> None:
    gone = name_of(7, "0123456789abcdef")
    await sends(scene, "a")
    await sends(scene, gone)
    carol = Here(scene, CAROL)
    await carol.comes(HALL, resumed=True, last=gone)
    assert carol.harness.names() == ["a", gone]


async def test_who_takes_batches_and_has_lost_its_place_gets_a_list(scene: Scene) -> None:
    number = await scene.enters(ALICE)
    carol = Here(scene, CAROL, batches=True)
    await carol.comes(HALL, resumed=True, last="unknown")
    assert await carol.hears(1) == [f"room-{number}-list"]
    bob = await scene.enters(BOB)
    assert await carol.hears(1) == [f"room-{bob}"]


async def test_rooms_that_nobody_here_was_in_are_told_together(scene: Scene) -> None:
    carol = Here(scene, CAROL)
    rooms = dict.fromkeys((HALL, CELLAR), 1)
    carol.session.opened(Opened(carol.session.session, resumed=False, rooms=rooms), SecretHash(b""))
    await scene.delivery.follow(carol.harness.connection, carol.session)
    numbers = [await scene.enters(user, room) for user in (ALICE, BOB) for room in (HALL, CELLAR)]

    scene.delivery.release(carol.session, NOTHING)

    assert await carol.hears(4) == [
        *(f"room-{number}-after-{numbers[0] - 1}" for number in numbers[:3]),
        f"room-{numbers[3]}",
    ]
    await scene.delivery.drop(carol.session)
    assert scene.retold == []


async def test_who_is_gone_has_no_seat(scene: Scene) -> None:
    carol, hall = await carol_in_the_hall(scene)
    await scene.delivery.drop(carol.session)
    assert hall.seats == {}


async def test_of_who_is_gone_nothing_is_left(scene: Scene) -> None:
    async def comes_and_goes() -> None:
        carol = Here(scene, CAROL)
        await carol.comes(HALL)
        number = await scene.enters(ALICE)
        assert await carol.hears(1) == [f"room-{number}"]
        carol.harness.say_goodbye()
        carol.harness.lose()
        await scene.delivery.drop(carol.session)
        carol.harness.end()

    await comes_and_goes()
    with no_more_is_left():
        await comes_and_goes()


async def test_who_waits_for_a_list_gets_it_when_presence_is_back(scene: Scene) -> None:
    number = await scene.enters(ALICE)
    scene.is_silent = True
    carol = Here(scene, CAROL, batches=True)
    await carol.comes(HALL, resumed=True, last="unknown")
    await until(lambda: len(scene.asked) > 0)
    scene.is_silent = False
    assert await carol.hears(1) == [f"room-{number}-list"]


async def test_a_list_goes_no_further_than_what_its_reader_was_told(scene: Scene) -> None:
    carol = Here(scene, CAROL)
    await carol.comes()
    joined = await carol.joins()
    hall = await scene.rooms.listen(HALL)
    feed = scene.mailbox.feed(carol.session)
    assert feed is not None
    feed.hold()
    number = await scene.enters(BOB)
    await scene.rooms.reached(hall, number)
    listed = await carol.asks(ListMembers(CAROL, carol.session.session, HALL))
    assert isinstance(listed, RoomListing)
    assert listed.page.number == joined.page.number < number
    feed.release(NOTHING)
    assert await carol.hears(1) == [f"room-{number}"]


async def test_who_was_put_in_and_out_again_is_not_told_when_it_is_back(scene: Scene) -> None:
    carol = Here(scene, CAROL, places=True)
    await carol.is_followed(HALL, resumed=True)
    scene.broker.send(SUBJECTS.user(CAROL, carol.session.session), put_in(carol.session, HALL))
    await sends(scene, "a")
    for rooms, told in (((HALL,), 2), ((), 1)):
        await scene.delivery.drop(carol.session)
        carol = Here(scene, CAROL, places=True)
        await carol.comes(*rooms, resumed=True, place="1")
        heard = await carol.hears(told)
        assert len(heard) == told
        assert heard[-1] == "a"


async def test_that_one_was_put_in_is_not_told_after_one_was_put_out(scene: Scene) -> None:
    carol = Here(scene, CAROL)
    await carol.comes()
    carol.session.rooms[HALL] = 1
    event = put_in(carol.session, HALL)
    carol.session.rooms.clear()
    scene.broker.send(SUBJECTS.user(CAROL, carol.session.session), event)
    await sends(scene, "a")
    assert await carol.hears(1) == ["a"]
