"""A session whose client has a newer token has what that one grants, at once."""

import pytest

from presence.store import MAX_TRIES, StoreUnavailable
from tests.unit.presence.lifetime import BusyStore
from tests.unit.presence.presence_process import PresenceProcess
from tests.unit.presence.requests import opening
from tieline.wire.ids import RoomId, SessionId, UserId
from tieline.wire.internal.answers import Done, Refused, SessionGone
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.internal.sessions import Regrant

ALICE, BOB, HALL = UserId("alice"), UserId("bob"), RoomId("hall")


async def a_call(*rooms: str) -> PresenceProcess:
    """Alice and Bob are in these rooms, and in a call."""
    process = PresenceProcess()
    for user in ("alice", "bob"):
        await process.open(opening(user, *rooms))
    await process.signal("alice", "bob", "OFFER", "offer")
    await process.signal("bob", "alice", "ANSWER", "answer")
    process.recorder.sent.clear()
    return process


async def rooms_of(process: PresenceProcess, user: str) -> set[str]:
    record = await process.user(user)
    assert record is not None
    return set(record.rooms)


async def test_a_room_not_granted_any_more_is_left_and_all_are_told() -> None:
    process = await a_call("hall")
    assert await process.regrant("alice", "cellar") == Done()
    assert await rooms_of(process, "alice") == set()
    assert not (await process.pair("alice", "bob")).is_active
    assert process.heard_by("bob") == ["hangup of alice: kicked", "alice left hall: kicked"]
    assert process.heard_by("alice") == ["hangup of bob: kicked", "alice left hall: kicked"]
    changed = [sent.subject for sent in process.heard_elsewhere("changed")]
    assert changed == ["tieline.changed.alice"] * 2  # for what has become of her, and of the call


async def test_a_call_goes_on_in_a_room_that_is_still_granted() -> None:
    process = await a_call("hall", "cellar")
    assert await process.regrant("alice", "cellar") == Done()
    assert await rooms_of(process, "alice") == {"cellar"}
    assert (await process.pair("alice", "bob")).is_active
    assert process.heard_by("bob") == process.heard_by("alice") == ["alice left hall: kicked"]


@pytest.mark.parametrize("granted", ["*", "hall"])
async def test_a_user_who_keeps_everything_is_not_disturbed(granted: str) -> None:
    process = await a_call("hall")
    assert await process.regrant("alice", granted) == Done()
    assert await rooms_of(process, "alice") == {"hall"}
    assert process.recorder.sent == []


async def test_a_room_joined_when_the_answer_was_lost_is_left_too() -> None:
    process = await a_call("hall")
    await process.regrant("alice", rooms=("cellar",))
    assert await rooms_of(process, "alice") == set()


async def test_what_the_newer_token_says_of_voice_counts_at_once() -> None:
    process = await a_call("hall")
    for voice in (False, False, True):
        await process.regrant("alice", "*", voice=voice)
        record = await process.user("alice")
        assert record is not None
        assert record.voice is voice
        reply = await process.signal("alice", "bob", "OFFER", f"offer with {voice}")
        assert isinstance(reply, Refused) is not voice
    assert (await process.pair("alice", "bob")).established


async def ask(process: PresenceProcess, session: str) -> PresenceReply:
    return await process.ask(Regrant(ALICE, SessionId(session), False, (), (HALL,)))


async def test_a_session_that_is_gone_is_told_so() -> None:
    process = await a_call("hall")
    assert await ask(PresenceProcess(), "alice-s1") == SessionGone(replaced=False)
    await process.end("alice")
    assert await ask(process, "alice-s1") == SessionGone(replaced=False)
    await process.open(opening("alice", "hall", number=2))
    assert await ask(process, "alice-s1") == SessionGone(replaced=True)
    assert await rooms_of(process, "alice") == {"hall"}


async def test_a_process_that_loses_every_round_gives_up() -> None:
    process = await a_call("hall")
    busy = BusyStore(process.store, "user.")
    with pytest.raises(StoreUnavailable):
        await ask(process.over(busy), "alice-s1")
    assert busy.refused == MAX_TRIES
