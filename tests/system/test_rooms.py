"""JOIN, LEAVE, MEMBERS, and what the others hear (docs/protocol.md#3-commands)."""

import asyncio
import time
from collections.abc import Mapping

import pytest

from tests.support import frames
from tests.support.frames import Json, new_id
from tests.support.partitions import told_to_all
from tests.support.people import People, Person
from tests.support.waiting import until_true
from tests.system.conftest import MAX_MEMBERS, everywhere


def names(roster: Json) -> list[str]:
    return [member["userId"] for member in roster["members"]]


@everywhere
async def test_join_answers_with_everybody_in_the_order_of_joining(people: People) -> None:
    before = time.time_ns() // 1_000_000
    bob = await people.connect("bob")
    alice = await people.connect("alice", claims={"voice": False})
    assert names(await bob.asks("JOIN", {"room": people.room})) == [bob.user]
    roster = await alice.asks("JOIN", {"room": people.room})
    after = time.time_ns() // 1_000_000
    times = [member["joinedAt"] for member in roster["members"]]
    assert roster == {
        "room": people.room,
        "members": [
            {"userId": bob.user, "status": "online", "voice": True, "joinedAt": times[0]},
            {"userId": alice.user, "status": "online", "voice": False, "joinedAt": times[1]},
        ],
        "number": roster["number"],
    }
    assert before <= times[0] <= times[1] <= after


async def test_members_answers_what_join_answers(people: People) -> None:
    alice = await people.enter("alice")
    bob = await people.connect("bob")
    roster = await bob.asks("JOIN", {"room": people.room})
    assert await bob.asks("MEMBERS", {"room": people.room}) == roster
    await alice.hears_joined(people.room, bob.user)
    listed = await alice.asks("MEMBERS", {"room": people.room})
    assert told_to_all(listed) == told_to_all(roster)


async def test_the_others_hear_of_who_joins_and_the_one_who_joins_does_not(people: People) -> None:
    alice, bob = await people.two()
    carol = await people.connect("carol")
    await carol.asks("JOIN", {"room": people.room})
    for other in (alice, bob):
        await other.hears_joined(people.room, carol.user)
    await people.hear_nothing(alice, bob, carol)


async def test_to_join_again_answers_the_same_and_is_no_event(people: People) -> None:
    alice = await people.enter("alice")
    bob = await people.connect("bob")
    roster = await bob.asks("JOIN", {"room": people.room})
    await alice.hears_joined(people.room, bob.user)
    assert await bob.asks("JOIN", {"room": people.room}) == roster
    listed = await alice.asks("JOIN", {"room": people.room})
    assert told_to_all(listed) == told_to_all(roster)
    await people.hear_nothing(alice, bob)


@everywhere
async def test_leave_is_answered_and_heard_by_the_others(people: People) -> None:
    alice, bob = await people.two()
    assert await bob.asks("LEAVE", {"room": people.room}) == {"room": people.room}
    await alice.hears_left(people.room, bob.user, "left")
    assert names(await alice.asks("MEMBERS", {"room": people.room})) == [alice.user]
    await bob.asks_in_vain("MEMBERS", {"room": people.room}, "NOT_IN_SAME_ROOM")
    await people.hear_nothing(alice)
    await bob.pings()


async def test_to_leave_where_one_is_not_is_answered_and_no_event(people: People) -> None:
    alice = await people.enter("alice")
    bob = await people.connect("bob")
    assert await bob.asks("LEAVE", {"room": people.room}) == {"room": people.room}
    assert await alice.asks("LEAVE", {"room": new_id("nowhere")}) != {}
    await people.hear_nothing(alice)


async def test_who_comes_again_is_last_in_the_roster(people: People) -> None:
    alice, bob = await people.two()
    await alice.asks("LEAVE", {"room": people.room})
    await bob.hears_left(people.room, alice.user, "left")
    assert names(await alice.asks("JOIN", {"room": people.room})) == [bob.user, alice.user]
    await bob.hears_joined(people.room, alice.user)


async def test_a_stranger_is_not_told_who_is_there(people: People) -> None:
    await people.enter("alice")
    bob = await people.connect("bob")
    await bob.asks_in_vain("MEMBERS", {"room": people.room}, "NOT_IN_SAME_ROOM")
    await bob.asks_in_vain("MEMBERS", {"room": new_id("nowhere")}, "NOT_IN_SAME_ROOM")


@pytest.mark.parametrize("end", ["close", "drop"])
async def test_whose_connection_ends_has_left(people: People, end: str) -> None:
    alice, bob = await people.two()
    await (bob.connection.close() if end == "close" else bob.connection.drop())
    await alice.hears_left(people.room, bob.user, "disconnected")
    assert names(await alice.asks("MEMBERS", {"room": people.room})) == [alice.user]
    await people.hear_nothing(alice)


async def test_one_may_be_in_many_rooms(people: People) -> None:
    rooms = [new_id("room") for _ in range(3)]
    alice = await people.connect("alice", claims={"join": rooms})
    assert sorted(alice.welcome["data"]["rooms"]) == sorted(rooms)
    bob = await people.connect("bob", claims={"join": [rooms[1]]})
    await alice.hears_joined(rooms[1], bob.user)
    await bob.asks("JOIN", {"room": rooms[2]})
    await alice.hears_joined(rooms[2], bob.user)
    await bob.connection.drop()
    left = [(await alice.hear())["data"] for _ in range(2)]
    for room in rooms[1:]:
        assert {"room": room, "userId": bob.user, "reason": "disconnected"} in left


async def test_the_rooms_of_the_claim_join_are_joined_at_connect(people: People) -> None:
    alice = await people.enter("alice")
    bob = await people.connect("bob", claims={"join": [people.room, people.room], "rooms": None})
    assert bob.welcome["data"]["rooms"] == [people.room]
    await alice.hears_joined(people.room, bob.user)
    assert names(await bob.asks("MEMBERS", {"room": people.room})) == [alice.user, bob.user]
    await people.hear_nothing(alice, bob)


@pytest.mark.parametrize("claims", [{"rooms": None}, {"rooms": []}, {"rooms": ["another"]}, {"rooms": ["*"]}])
async def test_a_room_that_the_token_does_not_grant_is_forbidden(
    people: People, claims: Mapping[str, object]
) -> None:
    alice = await people.enter("alice")
    bob = await people.connect("bob", claims=claims)
    await bob.asks_in_vain("JOIN", {"room": people.room}, "ROOM_FORBIDDEN")
    await people.hear_nothing(alice)


@pytest.mark.parametrize("claim", ["rooms", "join"])
async def test_a_room_named_in_the_token_may_be_joined_and_joined_anew(people: People, claim: str) -> None:
    alice = await people.connect("alice", claims={"rooms": None, claim: [people.room]})
    for _ in range(2):
        await alice.asks("JOIN", {"room": people.room})
        await alice.asks("LEAVE", {"room": people.room})


async def test_a_new_session_has_no_rooms_but_those_of_its_token(people: People) -> None:
    alice = await people.enter("alice")
    await alice.connection.close()
    again = await people.connect("alice", user=alice.user)
    assert again.welcome["data"]["rooms"] == []
    await again.asks_in_vain("MEMBERS", {"room": people.room}, "NOT_IN_SAME_ROOM")


async def test_a_full_room_takes_nobody_and_says_so(people: People) -> None:
    members = [await people.enter("member") for _ in range(MAX_MEMBERS)]
    late = await people.connect("late", claims={"join": [people.room]})
    assert late.welcome["data"]["rooms"] == []
    await late.asks_in_vain("JOIN", {"room": people.room}, "ROOM_FULL")
    await members[0].asks("JOIN", {"room": people.room})  # a member stays one
    await members[0].connection.drop()  # and a user who is offline does not count
    for other in members[1:]:
        await other.hears_left(people.room, members[0].user, "disconnected")

    async def gets_in() -> list[str] | None:  # for a second a process of presence may believe that it is full
        frame = frames.command("JOIN", {"room": people.room})
        late.connection.send(frame)
        heard = await late.hear()
        if heard["code"] == 200:
            return names(heard["data"])
        assert heard == frames.refusal("ROOM_FULL", frames.names_of(frame))
        return None

    assert len(await until_true(gets_in)) == MAX_MEMBERS
    for other in members[1:]:
        await other.hears_joined(people.room, late.user)


async def test_of_many_who_join_at_once_only_so_many_get_in(people: People) -> None:
    members = [await people.connect("member") for _ in range(2 * MAX_MEMBERS)]
    asked = [frames.command("JOIN", {"room": people.room}) for _ in members]
    for person, frame in zip(members, asked, strict=True):
        person.connection.send(frame)

    async def code(person: Person, frame: bytes) -> int:
        while (heard := await person.hear())["cmd"] != "JOIN":
            assert heard["cmd"] == "MEMBER_JOINED"
        if heard["code"] != 200:
            assert heard == frames.refusal("ROOM_FULL", frames.names_of(frame))
        assert isinstance(heard["code"], int)
        return heard["code"]

    codes = await asyncio.gather(*(map(code, members, asked)))
    assert sorted(codes) == [200] * MAX_MEMBERS + [1000] * MAX_MEMBERS


async def test_pong_brings_back_the_data_of_ping(people: People) -> None:
    alice = await people.connect("alice")
    anything: tuple[object, ...] = ({"at": 1.5}, None, [], "text", 0, True, {"deep": [{"er": None}]})
    for data in anything:
        frame = frames.command("PING", data)
        alice.connection.send(frame)
        pong = {**frames.names_of(frame), "cmd": "PONG", "code": 200, "msg": "success", "data": data}
        assert await alice.hear() == pong
    alice.connection.send(b'{"requestId":"no data","module":"ROOM","cmd":"PING"}')
    assert (await alice.hear())["data"] is None
