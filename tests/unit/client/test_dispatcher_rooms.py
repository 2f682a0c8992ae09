"""What is told of rooms: batches, lists, and rooms that one is not in any more."""

import pytest

from tests.unit.client.dispatching import ANN, BOB, CAT, DAN, A, B, Harness, changed, member
from tieline.client import MemberJoined, MemberLeft, Roster
from tieline.wire import replies
from tieline.wire.codes import ErrorCode
from tieline.wire.ids import UserId


@pytest.mark.parametrize("resume", [True, False])
async def test_a_batch_is_one_event_for_each_member(resume: bool) -> None:
    harness = Harness(A, resume=resume)
    harness.dispatcher.dispatch(changed(7, joined=(BOB, CAT)))
    harness.dispatcher.dispatch(changed(9, left=(BOB,)))
    assert harness.dispatcher.session.last == ("room-9" if resume else "")
    assert await harness.events() == [
        MemberJoined(A, BOB, "room-7", 7),
        MemberJoined(A, CAT, "room-7", 7),
        MemberLeft(A, BOB, "left", "room-9", 9),
    ]


async def test_a_batch_that_comes_twice_is_handed_out_once() -> None:
    harness = Harness(A)
    for _ in range(2):
        harness.dispatcher.dispatch(changed(7, joined=(BOB,)))
    assert harness.stats.duplicates == 1
    assert len(await harness.events()) == 1


async def test_a_list_that_nobody_asked_for_is_told_when_it_is_whole() -> None:
    harness = Harness(A)
    harness.dispatcher.dispatch(changed(7, joined=(BOB, DAN)))
    async with harness.connected():
        first = Roster(A, (member(ANN), member(BOB)), 9, count=3, next="b")
        harness.dispatcher.dispatch(replies.success("room-9-list", "ROOM_CHANGED", first))
        asked = await harness.writer.next()
        assert (asked["cmd"], asked["data"]) == ("MEMBERS", {"room": "a", "after": "b"})
        harness.dispatcher.dispatch(
            replies.success(asked["requestId"], "MEMBERS", Roster(A, (member(CAT),), 9))
        )
    assert harness.dispatcher.session.last == "room-9-list"
    assert (await harness.events())[2:] == [
        MemberLeft(A, DAN, "left", "room-9-list", 9),
        MemberJoined(A, CAT, "room-9-list", 9),
    ]


async def test_a_list_whose_page_is_refused_is_not_told() -> None:
    harness = Harness(A)
    async with harness.connected():
        first = Roster(A, (member(ANN), member(BOB)), 9, count=3, next="b")
        harness.dispatcher.dispatch(replies.success("room-9-list", "ROOM_CHANGED", first))
        asked = await harness.writer.next()
        harness.dispatcher.dispatch(replies.error(asked["requestId"], "MEMBERS", ErrorCode.NOT_IN_SAME_ROOM))
    assert await harness.events() == []


@pytest.mark.parametrize(
    "kicked",
    [changed(7, left=(ANN,)), replies.success("7", "MEMBER_LEFT", replies.MemberLeft(A, ANN, "kicked"))],
)
async def test_a_room_that_one_is_put_out_of_is_none_of_the_sessions(kicked: bytes) -> None:
    harness = Harness(A, B)
    harness.dispatcher.dispatch(replies.success("6", "MEMBER_LEFT", replies.MemberLeft(A, BOB, "left")))
    assert list(harness.dispatcher.session.rooms) == [A, B]
    harness.dispatcher.dispatch(kicked)
    assert list(harness.dispatcher.session.rooms) == [B]
    assert len(await harness.events()) == 2


async def test_of_a_room_that_was_left_nothing_is_remembered() -> None:
    harness = Harness(A)
    listing = harness.dispatcher.rosters.begin(A)
    harness.dispatcher.dispatch(replies.success("r", "LEAVE", {"room": "a"}))
    assert listing.is_void


@pytest.mark.parametrize(
    ("told", "others"),
    [
        (replies.success("7", "MEMBER_JOINED", replies.MemberJoined(B, ANN)), []),
        (replies.success("7", "ROOM_CHANGED", Roster(B, (member(ANN), member(BOB)), 7, count=2)), [BOB]),
    ],
)
async def test_a_room_that_one_is_put_into_is_one_of_the_sessions(told: bytes, others: list[UserId]) -> None:
    harness = Harness(A)
    harness.dispatcher.dispatch(told)
    assert list(harness.dispatcher.session.rooms) == [A, B]
    heard = [event.user_id for event in await harness.events() if isinstance(event, MemberJoined)]
    assert heard == [ANN, *others]
