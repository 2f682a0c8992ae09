"""JOIN, LEAVE and MEMBERS, answered from what the gateway knows."""

import asyncio
import json

import msgspec
import pytest

from gateway.client.actions import RoomListing
from gateway.client.deliveries import NOTHING
from gateway.client.pages import Page
from gateway.rooms.delivery import RoomDelivery
from gateway.rooms.memberships import LISTS_AT_ONCE, NOT_THERE, Answer
from tests.broker.gateway.rooms.scene import ALICE, BOB, CAROL, HALL, Here, Scene
from tests.broker.gateway.rooms.test_delivery import DAN
from tests.support.waiting import until
from tests.unit.gateway.client.harness import AN_HOUR_S
from tieline.wire.ids import RoomId
from tieline.wire.internal.answers import Done
from tieline.wire.internal.backend import JoinOrder
from tieline.wire.internal.rooms import JoinRoom, LeaveRoom, ListMembers, RoomJoined, RoomMembers


def names(answer: object) -> list[str]:
    """Who is listed."""
    assert isinstance(answer, RoomListing)
    return [member["userId"] for member in json.loads(msgspec.json.encode(answer.page))["members"]]


async def test_who_joins_is_listed_at_the_number_of_that(scene: Scene) -> None:
    await scene.enters(ALICE)
    bob = Here(scene, BOB)
    await bob.comes()
    answer = await bob.joins()
    assert names(answer) == [ALICE, BOB]
    assert answer.page.number == (await scene.rooms.listen(HALL)).number
    assert answer.joined_at == 2
    number = await scene.enters(CAROL)
    assert await bob.hears(1) == [f"room-{number}"]


async def test_a_new_room_is_listened_to_while_presence_answers(scene: Scene) -> None:
    await scene.enters(ALICE)
    bob = Here(scene, BOB)
    await bob.comes()

    async def go_on() -> None:
        assert scene.rooms.known(HALL) is None
        await scene.leaves(ALICE)
        await scene.enters(CAROL)
        await scene.rooms.listen(HALL)

    scene.before_answer = go_on
    assert names(await bob.joins()) == [BOB, CAROL]


async def test_so_many_lists_are_asked_for_side_by_side(scene: Scene) -> None:
    rooms = [RoomId(f"room-{number}") for number in range(LISTS_AT_ONCE + 3)]
    bob = Here(scene, BOB)
    await bob.comes(*rooms, listens=True)
    under_way = most = 0

    async def take_a_while() -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await scene.mailbox.settled()
        under_way -= 1

    scene.before_answer = take_a_while
    asks = (bob.asks(ListMembers(BOB, bob.session.session, room)) for room in rooms)
    await asyncio.gather(*asks)
    assert most == LISTS_AT_ONCE
    assert len(scene.asked) == len(rooms)


async def test_presence_lists_a_room_once_for_all(scene: Scene) -> None:
    await scene.enters(ALICE)
    clients = [Here(scene, user) for user in (BOB, CAROL)]
    for client in clients:
        await client.comes(HALL)
    hall = await scene.rooms.listen(HALL)
    await until(lambda: len(hall.seats) == len(clients))
    asks = (client.asks(ListMembers(client.session.user, client.session.session, HALL)) for client in clients)
    answers = await asyncio.gather(*asks)
    assert [names(answer) for answer in answers] == [[ALICE], [ALICE]]
    assert len(scene.asked) == 1


async def test_who_joins_again_is_answered_without_presence(scene: Scene) -> None:
    bob = Here(scene, BOB)
    await bob.comes()
    first = await bob.joins()
    asked = len(scene.asked)
    assert await bob.joins() == first
    assert len(scene.asked) == asked


async def test_a_page_is_a_part_of_the_list(scene: Scene) -> None:
    await scene.enters(ALICE)
    bob = Here(scene, BOB, batches=True)
    await bob.comes()
    join = JoinRoom(BOB, bob.session.session, HALL)
    answer = await bob.asks(join, Page(limit=1))
    assert isinstance(answer, RoomListing)
    assert (names(answer), answer.page.count, answer.page.next) == ([ALICE], 2, "1.alice")


async def test_who_has_left_hears_nothing_more(scene: Scene) -> None:
    bob = Here(scene, BOB)
    await bob.comes()
    await bob.joins()
    assert await bob.asks(LeaveRoom(BOB, bob.session.session, HALL)) == Done()
    hall = await scene.rooms.listen(HALL)
    await scene.rooms.reached(hall, await scene.enters(ALICE))
    assert hall.seats == {}
    assert bob.harness.names() == []


async def test_an_older_presence_is_asked_each_time(scene: Scene) -> None:
    bob = Here(scene, BOB)
    await bob.comes()
    await scene.enters(BOB)
    scene.is_old = True
    join = JoinRoom(BOB, bob.session.session, HALL)
    listed = ListMembers(BOB, bob.session.session, HALL)
    assert isinstance(await bob.asks(join), RoomMembers)
    assert isinstance(await bob.asks(listed), RoomMembers)
    assert isinstance(await bob.asks(join), RoomMembers)
    assert len(scene.asked) == 3


async def test_without_an_answer_of_presence_there_is_none(scene: Scene) -> None:
    bob = Here(scene, BOB)
    await bob.comes()
    scene.is_silent = True
    assert await bob.asks(JoinRoom(BOB, bob.session.session, HALL)) is None


@pytest.mark.parametrize("is_known", [False, True])
async def test_who_is_put_out_while_it_joins_has_no_seat(scene: Scene, is_known: bool) -> None:
    scene.is_strict = True
    bob, dan = Here(scene, BOB), Here(scene, DAN)
    await bob.comes()
    await dan.comes()
    if is_known:
        await dan.joins()

    async def put_out() -> None:
        scene.before_answer = None
        hall = await scene.rooms.listen(HALL)
        await scene.rooms.reached(hall, await scene.puts_out(BOB, HALL))

    scene.before_answer = put_out
    assert await bob.asks(JoinRoom(BOB, bob.session.session, HALL)) == NOT_THERE
    hall = await scene.rooms.listen(HALL)
    await scene.rooms.reached(hall, await scene.enters(CAROL))
    assert bob.session.connection not in hall.seats
    assert bob.harness.names() == []


async def test_who_is_put_out_while_it_is_listed_is_no_member(scene: Scene) -> None:
    scene.is_strict = True
    bob = Here(scene, BOB)
    await bob.comes()
    await bob.joins()
    hall = await scene.rooms.listen(HALL)
    hall.roster = None

    async def put_out() -> None:
        scene.before_answer = None
        await scene.rooms.reached(hall, await scene.puts_out(BOB, HALL))
        await bob.hears(1)

    scene.before_answer = put_out
    assert await bob.asks(ListMembers(BOB, bob.session.session, HALL)) == NOT_THERE


async def test_who_was_put_out_and_not_told_yet_joins_anew(scene: Scene) -> None:
    bob = Here(scene, BOB)
    await bob.comes()
    await bob.joins()
    hall = await scene.rooms.listen(HALL)
    hall.due_at = asyncio.get_running_loop().time() + AN_HOUR_S
    put_out = await scene.puts_out(BOB, HALL)
    await scene.rooms.reached(hall, put_out)
    assert names(await bob.joins()) == [BOB]
    assert bob.names() == [f"room-{put_out}"], "before it has joined anew"


async def test_who_is_put_in_while_it_leaves_is_there(scene: Scene) -> None:
    scene.is_strict = True
    bob = Here(scene, BOB)
    await bob.comes()
    await bob.joins()
    putting_in: list[asyncio.Task[Answer]] = []
    order = JoinOrder(BOB, HALL, bob.session.session, 7, "0a")

    async def put_in() -> None:
        scene.before_answer = None
        putting_in.append(asyncio.create_task(scene.memberships.put_in(bob.session, order, scene.asks)))
        for _ in range(5):  # round trips, of which it takes two
            await scene.mailbox.settled()

    scene.before_answer = put_in
    assert await bob.asks(LeaveRoom(BOB, bob.session.session, HALL)) == Done()
    assert isinstance(await putting_in[0], RoomListing)
    joins = [ask for ask in scene.asked if isinstance(ask, JoinRoom)]
    assert [(ask.is_ordered, ask.order, ask.once) for ask in joins] == [(False, 0, ""), (True, 7, "0a")]
    carol = await scene.enters(CAROL)
    assert await bob.hears(1) == [f"room-{carol}"]


async def is_put_in(scene: Scene, here: Here) -> Answer:
    """Let the backend put a client into the hall, as its gateway does that."""
    order = JoinOrder(here.session.user, HALL, here.session.session)
    answer = await scene.memberships.put_in(here.session, order, scene.asks)
    if isinstance(answer, RoomListing):
        here.session.rooms[HALL] = answer.joined_at or 0
    return answer


async def test_who_is_put_in_again_before_it_was_told_that_it_is_out(scene: Scene) -> None:
    bob = Here(scene, BOB)
    await bob.comes()
    assert isinstance(await is_put_in(scene, bob), RoomListing)
    assert await is_put_in(scene, bob) == RoomJoined(0), "it is there"
    hall = await scene.rooms.listen(HALL)
    hall.due_at = asyncio.get_running_loop().time() + AN_HOUR_S
    put_out = await scene.puts_out(BOB, HALL)
    await scene.rooms.reached(hall, put_out)
    assert isinstance(await is_put_in(scene, bob), RoomListing)
    assert bob.names() == [f"room-{put_out}"]
    carol = await scene.enters(CAROL)
    await scene.rooms.reached(hall, carol)
    hall.seats[bob.session.connection].owner.tell()
    assert bob.names() == [f"room-{carol}"]
    assert set(bob.session.rooms) == {HALL}


@pytest.mark.parametrize("is_ordered", [False, True])
async def test_who_is_held_back_and_put_out_is_no_member(scene: Scene, is_ordered: bool) -> None:
    bob = Here(scene, BOB)
    await bob.comes()
    await bob.joins()
    bob.session.rooms[HALL] = 1
    hall = await scene.rooms.listen(HALL)
    feed = scene.mailbox.feed(bob.session)
    assert feed is not None
    feed.hold()
    await scene.rooms.reached(hall, await scene.puts_out(BOB, HALL))
    scene.asked.clear()
    answer = await (is_put_in(scene, bob) if is_ordered else bob.joins())
    assert isinstance(answer, RoomListing)
    assert [type(ask) for ask in scene.asked] == [JoinRoom], "presence knows whether it is one"
    assert names(answer) == [BOB]


async def test_who_is_no_member_when_it_asks_again_is_none_here(scene: Scene) -> None:
    scene.is_strict = True
    bob = Here(scene, BOB)
    await bob.comes()
    await bob.joins()
    bob.session.rooms[HALL] = 1
    hall = await scene.rooms.listen(HALL)

    async def put_out() -> None:
        scene.before_answer = None
        await scene.rooms.reached(hall, await scene.puts_out(BOB, HALL))

    hall.due_at = asyncio.get_running_loop().time() + AN_HOUR_S
    bob.session.numbering.next()  # a request that was given up may still be carried out
    scene.before_answer = put_out
    assert await bob.asks(JoinRoom(BOB, bob.session.session, HALL)) == NOT_THERE
    assert bob.session.rooms == {}


async def test_who_is_put_in_while_it_is_held_back_gets_its_list(scene: Scene) -> None:
    await scene.enters(ALICE)
    bob = Here(scene, BOB, batches=True, places=True)
    await bob.comes()
    feed = scene.mailbox.feed(bob.session)
    assert feed is not None
    feed.hold()
    assert isinstance(scene.delivery, RoomDelivery)
    order = JoinOrder(BOB, HALL, bob.session.session)
    assert isinstance(await scene.delivery.put_in(bob.session, order, scene.asks), RoomListing)
    hall = await scene.rooms.listen(HALL)
    hall.roster = None
    assert bob.harness.texts() == []
    feed.release(NOTHING)
    await until(lambda: bool(hall.roster))
    (listed,) = map(json.loads, bob.harness.texts())
    assert [member["userId"] for member in listed["data"]["members"]] == [ALICE, BOB]
