"""JOIN, LEAVE, MEMBERS, and what the others hear (docs/protocol.md#3-commands)."""

import asyncio
import time
from collections.abc import Mapping

import pytest

from tests.support import frames
from tests.support.cast import Cast, Person
from tests.support.frames import Json, new_id
from tests.system.conftest import MAX_MEMBERS, everywhere


def names(roster: Json) -> list[str]:
    return [member["userId"] for member in roster["members"]]


@everywhere
async def test_join_answers_with_everybody_in_the_order_of_joining(cast: Cast) -> None:
    before = time.time_ns() // 1_000_000
    bob = await cast.connect("bob")
    alice = await cast.connect("alice", claims={"voice": False})
    assert names(await bob.asks("JOIN", {"room": cast.room})) == [bob.user]
    roster = await alice.asks("JOIN", {"room": cast.room})
    after = time.time_ns() // 1_000_000
    times = [member["joinedAt"] for member in roster["members"]]
    assert roster == {
        "room": cast.room,
        "members": [
            {"userId": bob.user, "status": "online", "voice": True, "joinedAt": times[0]},
            {"userId": alice.user, "status": "online", "voice": False, "joinedAt": times[1]},
        ],
    }
    assert before <= times[0] <= times[1] <= after


async def test_members_answers_what_join_answers(cast: Cast) -> None:
    alice = await cast.enter("alice")
    bob = await cast.connect("bob")
    roster = await bob.asks("JOIN", {"room": cast.room})
    assert await bob.asks("MEMBERS", {"room": cast.room}) == roster
    await alice.hears_joined(cast.room, bob.user)
    assert await alice.asks("MEMBERS", {"room": cast.room}) == roster


async def test_the_others_hear_of_who_joins_and_the_one_who_joins_does_not(cast: Cast) -> None:
    alice, bob = await cast.two()
    carol = await cast.connect("carol")
    await carol.asks("JOIN", {"room": cast.room})
    for other in (alice, bob):
        await other.hears_joined(cast.room, carol.user)
    await cast.hear_nothing(alice, bob, carol)


async def test_to_join_again_answers_the_same_and_is_no_event(cast: Cast) -> None:
    alice = await cast.enter("alice")
    bob = await cast.connect("bob")
    roster = await bob.asks("JOIN", {"room": cast.room})
    await alice.hears_joined(cast.room, bob.user)
    assert await bob.asks("JOIN", {"room": cast.room}) == roster
    assert await alice.asks("JOIN", {"room": cast.room}) == roster
    await cast.hear_nothing(alice, bob)


@everywhere
async def test_leave_is_answered_and_heard_by_the_others(cast: Cast) -> None:
    alice, bob = await cast.two()
    assert await bob.asks("LEAVE", {"room": cast.room}) == {"room": cast.room}
    await alice.hears_left(cast.room, bob.user, "left")
    assert names(await alice.asks("MEMBERS", {"room": cast.room})) == [alice.user]
    await bob.asks_in_vain("MEMBERS", {"room": cast.room}, "NOT_IN_SAME_ROOM")
    await cast.hear_nothing(alice)
    await bob.pings()


async def test_to_leave_where_one_is_not_is_answered_and_no_event(cast: Cast) -> None:
    alice = await cast.enter("alice")
    bob = await cast.connect("bob")
    assert await bob.asks("LEAVE", {"room": cast.room}) == {"room": cast.room}
    assert await alice.asks("LEAVE", {"room": new_id("nowhere")}) != {}
    await cast.hear_nothing(alice)


async def test_who_comes_again_is_last_in_the_roster(cast: Cast) -> None:
    alice, bob = await cast.two()
    await alice.asks("LEAVE", {"room": cast.room})
    await bob.hears_left(cast.room, alice.user, "left")
    assert names(await alice.asks("JOIN", {"room": cast.room})) == [bob.user, alice.user]
    await bob.hears_joined(cast.room, alice.user)


async def test_a_stranger_is_not_told_who_is_there(cast: Cast) -> None:
    await cast.enter("alice")
    bob = await cast.connect("bob")
    await bob.asks_in_vain("MEMBERS", {"room": cast.room}, "NOT_IN_SAME_ROOM")
    await bob.asks_in_vain("MEMBERS", {"room": new_id("nowhere")}, "NOT_IN_SAME_ROOM")


@pytest.mark.parametrize("end", ["close", "drop"])
async def test_whose_connection_ends_has_left(cast: Cast, end: str) -> None:
    alice, bob = await cast.two()
    await (bob.line.close() if end == "close" else bob.line.drop())
    await alice.hears_left(cast.room, bob.user, "disconnected")
    assert names(await alice.asks("MEMBERS", {"room": cast.room})) == [alice.user]
    await cast.hear_nothing(alice)


async def test_one_may_be_in_many_rooms(cast: Cast) -> None:
    rooms = [new_id("room") for _ in range(3)]
    alice = await cast.connect("alice", claims={"join": rooms})
    assert sorted(alice.welcome["data"]["rooms"]) == sorted(rooms)
    bob = await cast.connect("bob", claims={"join": [rooms[1]]})
    await alice.hears_joined(rooms[1], bob.user)
    await bob.asks("JOIN", {"room": rooms[2]})
    await alice.hears_joined(rooms[2], bob.user)
    await bob.line.drop()
    left = [(await alice.hear())["data"] for _ in range(2)]
    for room in rooms[1:]:
        assert {"room": room, "userId": bob.user, "reason": "disconnected"} in left


async def test_the_rooms_of_the_claim_join_are_joined_at_connect(cast: Cast) -> None:
    alice = await cast.enter("alice")
    bob = await cast.connect("bob", claims={"join": [cast.room, cast.room], "rooms": None})
    assert bob.welcome["data"]["rooms"] == [cast.room]
    await alice.hears_joined(cast.room, bob.user)
    assert names(await bob.asks("MEMBERS", {"room": cast.room})) == [alice.user, bob.user]
    await cast.hear_nothing(alice, bob)


@pytest.mark.parametrize("claims", [{"rooms": None}, {"rooms": []}, {"rooms": ["another"]}, {"rooms": ["*"]}])
async def test_a_room_that_the_token_does_not_grant_is_forbidden(
    cast: Cast, claims: Mapping[str, object]
) -> None:
    alice = await cast.enter("alice")
    bob = await cast.connect("bob", claims=claims)
    await bob.asks_in_vain("JOIN", {"room": cast.room}, "ROOM_FORBIDDEN")
    await cast.hear_nothing(alice)


@pytest.mark.parametrize("claim", ["rooms", "join"])
async def test_a_room_named_in_the_token_may_be_joined_and_joined_anew(cast: Cast, claim: str) -> None:
    alice = await cast.connect("alice", claims={"rooms": None, claim: [cast.room]})
    for _ in range(2):
        await alice.asks("JOIN", {"room": cast.room})
        await alice.asks("LEAVE", {"room": cast.room})


async def test_a_new_session_has_no_rooms_but_those_of_its_token(cast: Cast) -> None:
    alice = await cast.enter("alice")
    await alice.line.close()
    again = await cast.connect("alice", user=alice.user)
    assert again.welcome["data"]["rooms"] == []
    await again.asks_in_vain("MEMBERS", {"room": cast.room}, "NOT_IN_SAME_ROOM")


async def test_a_full_room_takes_nobody_and_says_so(cast: Cast) -> None:
    people = [await cast.enter("member") for _ in range(MAX_MEMBERS)]
    late = await cast.connect("late", claims={"join": [cast.room]})
    assert late.welcome["data"]["rooms"] == []
    await late.asks_in_vain("JOIN", {"room": cast.room}, "ROOM_FULL")
    await people[0].asks("JOIN", {"room": cast.room})  # who is in is in
    await people[0].line.drop()  # and who is offline does not count
    for other in people[1:]:
        await other.hears_left(cast.room, people[0].user, "disconnected")
    assert len(names(await late.asks("JOIN", {"room": cast.room}))) == MAX_MEMBERS
    for other in people[1:]:
        await other.hears_joined(cast.room, late.user)


async def test_of_many_who_join_at_once_only_so_many_get_in(cast: Cast) -> None:
    people = [await cast.connect("member") for _ in range(2 * MAX_MEMBERS)]
    asked = [frames.command("JOIN", {"room": cast.room}) for _ in people]
    for person, frame in zip(people, asked, strict=True):
        person.line.send(frame)

    async def code(person: Person, frame: bytes) -> int:
        while (heard := await person.hear())["cmd"] != "JOIN":
            assert heard["cmd"] == "MEMBER_JOINED"
        if heard["code"] != 200:
            assert heard == frames.refusal("ROOM_FULL", frames.names_of(frame))
        assert isinstance(heard["code"], int)
        return heard["code"]

    codes = await asyncio.gather(*(map(code, people, asked)))
    assert sorted(codes) == [200] * MAX_MEMBERS + [1000] * MAX_MEMBERS


async def test_pong_brings_back_the_data_of_ping(cast: Cast) -> None:
    alice = await cast.connect("alice")
    anything: tuple[object, ...] = ({"at": 1.5}, None, [], "text", 0, True, {"deep": [{"er": None}]})
    for data in anything:
        frame = frames.command("PING", data)
        alice.line.send(frame)
        pong = {**frames.names_of(frame), "cmd": "PONG", "code": 200, "msg": "success", "data": data}
        assert await alice.hear() == pong
    alice.line.send(b'{"requestId":"no data","module":"ROOM","cmd":"PING"}')
    assert (await alice.hear())["data"] is None
