import asyncio
import random

import pytest

from presence.records import MAX_TRIES
from presence.rooms import UNCLAIMED_MS
from presence.store import StoreUnavailable
from tests.unit.presence.frames import NOW
from tests.unit.presence.house import House, opening, refusal_in
from tests.unit.presence.mortal import BusyStore
from tieline.wire.ids import RoomId, SessionId, UserId
from tieline.wire.internal import (
    Done,
    JoinRoom,
    LeaveRoom,
    ListMembers,
    PresenceReply,
    RoomMembers,
    SessionGone,
)
from tieline.wire.replies import Member

ALICE, BOB, HALL = UserId("alice"), UserId("bob"), RoomId("hall")


async def house_with(*users: str, max_members: int = 1000) -> House:
    """A house in which these users are connected, and in no room yet."""
    house = House(max_members=max_members)
    for user in users:
        await house.open(opening(user))
    house.recorder.sent.clear()
    return house


def members_in(reply: PresenceReply) -> list[str]:
    """List who is in a roster."""
    assert isinstance(reply, RoomMembers)
    return [line.user_id for line in reply.members]


# Joining. ---------------------------------------------------------------------------------------------


async def test_who_joins_gets_the_roster_with_himself_in_it() -> None:
    house = await house_with("alice")
    assert await house.join("alice", "hall") == RoomMembers((Member(ALICE, "online", True, NOW),))


async def test_the_roster_says_who_is_away_and_who_may_not_start_voice() -> None:
    house = await house_with()
    await house.open(opening("alice", "hall", secret="alice's"))
    await house.open(opening("bob", "hall", voice=False))
    await house.end("alice", resumable=True)
    assert await house.rooms.members(ListMembers(BOB, SessionId("bob-s1"), HALL)) == RoomMembers(
        (Member(ALICE, "away", True, NOW), Member(BOB, "online", False, NOW))
    )


async def test_the_roster_is_in_the_order_of_joining_and_of_names_at_one_moment() -> None:
    house = await house_with("dan", "carol", "alice", "bob")
    for user in ("dan", "alice"):
        await house.join(user, "hall")
    house.clock.pass_s(1)
    for user in ("carol", "bob"):
        reply = await house.join(user, "hall")
    assert members_in(reply) == ["alice", "dan", "bob", "carol"]


async def test_the_others_are_told_who_joins_and_nobody_of_another_room_is() -> None:
    house = await house_with("alice", "bob", "carol")
    await house.join("bob", "hall")
    await house.join("carol", "cellar")
    await house.join("alice", "hall")
    assert house.heard_by("bob") == ["alice joined hall"]
    assert house.heard_by("carol") == house.heard_by("alice") == []


async def test_joining_again_gives_the_roster_again_and_tells_nobody_anything_new() -> None:
    house = await house_with("alice", "bob", "carol")
    await house.join("bob", "hall")
    first = await house.join("alice", "hall")
    told = house.told_to("bob")
    assert await house.join("alice", "hall") == first
    await house.join("carol", "hall")
    assert members_in(await house.join("alice", "hall")) == ["alice", "bob", "carol"]
    assert "alice joined hall" not in house.heard_by("carol")
    house.clock.pass_s(60)
    told |= house.told_to("bob")
    await house.join("alice", "hall")
    assert house.told_to("bob") == told


@pytest.mark.parametrize("op", ["join", "leave", "members"])
async def test_a_session_that_has_ended_is_told_so(op: str) -> None:
    house = await house_with("alice")
    await house.join("alice", "hall")
    ended = SessionId("alice-s1")
    await house.end("alice")
    assert await ask(house, op, ended) == SessionGone(replaced=False)
    await house.open(opening("alice", number=2))
    assert await ask(house, op, ended) == SessionGone(replaced=True)


async def ask(house: House, op: str, session: SessionId) -> PresenceReply:
    """Let Alice ask something about the hall in one of her sessions."""
    match op:
        case "join":
            return await house.rooms.join(JoinRoom(ALICE, session, HALL))
        case "leave":
            return await house.rooms.leave(LeaveRoom(ALICE, session, HALL))
        case _:
            return await house.rooms.members(ListMembers(ALICE, session, HALL))


async def test_who_is_not_known_at_all_is_told_that_his_session_is_gone() -> None:
    assert await ask(await house_with(), "join", SessionId("s")) == SessionGone(replaced=False)


async def test_only_a_member_is_told_who_the_members_are() -> None:
    house = await house_with("alice", "bob")
    await house.join("alice", "hall")
    ask_bob = ListMembers(BOB, SessionId("bob-s1"), HALL)
    assert refusal_in(await house.rooms.members(ask_bob)) == "NOT_IN_SAME_ROOM"
    await house.join("bob", "hall")
    assert members_in(await house.rooms.members(ask_bob)) == ["alice", "bob"]


async def test_two_rooms_joined_at_once_are_both_joined() -> None:
    house = await house_with("alice")
    await asyncio.gather(house.join("alice", "hall"), house.join("alice", "cellar"))
    alice = await house.user("alice")
    assert alice is not None
    assert alice.rooms.keys() == {"hall", "cellar"}


# Full rooms. ------------------------------------------------------------------------------------------


async def test_a_full_room_refuses_and_tells_nobody() -> None:
    house = await house_with("alice", "bob", max_members=1)
    await house.join("alice", "hall")
    assert refusal_in(await house.join("bob", "hall")) == "ROOM_FULL"
    assert house.heard_by("alice") == []
    assert members_in(await house.join("alice", "hall")) == ["alice"]
    await house.leave("alice", "hall")
    assert members_in(await house.join("bob", "hall")) == ["bob"]


async def test_a_full_room_named_at_connect_is_left_out() -> None:
    house = await house_with(max_members=1)
    await house.open(opening("alice", "hall"))
    assert (await house.open(opening("bob", "hall", "cellar"))).rooms == {"cellar": NOW}


@pytest.mark.parametrize("seed", range(20))
async def test_of_many_who_join_at_once_as_many_come_in_as_there_is_room_for(seed: int) -> None:
    users = [f"user{number}" for number in range(12)]
    house = await house_with(*users, max_members=5)
    house.store.lingers = random.Random(seed).randrange
    replies = await asyncio.gather(*(house.join(user, "hall") for user in users))
    house.store.lingers = None
    inside = [user for user, reply in zip(users, replies, strict=True) if isinstance(reply, RoomMembers)]
    assert len(inside) == 5
    assert sorted(members_in(await house.join(inside[0], "hall"))) == sorted(inside)
    seats = {key for key in house.store.contents() if key.startswith("room.hall.")}
    assert seats == {f"room.hall.{user}" for user in inside}


async def test_a_seat_that_was_left_behind_is_swept_when_the_room_seems_full() -> None:
    house = await house_with("alice", "bob", max_members=1)
    await house.leave_a_seat_behind("alice", "hall")
    assert refusal_in(await house.join("bob", "hall")) == "ROOM_FULL"
    house.clock.now_ms += UNCLAIMED_MS
    assert members_in(await house.join("bob", "hall")) == ["bob"]
    assert "room.hall.alice" not in house.store.contents()


async def test_a_seat_that_was_left_behind_stands_in_no_roster() -> None:
    house = await house_with("alice", "bob", "carol")
    await house.leave_a_seat_behind("alice", "hall")
    assert members_in(await house.join("bob", "hall")) == ["bob"]
    await house.leave_a_seat_behind("nobody", "hall")
    assert members_in(await house.join("carol", "hall")) == ["bob", "carol"]


async def test_the_seat_of_a_session_that_is_away_is_not_swept() -> None:
    house = await house_with("bob", max_members=1)
    await house.open(opening("alice", "hall", secret="alice's"))
    await house.end("alice", resumable=True)
    house.clock.now_ms += UNCLAIMED_MS
    assert refusal_in(await house.join("bob", "hall")) == "ROOM_FULL"


@pytest.mark.parametrize("seed", range(40))
async def test_who_comes_back_to_the_seat_he_left_behind_is_not_swept_from_it(seed: int) -> None:
    house = await house_with("alice", "bob", max_members=1)
    await house.leave_a_seat_behind("alice", "hall")
    house.clock.now_ms += UNCLAIMED_MS
    house.store.lingers = random.Random(seed).randrange
    replies = await asyncio.gather(house.join("alice", "hall"), house.join("bob", "hall"))
    assert sum(isinstance(reply, RoomMembers) for reply in replies) <= 1
    for user in ("alice", "bob"):
        record = await house.user(user)
        assert record is not None
        assert (HALL in record.rooms) == (f"room.hall.{user}" in house.store.contents())


# Leaving. ---------------------------------------------------------------------------------------------


async def test_the_others_are_told_who_leaves() -> None:
    house = await house_with("alice", "bob")
    await house.join("alice", "hall")
    await house.join("bob", "hall")
    house.recorder.sent.clear()
    assert await house.leave("alice", "hall") == Done()
    assert house.heard_by("bob") == ["alice left hall: left"]
    assert house.heard_by("alice") == []
    assert members_in(await house.join("bob", "hall")) == ["bob"]


async def test_who_leaves_without_being_a_member_is_told_that_it_is_so_and_others_are_told_nothing() -> None:
    house = await house_with("alice", "bob")
    await house.join("bob", "hall")
    assert await house.leave("alice", "hall") == Done()
    assert await house.leave("alice", "hall") == Done()
    assert house.heard_by("bob") == []


async def test_leaving_the_last_common_room_ends_a_negotiation_and_tells_the_peer() -> None:
    house = await house_with("alice", "bob")
    for user in ("alice", "bob"):
        await house.join(user, "hall")
        await house.join(user, "cellar")
    await house.signal("alice", "bob", "OFFER", "offer")
    await house.leave("alice", "cellar")
    assert (await house.pair("alice", "bob")).is_active
    house.recorder.sent.clear()
    await house.leave("alice", "hall")
    assert not (await house.pair("alice", "bob")).is_active
    assert house.heard_by("bob") == ["hangup of alice: left", "alice left hall: left"]
    assert house.heard_by("alice") == []
    assert [sent.subject for sent in house.heard_elsewhere("changed")] == ["tieline.changed.alice"]


async def test_who_has_left_may_come_again_and_is_announced_again() -> None:
    house = await house_with("alice", "bob")
    await house.join("bob", "hall")
    await house.join("alice", "hall")
    await house.leave("alice", "hall")
    await house.join("alice", "hall")
    assert house.heard_by("bob") == ["alice joined hall", "alice left hall: left", "alice joined hall"]
    assert len(house.told_to("bob")) == 3


# Never getting through. -------------------------------------------------------------------------------


@pytest.mark.parametrize("op", ["join", "leave"])
async def test_who_never_gets_a_write_through_gives_up(op: str) -> None:
    house = await house_with("alice")
    await house.join("alice", "cellar" if op == "join" else "hall")
    busy = BusyStore(house.store, "user.")
    with pytest.raises(StoreUnavailable):
        await ask(house.over(busy), op, SessionId("alice-s1"))
    assert busy.refused == MAX_TRIES
