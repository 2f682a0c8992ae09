"""What each effect does when it is carried out, once and again."""

import msgspec
import pytest

from presence.announce import Announcer
from presence.effects import Effects
from presence.record_codec import user_in
from presence.rosters import Rosters
from presence.rules.effects import (
    CallEnded,
    Changed,
    CloseConnection,
    EndCalls,
    EndCallsWithoutRoom,
    HangUp,
    MemberCame,
    MemberWent,
    RemoveNote,
    SessionEnded,
    UserEffect,
)
from presence.rules.user import RosterEntry
from presence.store import StoreUnavailable
from tests.unit.presence.carrying_out import (
    ALICE,
    BOB,
    ENTRY,
    G1,
    HALL,
    HERS,
    HIS,
    KEY,
    NOTE,
    carry_out,
    carry_out_of_call,
    events,
    with_both,
)
from tests.unit.presence.presence_process import SUBJECTS
from tests.unit.presence.requests import opening
from tests.unit.presence.rules.frames import NOW
from tieline.wire.ids import ConnectionId, SessionId
from tieline.wire.subjects import Keys


async def test_routers_forget_a_user() -> None:
    process = await with_both()
    await carry_out(process, Changed(ALICE))
    assert [sent.subject for sent in process.recorder.sent] == [SUBJECTS.changed(ALICE)]


async def test_a_connection_is_closed() -> None:
    process = await with_both()
    await carry_out(process, CloseConnection(ALICE, HERS, G1, ConnectionId("c"), 4500))
    assert [sent.subject for sent in process.recorder.sent] == [SUBJECTS.gateway(G1, "close")]


@pytest.mark.parametrize("status", ["online", "away", "offline"])
async def test_a_note_is_removed(status: str) -> None:
    process = await with_both()
    noted = (await process.store.read(NOTE))[NOTE].revision
    await carry_out(process, RemoveNote(HERS, G1, noted), status=status)
    assert NOTE not in process.store.contents()


async def test_a_note_that_was_made_anew_is_not_removed() -> None:
    process = await with_both()
    noted = (await process.store.read(NOTE))[NOTE].revision
    await carry_out(process, RemoveNote(HERS, G1, noted - 1))
    assert NOTE in process.store.contents()


async def test_the_note_of_an_ended_session_goes_after_everything_else() -> None:
    process = await with_both()
    noted = (await process.store.read(NOTE))[NOTE].revision
    process.life.begin(1)
    with pytest.raises(StoreUnavailable):
        await carry_out(
            process,
            RemoveNote(HERS, G1, noted),
            MemberWent(HALL, HERS, 1, "disconnected", NOW),
            status="offline",
        )
    process.life.begin(None)
    assert NOTE in process.store.contents()


@pytest.mark.parametrize("effect", [MemberCame(HALL, 7, NOW), MemberWent(HALL, HERS, 7, "left", NOW)])
async def test_a_member_who_was_entered_later_is_not_told(effect: UserEffect) -> None:
    process = await with_both()
    record, revision = user_in(await process.store.read(KEY), KEY)
    assert record is not None
    revision = await process.records.write_user(KEY, record, revision)
    await process.open(opening("carol", "hall"))
    process.recorder.sent.clear()
    rosters = Rosters(process.records, max_members=9)
    announcer = Announcer(process.recorder, SUBJECTS)
    effects = Effects(
        process.records, rosters, announcer, process.clock, ends_nothing, process.log, nobody_hears
    )
    await effects.of_user(ALICE, msgspec.structs.replace(record, pending=(effect,)), revision)
    assert len(process.told_to("bob")) == 1
    assert process.told_to("carol") == set()


async def nobody_hears() -> bool:
    """Say that gateways live that do not hear the logs of rooms."""
    return False


async def ends_nothing(*_what: object) -> None:
    """End no negotiation."""


@pytest.mark.parametrize("left_over", [None, RosterEntry(SessionId("alice-s0"), NOW)])
async def test_a_member_without_its_entry_is_entered_again(left_over: RosterEntry | None) -> None:
    process = await with_both()
    stored = (await process.store.read(ENTRY))[ENTRY]
    if left_over is None:
        await process.store.delete(ENTRY, stored.revision)
    else:
        await process.store.write(ENTRY, msgspec.msgpack.encode(left_over), stored.revision)
    await carry_out(process, MemberCame(HALL, stored.revision, NOW))
    entry = msgspec.msgpack.decode(process.store.contents()[ENTRY], type=RosterEntry)
    assert entry == RosterEntry(HERS, NOW)


async def test_a_member_that_was_replaced_meanwhile_is_not_entered_again() -> None:
    process = await with_both()
    record, revision = user_in(await process.store.read(KEY), KEY)
    assert record is not None
    await process.open(opening("alice", "hall", number=2))
    rosters = Rosters(process.records, max_members=9)
    announcer = Announcer(process.recorder, SUBJECTS)
    effects = Effects(
        process.records, rosters, announcer, process.clock, ends_nothing, process.log, nobody_hears
    )
    late = msgspec.structs.replace(record, pending=(MemberCame(HALL, record.rooms[HALL].entry, NOW),))
    await effects.of_user(ALICE, late, revision)
    entry = msgspec.msgpack.decode(process.store.contents()[ENTRY], type=RosterEntry)
    assert entry.session == "alice-s2"


@pytest.mark.parametrize("tell_user", [False, True])
async def test_who_went_is_told_and_its_entry_removed(tell_user: bool) -> None:
    process = await with_both()
    await carry_out(process, MemberWent(HALL, HERS, 7, "kicked", NOW, tell_user))
    assert process.heard_by("bob") == ["alice left hall: kicked"]
    assert process.heard_by("alice") == (["alice left hall: kicked"] if tell_user else [])
    assert events(process) == ["left"]
    assert ENTRY not in process.store.contents()


async def test_the_entry_of_a_newer_session_is_not_removed() -> None:
    process = await with_both()
    await carry_out(process, MemberWent(HALL, SessionId("alice-s0"), 7, "left", NOW))
    assert ENTRY in process.store.contents()


async def test_the_calls_of_a_session_that_ended_end() -> None:
    process = await with_both()
    await carry_out(process, EndCalls(HERS, NOW), status="offline")
    assert not (await process.pair("alice", "bob")).is_active
    assert process.heard_by("bob") == ["hangup of alice: disconnected"]
    assert events(process) == ["ended"]


async def test_the_calls_of_a_session_that_was_restored_since_do_not_end() -> None:
    process = await with_both()
    await carry_out(process, EndCalls(HERS, NOW))
    assert (await process.pair("alice", "bob")).is_active
    assert process.recorder.sent == []


async def test_the_end_of_a_session_is_told_in_all_its_rooms() -> None:
    process = await with_both()
    await carry_out(process, SessionEnded(HERS, NOW), status="offline")
    assert process.heard_by("bob") == ["alice left hall: disconnected"]
    assert ENTRY not in process.store.contents()


async def test_the_calls_of_a_later_session_do_not_end() -> None:
    process = await with_both()
    await carry_out(process, EndCalls(SessionId("alice-s0"), NOW))
    assert (await process.pair("alice", "bob")).is_active


async def test_a_call_in_a_common_room_does_not_end() -> None:
    process = await with_both()
    await carry_out(process, EndCallsWithoutRoom("left", "left-7", NOW))
    assert (await process.pair("alice", "bob")).is_active


@pytest.mark.parametrize("tell_user", [False, True])
async def test_a_call_without_a_common_room_ends(tell_user: bool) -> None:
    process = await with_both()
    bob = Keys.user(BOB)
    record, revision = user_in(await process.store.read(bob), bob)
    assert record is not None
    await process.records.write_user(bob, msgspec.structs.replace(record, rooms={}), revision)
    await carry_out(process, EndCallsWithoutRoom("kicked", "left-7", NOW, tell_user))
    assert not (await process.pair("alice", "bob")).is_active
    assert process.heard_by("bob") == ["hangup of alice: kicked"]
    assert process.heard_by("alice") == (["hangup of bob: kicked"] if tell_user else [])


async def test_an_end_is_told_to_one_user_and_to_backends() -> None:
    process = await with_both()
    await carry_out_of_call(
        process, HangUp(BOB, HIS, ALICE, "timeout", "cause"), CallEnded(NOW, ALICE, BOB, "timeout")
    )
    assert process.heard_by("bob") == ["hangup of alice: timeout"]
    assert process.heard_by("alice") == []
    assert events(process) == ["ended"]
    assert (await process.pair("alice", "bob")).pending == ()
