"""What the backend is told of users, rooms, and how much there is."""

from tests.unit.presence.presence_process import PresenceProcess
from tests.unit.presence.requests import opening
from tests.unit.presence.rules.frames import NOW
from tieline.wire.ids import GatewayId, RoomId, UserId
from tieline.wire.internal.backend import (
    AddMember,
    Ban,
    CallSeen,
    CloseRoom,
    CountAll,
    Counted,
    ListRooms,
    LookAtRoom,
    LookAtUser,
    MemberSeen,
    RemoveMember,
    RoomSeen,
    RoomsSeen,
    SetVoice,
    UserSeen,
)
from tieline.wire.internal.sessions import KeepLease
from tieline.wire.subjects import Keys

ALICE, BOB, CAROL, HALL, CELLAR = (
    UserId("alice"),
    UserId("bob"),
    UserId("carol"),
    RoomId("hall"),
    RoomId("cellar"),
)


async def with_three() -> PresenceProcess:
    """Alice is in hall and cellar, Bob in the hall; Carol will be in the hall when she connects."""
    process = PresenceProcess()
    await process.open(opening("alice", "hall", "cellar"))
    await process.open(opening("bob", "hall", voice=False))
    await process.ask(AddMember("1", 60.0, CAROL, HALL))
    return process


async def test_a_user_is_told_of_with_its_rooms_and_calls() -> None:
    process = await with_three()
    await process.signal("alice", "bob", "OFFER", "offer")
    call = (await process.pair("alice", "bob")).call
    assert call is not None
    assert await process.ask(LookAtUser(ALICE)) == UserSeen(
        "online", {CELLAR: NOW, HALL: NOW}, (), True, False, 0, (CallSeen(BOB, call, False),)
    )
    await process.signal("bob", "alice", "ANSWER", "answer")
    seen = await process.ask(LookAtUser(BOB))
    assert isinstance(seen, UserSeen)
    assert seen.calls == (CallSeen(ALICE, call, True),)


async def test_of_who_is_not_here_it_is_told_what_is_decided() -> None:
    process = await with_three()
    assert await process.ask(LookAtUser(CAROL)) == UserSeen("offline", {}, (HALL,), False, False, 0)
    await process.ask(Ban("2", 60.0, CAROL, 60.0))
    await process.ask(SetVoice("3", 60.0, CAROL, is_allowed=False))
    seen = await process.ask(LookAtUser(CAROL))
    assert seen == UserSeen("offline", {}, (HALL,), False, True, NOW + 60_000)
    process.clock.pass_s(61)
    assert await process.ask(LookAtUser(CAROL)) == UserSeen("offline", {}, (HALL,), False, True, 0)


async def test_a_call_that_is_over_is_not_told_of() -> None:
    process = await with_three()
    await process.signal("alice", "bob", "OFFER", "offer")
    await process.signal("alice", "bob", "HANGUP", "hangup")
    seen = await process.ask(LookAtUser(ALICE))
    assert isinstance(seen, UserSeen)
    assert seen.calls == ()


async def test_members_are_listed_with_those_who_will_be() -> None:
    process = await with_three()
    assert await process.ask(LookAtRoom(HALL)) == RoomSeen(
        (
            MemberSeen(ALICE, "online", True, NOW, False),
            MemberSeen(BOB, "online", False, NOW, False),
            MemberSeen(CAROL, "offline", False, 0, True),
        ),
        3,
        False,
    )


async def test_who_is_given_a_room_no_more_is_listed_no_more() -> None:
    process = await with_three()
    await process.ask(RemoveMember("2", 60.0, CAROL, HALL))
    seen = await process.ask(LookAtRoom(HALL))
    assert isinstance(seen, RoomSeen)
    assert ([one.user for one in seen.members], seen.count) == ([ALICE, BOB], 2)
    assert await process.ask(ListRooms()) == RoomsSeen(((CELLAR, 1), (HALL, 2)), 2, "")


async def test_who_is_in_the_index_but_not_given_the_room_is_not_listed() -> None:
    process = await with_three()
    for user in ("bob", "dave"):  # what is left of an order that died before it had given anything
        await process.store.write(Keys.given(HALL, UserId(user)), b"7 1", 0)
    seen = await process.ask(LookAtRoom(HALL))
    assert isinstance(seen, RoomSeen)
    assert [one.user for one in seen.members if one.is_given] == [CAROL]
    assert seen.count == 3


async def test_members_are_listed_in_pages_and_one_by_one() -> None:
    process = await with_three()
    seen = await process.ask(LookAtRoom(HALL, after="alice", limit=1))
    assert isinstance(seen, RoomSeen)
    assert [(one.user, seen.count, seen.has_more) for one in seen.members] == [(BOB, 3, True)]
    seen = await process.ask(LookAtRoom(HALL, only=CAROL))
    assert isinstance(seen, RoomSeen)
    assert [one.user for one in seen.members] == [CAROL]


async def test_rooms_are_listed_in_pages() -> None:
    process = await with_three()
    assert await process.ask(ListRooms()) == RoomsSeen(((CELLAR, 1), (HALL, 3)), 2, "")
    assert await process.ask(ListRooms(limit=1)) == RoomsSeen(((CELLAR, 1),), 2, "cellar")
    assert await process.ask(ListRooms(after="cellar")) == RoomsSeen(((HALL, 3),), 2, "")
    assert await process.ask(ListRooms(after="hall")) == RoomsSeen((), 2, "")


async def test_a_room_that_is_closed_is_listed_no_more() -> None:
    process = await with_three()
    await process.ask(CloseRoom("2", 60.0, HALL))
    seen = await process.ask(ListRooms())
    assert isinstance(seen, RoomsSeen)
    assert (seen.rooms, seen.count) == (((CELLAR, 1),), 1)


async def test_a_key_that_cannot_be_read_is_left_out() -> None:
    process = await with_three()
    await process.store.put("room.=.x", b"1", 60.0)
    seen = await process.ask(ListRooms())
    assert isinstance(seen, RoomsSeen)
    assert [room for room, _ in seen.rooms] == [CELLAR, HALL]


async def test_what_there_is_is_counted() -> None:
    process = await with_three()
    await process.ask(KeepLease(GatewayId("g1")))
    await process.signal("alice", "bob", "OFFER", "offer")
    assert await process.ask(CountAll()) == Counted(gateways=1, sessions=2, rooms=2, members=4, calls=1)
