import asyncio
import random

import pytest

from presence.rules.room import UNCLAIMED_MS
from presence.store import MAX_TRIES, StoreUnavailable
from tests.unit.presence.lifetime import BusyStore, Died, HeldUpStore
from tests.unit.presence.presence_process import PresenceProcess, refusal_in
from tests.unit.presence.requests import opening
from tests.unit.presence.rules.frames import NOW
from tieline.wire.ids import RoomId, SessionId, UserId
from tieline.wire.internal.answers import Done, SessionGone
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.internal.rooms import JoinRoom, LeaveRoom, ListMembers, RoomMembers
from tieline.wire.replies import Member

ALICE, BOB, HALL = UserId("alice"), UserId("bob"), RoomId("hall")


async def with_users(*users: str, max_members: int = 1000) -> PresenceProcess:
    """A process in which these users are connected, and in no room yet."""
    process = PresenceProcess(max_members=max_members)
    for user in users:
        await process.open(opening(user))
    process.recorder.sent.clear()
    return process


def members_in(reply: PresenceReply) -> list[str]:
    """List who is in a roster."""
    assert isinstance(reply, RoomMembers)
    return [line.user_id for line in reply.members]


async def test_a_user_who_joins_gets_the_roster_and_is_in_it() -> None:
    process = await with_users("alice")
    assert await process.join("alice", "hall") == RoomMembers((Member(ALICE, "online", True, NOW),))


async def test_the_roster_says_who_is_away_and_who_may_not_start_voice() -> None:
    process = await with_users()
    await process.open(opening("alice", "hall", secret="alice's"))
    await process.open(opening("bob", "hall", voice=False))
    await process.end("alice", resumable=True)
    assert await process.ask(ListMembers(BOB, SessionId("bob-s1"), HALL)) == RoomMembers(
        (Member(ALICE, "away", True, NOW), Member(BOB, "online", False, NOW))
    )


async def test_the_roster_is_in_the_order_of_joining_then_of_names() -> None:
    process = await with_users("dan", "carol", "alice", "bob")
    for user in ("dan", "alice"):
        await process.join(user, "hall")
    process.clock.pass_s(1)
    for user in ("carol", "bob"):
        reply = await process.join(user, "hall")
    assert members_in(reply) == ["alice", "dan", "bob", "carol"]


async def test_the_others_are_told_who_joins_and_nobody_of_another_room_is() -> None:
    process = await with_users("alice", "bob", "carol")
    await process.join("bob", "hall")
    await process.join("carol", "cellar")
    await process.join("alice", "hall")
    assert process.heard_by("bob") == ["alice joined hall"]
    assert process.heard_by("carol") == process.heard_by("alice") == []


async def test_joining_again_gives_the_roster_and_tells_nobody_again() -> None:
    process = await with_users("alice", "bob", "carol")
    await process.join("bob", "hall")
    first = await process.join("alice", "hall")
    told = process.told_to("bob")
    assert await process.join("alice", "hall") == first
    await process.join("carol", "hall")
    assert members_in(await process.join("alice", "hall")) == ["alice", "bob", "carol"]
    assert "alice joined hall" not in process.heard_by("carol")
    process.clock.pass_s(60)
    told |= process.told_to("bob")
    await process.join("alice", "hall")
    assert process.told_to("bob") == told


@pytest.mark.parametrize("op", ["join", "leave", "members"])
async def test_a_session_that_has_ended_is_told_so(op: str) -> None:
    process = await with_users("alice")
    await process.join("alice", "hall")
    ended = SessionId("alice-s1")
    await process.end("alice")
    assert await ask(process, op, ended) == SessionGone(replaced=False)
    await process.open(opening("alice", number=2))
    assert await ask(process, op, ended) == SessionGone(replaced=True)


async def ask(process: PresenceProcess, op: str, session: SessionId) -> PresenceReply:
    """Let Alice ask something about the hall in one of her sessions."""
    match op:
        case "join":
            return await process.ask(JoinRoom(ALICE, session, HALL))
        case "leave":
            return await process.ask(LeaveRoom(ALICE, session, HALL))
        case _:
            return await process.ask(ListMembers(ALICE, session, HALL))


async def test_a_user_who_is_not_known_is_told_that_its_session_is_gone() -> None:
    assert await ask(await with_users(), "join", SessionId("s")) == SessionGone(replaced=False)


async def test_only_a_member_is_told_who_the_members_are() -> None:
    process = await with_users("alice", "bob")
    await process.join("alice", "hall")
    ask_bob = ListMembers(BOB, SessionId("bob-s1"), HALL)
    assert refusal_in(await process.ask(ask_bob)) == "NOT_IN_SAME_ROOM"
    await process.join("bob", "hall")
    assert members_in(await process.ask(ask_bob)) == ["alice", "bob"]


async def test_two_rooms_joined_at_once_are_both_joined() -> None:
    process = await with_users("alice")
    await asyncio.gather(process.join("alice", "hall"), process.join("alice", "cellar"))
    alice = await process.user("alice")
    assert alice is not None
    assert alice.rooms.keys() == {"hall", "cellar"}


async def test_a_full_room_refuses_and_tells_nobody() -> None:
    process = await with_users("alice", "bob", max_members=1)
    await process.join("alice", "hall")
    assert refusal_in(await process.join("bob", "hall")) == "ROOM_FULL"
    assert process.heard_by("alice") == []
    assert members_in(await process.join("alice", "hall")) == ["alice"]
    await process.leave("alice", "hall")
    assert members_in(await process.join("bob", "hall")) == ["bob"]


async def test_a_full_room_named_at_connect_is_left_out() -> None:
    process = await with_users(max_members=1)
    await process.open(opening("alice", "hall"))
    assert (await process.open(opening("bob", "hall", "cellar"))).rooms == {"cellar": NOW}


@pytest.mark.parametrize("seed", range(20))
async def test_of_many_who_join_at_once_as_many_come_in_as_may(seed: int) -> None:
    users = [f"user{number}" for number in range(12)]
    process = await with_users(*users, max_members=5)
    process.store.lingers = random.Random(seed).randrange
    replies = await asyncio.gather(*(process.join(user, "hall") for user in users))
    process.store.lingers = None
    inside = [user for user, reply in zip(users, replies, strict=True) if isinstance(reply, RoomMembers)]
    assert len(inside) == 5
    assert sorted(members_in(await process.join(inside[0], "hall"))) == sorted(inside)
    entries = {key for key in process.store.contents() if key.startswith("room.hall.")}
    assert entries == {f"room.hall.{user}" for user in inside}


async def test_an_entry_left_behind_is_removed_when_the_room_seems_full() -> None:
    process = await with_users("alice", "bob", max_members=1)
    await process.leave_an_entry_behind("alice", "hall")
    assert refusal_in(await process.join("bob", "hall")) == "ROOM_FULL"
    process.clock.now_ms += UNCLAIMED_MS
    assert members_in(await process.join("bob", "hall")) == ["bob"]
    assert "room.hall.alice" not in process.store.contents()


async def test_an_entry_left_behind_stands_in_no_roster() -> None:
    process = await with_users("alice", "bob", "carol")
    await process.leave_an_entry_behind("alice", "hall")
    assert members_in(await process.join("bob", "hall")) == ["bob"]
    await process.leave_an_entry_behind("nobody", "hall")
    assert members_in(await process.join("carol", "hall")) == ["bob", "carol"]


async def test_the_entry_of_a_session_that_is_away_is_not_removed() -> None:
    process = await with_users("bob", max_members=1)
    await process.open(opening("alice", "hall", secret="alice's"))
    await process.end("alice", resumable=True)
    process.clock.now_ms += UNCLAIMED_MS
    assert refusal_in(await process.join("bob", "hall")) == "ROOM_FULL"


@pytest.mark.parametrize("seed", range(40))
async def test_a_user_who_joins_by_an_entry_left_behind_keeps_it(seed: int) -> None:
    process = await with_users("alice", "bob", max_members=1)
    await process.leave_an_entry_behind("alice", "hall")
    process.clock.now_ms += UNCLAIMED_MS
    process.store.lingers = random.Random(seed).randrange
    replies = await asyncio.gather(process.join("alice", "hall"), process.join("bob", "hall"))
    assert sum(isinstance(reply, RoomMembers) for reply in replies) <= 1
    for user in ("alice", "bob"):
        record = await process.user(user)
        assert record is not None
        assert (HALL in record.rooms) == (f"room.hall.{user}" in process.store.contents())


async def test_the_others_are_told_who_leaves() -> None:
    process = await with_users("alice", "bob")
    await process.join("alice", "hall")
    await process.join("bob", "hall")
    process.recorder.sent.clear()
    assert await process.leave("alice", "hall") == Done()
    assert process.heard_by("bob") == ["alice left hall: left"]
    assert process.heard_by("alice") == []
    assert members_in(await process.join("bob", "hall")) == ["bob"]


async def test_leaving_without_being_a_member_tells_nobody_anything() -> None:
    process = await with_users("alice", "bob")
    await process.join("bob", "hall")
    assert await process.leave("alice", "hall") == Done()
    assert await process.leave("alice", "hall") == Done()
    assert process.heard_by("bob") == []


async def test_leaving_the_last_common_room_ends_a_call_and_the_peer_hears() -> None:
    process = await with_users("alice", "bob")
    for user in ("alice", "bob"):
        await process.join(user, "hall")
        await process.join(user, "cellar")
    await process.signal("alice", "bob", "OFFER", "offer")
    await process.leave("alice", "cellar")
    assert (await process.pair("alice", "bob")).is_active
    process.recorder.sent.clear()
    await process.leave("alice", "hall")
    assert not (await process.pair("alice", "bob")).is_active
    assert process.heard_by("bob") == ["hangup of alice: left", "alice left hall: left"]
    assert process.heard_by("alice") == []
    changed = [sent.subject for sent in process.heard_elsewhere("changed")]
    assert changed == ["tieline.changed.alice"] * 2  # for what has become of her, and of the call


async def test_a_user_who_left_may_come_again_and_is_announced() -> None:
    process = await with_users("alice", "bob")
    await process.join("bob", "hall")
    await process.join("alice", "hall")
    await process.leave("alice", "hall")
    await process.join("alice", "hall")
    assert process.heard_by("bob") == ["alice joined hall", "alice left hall: left", "alice joined hall"]
    assert len(process.told_to("bob")) == 3


async def test_coming_again_is_announced_though_leaving_was_not_yet() -> None:
    process = await with_users("alice", "bob")
    await process.join("bob", "hall")
    await process.join("alice", "hall")
    process.life.begin(1)
    with pytest.raises(Died):
        await process.leave("alice", "hall")
    process.life.begin(None)
    await process.join("alice", "hall")
    assert process.heard_by("bob") == ["alice joined hall", "alice left hall: left", "alice joined hall"]
    assert len(process.told_to("bob")) == 3, "a gateway drops what it takes for a repetition"


async def test_a_slow_leave_takes_no_later_membership_along() -> None:
    process = await with_users("alice", "bob")
    for user in ("alice", "bob"):
        await process.join(user, "hall")
    quick, slow = PresenceProcess(beside=process), HeldUpStore(process.store, "room.hall.*")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(process.over(slow).leave("alice", "hall"))
        await slow.is_reached.wait()
        await quick.leave("alice", "hall")
        await quick.join("alice", "hall")
        slow.may_go_on.set()
    assert members_in(await quick.join("bob", "hall")) == ["alice", "bob"]


async def test_a_user_who_joins_while_away_is_announced_as_away() -> None:
    process = await with_users("bob")
    await process.open(opening("alice", secret="alice's"))
    await process.join("bob", "hall")
    await process.end("alice", resumable=True)
    await process.join("alice", "hall")
    assert process.heard_by("bob") == ["alice joined hall", "alice is away in hall"]


@pytest.mark.parametrize("op", ["join", "leave"])
async def test_a_process_that_loses_every_round_gives_up(op: str) -> None:
    process = await with_users("alice")
    await process.join("alice", "cellar" if op == "join" else "hall")
    busy = BusyStore(process.store, "user.")
    with pytest.raises(StoreUnavailable):
        await ask(process.over(busy), op, SessionId("alice-s1"))
    assert busy.refused == MAX_TRIES
