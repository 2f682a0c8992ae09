"""What the log of a room is told, and what joining costs of it; the real one is in tests/broker/presence."""

import pytest

from tests.unit.presence.changing import WatchedStore
from tests.unit.presence.counting_store import CountingStore
from tests.unit.presence.lifetime import Died
from tests.unit.presence.presence_process import OFFLINE_RETENTION_S, PresenceProcess, refusal_in
from tests.unit.presence.requests import opening
from tests.unit.presence.rules.frames import NOW
from tieline.wire.ids import RoomId, SessionId, UserId
from tieline.wire.internal.answers import Done
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.internal.rooms import JoinRoom, ListMembers, Retell, RoomJoined, RoomMembers
from tieline.wire.replies import Member
from tieline.wire.subjects import Keys

ALICE, BOB, HALL = UserId("alice"), UserId("bob"), RoomId("hall")


async def with_users(*users: str, max_members: int = 1000) -> PresenceProcess:
    """A process in which these users are connected to gateways that hear the logs, and in no room yet."""
    process = PresenceProcess(max_members=max_members)
    process.do_all_hear = True
    for user in users:
        await process.open(opening(user, secret=user, hears=True))
    process.recorder.sent.clear()
    return process


async def join(process: PresenceProcess, user: UserId, *, lists: bool = False) -> PresenceReply:
    """Let a user join the hall."""
    return await process.ask(JoinRoom(user, SessionId(f"{user}-s1"), HALL, hears=True, lists=lists))


def logged(process: PresenceProcess) -> list[str]:
    """The log of the hall, in words."""
    return [
        f"{entry.user} {entry.change.kind} {entry.change.status} {entry.change.reason or ''}".strip()
        for entry in process.log.entries
    ]


async def test_a_change_is_told_once_and_to_nobody_else() -> None:
    process = await with_users("alice", "bob")
    assert await join(process, ALICE) == RoomJoined(1)
    assert await join(process, BOB) == RoomJoined(2)
    await process.end("alice", resumable=True)
    await process.leave("bob", "hall")
    await process.end("bob")
    assert logged(process) == [
        "alice joined online",
        "bob joined online",
        "alice updated away",
        "bob left online left",
    ]
    assert process.heard_by("alice") == process.heard_by("bob") == []


async def test_who_joins_again_is_in_and_nothing_is_told() -> None:
    process = await with_users("alice")
    await join(process, ALICE)
    assert await join(process, ALICE) == RoomJoined(0)
    assert len(process.log.entries) == 1


async def test_a_gateway_that_does_not_know_the_room_gets_a_list() -> None:
    process = await with_users("alice", "bob")
    await join(process, ALICE)
    reply = await join(process, BOB, lists=True)
    assert isinstance(reply, RoomJoined)
    assert reply.members is not None
    assert reply.members.members == (
        Member(ALICE, "online", True, NOW),
        Member(BOB, "online", True, NOW),
    )
    written = [entry.change.revision for entry in process.log.entries]
    assert list(reply.members.revisions) == [written[0] + 1, written[1]], "the first record was settled since"
    listed = await process.ask(ListMembers(ALICE, SessionId("alice-s1"), HALL, hears=True))
    assert isinstance(listed, RoomMembers)
    assert all(now >= then for now, then in zip(listed.revisions, written, strict=True))


async def test_a_member_of_an_older_gateway_is_told_by_its_mailbox() -> None:
    process = await with_users("alice")
    process.do_all_hear = False
    await process.open(opening("bob", "hall"))
    await process.open(opening("carol", "hall", hears=True))
    await join(process, ALICE)
    assert process.heard_by("bob") == ["carol joined hall", "alice joined hall"]
    assert process.heard_by("carol") == []


async def test_a_session_resumed_on_an_older_gateway_is_told_by_its_mailbox() -> None:
    process = await with_users("alice")
    process.do_all_hear = False
    await process.open(opening("bob", "hall", secret="bob", hears=True))
    await process.open(opening("bob", number=2, gateway="g2", secret="x", resume="bob"))
    await join(process, ALICE)
    assert process.heard_by("bob") == ["alice joined hall"]
    await process.open(opening("bob", number=3, gateway="g3", secret="x", resume="bob", hears=True))
    await process.leave("alice", "hall")
    assert process.heard_by("bob") == ["alice joined hall"]


async def test_a_change_that_a_dead_process_left_untold_is_told_by_the_next() -> None:
    process = await with_users("alice", "bob")
    process.life.begin(2)  # the entry and the record
    with pytest.raises(Died):
        await join(process, ALICE)
    process.life.begin(None)
    assert process.log.entries == []
    assert await PresenceProcess(beside=process).ask(
        JoinRoom(ALICE, SessionId("alice-s1"), HALL, hears=True)
    ) == RoomJoined(1)


async def test_what_else_a_newer_token_changes_is_told_in_silence() -> None:
    process = await with_users("alice")
    await join(process, ALICE)
    assert await process.regrant("alice", "*", voice=False) == Done()
    assert [entry.change.is_silent for entry in process.log.entries] == [False, True]
    assert not process.log.entries[-1].change.voice


async def test_a_user_who_is_put_out_is_told_by_the_log() -> None:
    process = await with_users("alice")
    await join(process, ALICE)
    await process.regrant("alice")
    assert process.log.entries[-1].change.tells_user
    assert process.heard_by("alice") == []


async def test_what_somebody_may_have_missed_is_told_once_more() -> None:
    process = await with_users("alice", "bob")
    await join(process, ALICE)
    await join(process, BOB)
    await process.leave("bob", "hall")
    facts = process.heard_elsewhere("events")
    stored = process.store.contents()
    for user in (ALICE, BOB, ALICE):
        assert await process.ask(Retell(user, HALL)) == Done()
    assert logged(process)[-3:] == ["alice joined online", "bob left online left", "alice joined online"]
    revisions = [entry.change.revision for entry in process.log.entries]
    assert revisions == sorted(set(revisions)), "so that no gateway takes it for an older change"
    assert process.heard_elsewhere("events") == facts, "which backends have counted"
    assert process.store.contents().keys() == stored.keys()


async def test_nobody_is_said_to_have_left_who_was_never_there() -> None:
    process = await with_users("alice", "bob")
    await join(process, ALICE)
    logged_before = logged(process)
    assert await process.ask(Retell(BOB, HALL)) == Done()
    assert logged(process) == logged_before


async def who_is_forgotten() -> PresenceProcess:
    """Alice is in the hall, from which Bob has gone for so long that nothing is known of him any more."""
    process = await with_users("alice", "bob")
    await join(process, ALICE)
    await join(process, BOB)
    await process.end("bob")
    process.clock.pass_s(OFFLINE_RETENTION_S)
    assert await process.user("bob") is None
    return process


async def test_of_who_is_forgotten_the_room_is_told_that_it_has_gone() -> None:
    process = await who_is_forgotten()
    before, events = process.log.entries[-1].change, process.heard_elsewhere("events")
    assert await process.ask(Retell(BOB, HALL)) == Done()
    assert logged(process)[-1] == "bob left online disconnected"
    assert process.log.entries[-1].change.revision > before.revision
    assert process.heard_elsewhere("events") == events
    assert await process.ask(Retell(BOB, HALL)) == Done()
    assert logged(process)[-1] == "bob left online disconnected"
    await process.open(opening("bob", "hall", number=2, hears=True))
    assert logged(process)[-1] == "bob joined online"


async def test_who_is_back_meanwhile_is_not_said_to_have_gone() -> None:
    process = await who_is_forgotten()
    other, watched = PresenceProcess(beside=process), WatchedStore(process.store)
    other.do_all_hear = True
    watched.before[f"write {Keys.user(BOB)}"] = lambda: other.open(
        opening("bob", "hall", number=2, hears=True)
    )
    process.over(watched)
    assert await process.ask(Retell(BOB, HALL)) == Done()
    assert logged(process)[-2:] == ["bob joined online", "bob joined online"]


async def test_while_a_room_is_known_to_be_full_nothing_is_written() -> None:
    process = await with_users("alice", "bob", "carol", max_members=1)
    await join(process, ALICE)
    counting = CountingStore(process.store)
    process.over(counting, process.log)
    assert refusal_in(await join(process, BOB)) == "ROOM_FULL"
    trips = await counting.count(join(process, UserId("carol")))
    assert (trips.rounds, counting.asked["write"]) == (2, 0)
    await process.leave("alice", "hall")
    assert await join(process, BOB) == RoomJoined(3)
