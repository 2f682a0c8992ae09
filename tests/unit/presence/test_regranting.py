"""A session whose client has a newer token has what that one grants, at once."""

import pytest

from presence.records import MAX_TRIES
from presence.store import StoreUnavailable
from tests.unit.presence.house import House, opening
from tests.unit.presence.mortal import BusyStore
from tieline.wire.ids import RoomId, SessionId, UserId
from tieline.wire.internal import Done, PresenceReply, Refused, Regrant, SessionGone

ALICE, BOB, HALL = UserId("alice"), UserId("bob"), RoomId("hall")


async def a_call(*rooms: str) -> House:
    """Alice and Bob are in these rooms, and in a call."""
    house = House()
    for user in ("alice", "bob"):
        await house.open(opening(user, *rooms))
    await house.signal("alice", "bob", "OFFER", "offer")
    await house.signal("bob", "alice", "ANSWER", "answer")
    house.recorder.sent.clear()
    return house


async def rooms_of(house: House, user: str) -> set[str]:
    record = await house.user(user)
    assert record is not None
    return set(record.rooms)


async def test_a_room_that_is_not_granted_any_more_is_left_and_everybody_concerned_is_told() -> None:
    house = await a_call("hall")
    assert await house.regrant("alice", "cellar") == Done()
    assert await rooms_of(house, "alice") == set()
    assert not (await house.pair("alice", "bob")).is_active
    assert house.heard_by("bob") == ["hangup of alice: kicked", "alice left hall: kicked"]
    assert house.heard_by("alice") == ["hangup of bob: kicked", "alice left hall: kicked"]
    assert [sent.subject for sent in house.heard_elsewhere("changed")] == ["tieline.changed.alice"]


async def test_a_call_goes_on_in_a_room_that_is_still_granted() -> None:
    house = await a_call("hall", "cellar")
    assert await house.regrant("alice", "cellar") == Done()
    assert await rooms_of(house, "alice") == {"cellar"}
    assert (await house.pair("alice", "bob")).is_active
    assert house.heard_by("bob") == house.heard_by("alice") == ["alice left hall: kicked"]


@pytest.mark.parametrize("granted", ["*", "hall"])
async def test_who_keeps_everything_is_not_disturbed(granted: str) -> None:
    house = await a_call("hall")
    assert await house.regrant("alice", granted) == Done()
    assert await rooms_of(house, "alice") == {"hall"}
    assert house.recorder.sent == []


async def test_a_room_that_was_joined_before_an_answer_was_lost_is_left_too() -> None:
    house = await a_call("hall")
    await house.regrant("alice", rooms=("cellar",))
    assert await rooms_of(house, "alice") == set()


async def test_what_the_newer_token_says_of_voice_counts_at_once() -> None:
    house = await a_call("hall")
    for voice in (False, False, True):
        await house.regrant("alice", "*", voice=voice)
        record = await house.user("alice")
        assert record is not None
        assert record.voice is voice
        reply = await house.signal("alice", "bob", "OFFER", f"offer with {voice}")
        assert isinstance(reply, Refused) is not voice
    assert (await house.pair("alice", "bob")).established


async def ask(house: House, session: str) -> PresenceReply:
    return await house.sessions.regrant(Regrant(ALICE, SessionId(session), False, (), (HALL,)))


async def test_a_session_that_is_gone_is_told_so() -> None:
    house = await a_call("hall")
    assert await ask(House(), "alice-s1") == SessionGone(replaced=False)
    await house.end("alice")
    assert await ask(house, "alice-s1") == SessionGone(replaced=False)
    await house.open(opening("alice", "hall", number=2))
    assert await ask(house, "alice-s1") == SessionGone(replaced=True)
    assert await rooms_of(house, "alice") == {"hall"}


async def test_who_never_gets_a_write_through_gives_up() -> None:
    house = await a_call("hall")
    busy = BusyStore(house.store, "user.")
    with pytest.raises(StoreUnavailable):
        await ask(house.over(busy), "alice-s1")
    assert busy.refused == MAX_TRIES
