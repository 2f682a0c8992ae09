"""Signals judged on what a process remembers: what is read then, what is not, and what may be wrong."""

import msgspec
import pytest

from tests.unit.presence.changing import WatchedStore
from tests.unit.presence.presence_process import PresenceProcess, refusal_in
from tests.unit.presence.requests import opening
from tieline.wire.ids import RoomId, UserId
from tieline.wire.internal.answers import Done
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.internal.rooms import JoinRoom, RoomJoined
from tieline.wire.internal.sessions import KeepLease
from tieline.wire.internal.signals import Relay
from tieline.wire.subjects import Keys

ALICE, BOB = UserId("alice"), UserId("bob")
PAIR = Keys.pair(ALICE, BOB)
USERS = f"{Keys.user(ALICE)} {Keys.user(BOB)}"
READ, WRITE, CONFIRM = f"read {USERS} {PAIR}", f"write {PAIR}", f"confirm {USERS} {PAIR}"


class Judged:
    """A process that has opened two sessions, and knows them, and another one beside it."""

    def __init__(self) -> None:
        self.process = PresenceProcess(watches=True)
        self.other = PresenceProcess(beside=self.process, watches=True)
        self.store = WatchedStore(self.process.store)
        self.process.over(self.store)

    async def both_come(self) -> "Judged":
        """Let both be in the hall."""
        for user in ("alice", "bob"):
            await self.process.open(opening(user, "hall"))
        return self

    async def said(self, user: str, cmd: str, frame: str, *, by: PresenceProcess | None = None) -> list[str]:
        """Let one of the two say something to the other; returns what the store was asked for the verdict."""
        self.store.said.clear()
        peer = "bob" if user == "alice" else "alice"
        process = by or self.process
        self.reply: PresenceReply = (
            await process.operations.carry_out(await self.other.check(user, peer, cmd, frame))
        ).reply
        both = f"{Keys.user(BOB)} {Keys.user(ALICE)}"
        return [said.replace(both, USERS) for said in self.store.said if not said.startswith("put ")]


async def test_a_call_of_users_who_are_known_is_judged_without_a_read() -> None:
    judged = await Judged().both_come()
    assert await judged.said("alice", "OFFER", "offer") == [WRITE]
    assert await judged.said("alice", "ICE_CANDIDATE", "1") == [WRITE]
    assert await judged.said("bob", "ANSWER", "answer") == [WRITE]
    assert await judged.said("alice", "HANGUP", "hangup") == [WRITE]
    assert await judged.said("bob", "OFFER", "another") == [WRITE]


async def test_what_writes_nothing_is_decided_on_what_is_read_now() -> None:
    judged = await Judged().both_come()
    await judged.said("alice", "OFFER", "offer")
    await judged.said("bob", "ANSWER", "answer")
    assert await judged.said("alice", "ICE_CANDIDATE", "1") == [READ]
    assert isinstance(judged.reply, Relay)
    assert judged.reply.grant_seconds > 0
    assert await judged.said("bob", "ANSWER", "answer") == [READ]  # a retry


async def test_a_call_that_another_process_has_ended_takes_no_candidate() -> None:
    judged = await Judged().both_come()
    await judged.said("alice", "OFFER", "offer")
    await judged.said("bob", "ANSWER", "answer")
    await judged.said("bob", "HANGUP", "hangup", by=judged.other)
    assert await judged.said("alice", "ICE_CANDIDATE", "1") == [READ, f"confirm {USERS} {PAIR}"]
    assert refusal_in(judged.reply) == "NO_MATCHING_OFFER"


async def test_a_refusal_by_what_is_remembered_is_confirmed() -> None:
    judged = await Judged().both_come()
    await judged.said("alice", "OFFER", "offer", by=judged.other)
    await judged.said("bob", "HANGUP", "h")  # it is read: this process knows the pair now
    await judged.said("alice", "OFFER", "another", by=judged.other)
    assert CONFIRM in await judged.said("bob", "ANSWER", "answer")
    assert isinstance(judged.reply, Relay)


async def test_a_pair_that_another_process_has_changed_is_read_after_all() -> None:
    judged = await Judged().both_come()
    await judged.said("alice", "OFFER", "offer")
    await judged.said("alice", "ICE_CANDIDATE", "1", by=judged.other)
    assert await judged.said("bob", "ANSWER", "answer") == [WRITE, READ, WRITE]
    assert isinstance(judged.reply, Relay)
    assert [each.frame for each in judged.reply.deliveries] == [None, b"1"]


async def test_an_offer_that_begins_finds_out_that_there_is_one() -> None:
    judged = await Judged().both_come()
    await judged.said("bob", "OFFER", "crossing", by=judged.other)
    assert await judged.said("alice", "OFFER", "offer") == [WRITE, READ, WRITE]
    assert len((await judged.other.pair("alice", "bob")).offers) == 2


async def test_what_is_not_known_to_begin_a_call_is_read() -> None:
    judged = await Judged().both_come()
    await judged.said("alice", "OFFER", "offer", by=judged.other)
    assert await judged.said("bob", "ANSWER", "answer") == [READ, WRITE]
    assert await judged.said("bob", "ICE_CANDIDATE", "1") == [READ]


@pytest.mark.parametrize("how", ["lags", "ended"])
async def test_users_are_known_only_as_far_as_they_are_watched(how: str) -> None:
    judged = await Judged().both_come()
    watch = judged.process.watch
    assert watch is not None
    if how == "ended":
        watch.end()
        assert await judged.said("alice", "OFFER", "offer") == [READ, WRITE]
        return
    watch.lags = lambda: True
    await judged.other.leave("bob", "hall")
    assert await judged.said("alice", "OFFER", "offer") == [WRITE]  # as a read a moment earlier would have it
    watch.catch_up()
    assert await judged.said("alice", "OFFER", "offer 2") == [CONFIRM]
    assert refusal_in(judged.reply) == "NOT_IN_SAME_ROOM"


@pytest.mark.parametrize("gone", ["alice", "bob"])
async def test_an_offer_that_was_let_in_by_a_watch_that_lags_ends(gone: str) -> None:
    judged = await Judged().both_come()
    watch = judged.process.watch
    assert watch is not None
    watch.lags = lambda: True
    check = await judged.other.check("alice", "bob", "OFFER", "offer")
    await judged.other.end(gone)
    judged.process.recorder.sent.clear()

    assert isinstance(await judged.process.ask(check), Relay)

    told = "bob" if gone == "alice" else "alice"
    assert judged.process.heard_by(told) == [f"hangup of {gone}: disconnected"]
    assert not (await judged.other.pair("alice", "bob")).is_active


async def test_a_call_of_a_session_that_ended_unheard_ends_once() -> None:
    judged = await Judged().both_come()
    watch = judged.process.watch
    assert watch is not None
    await judged.said("alice", "OFFER", "offer")
    answer = await judged.other.check("bob", "alice", "ANSWER", "answer")
    watch.lags = lambda: True
    judged.process.recorder.sent.clear()
    judged.store.before[WRITE] = lambda: judged.other.end("alice")
    await judged.process.ask(answer)
    assert judged.process.heard_by("bob")[0] == "hangup of alice: disconnected"
    assert len([said for said in judged.process.heard_by("bob") if "hangup" in said]) == 1
    assert not (await judged.other.pair("alice", "bob")).is_active


async def test_no_call_ends_by_what_is_only_remembered_of_a_user() -> None:
    judged = await Judged().both_come()
    watch = judged.process.watch
    assert watch is not None
    watch.lags = lambda: True
    await judged.other.open(opening("bob", "hall", number=2))
    await judged.said("alice", "OFFER", "offer", by=judged.other)
    await judged.said("bob", "ANSWER", "answer", by=judged.other)
    stored = await judged.process.store.read(PAIR)
    judged.process.memory.keep_pair(PAIR, stored[PAIR])
    assert await judged.said("alice", "HANGUP", "hangup") == [f"confirm {USERS}", WRITE]
    assert isinstance(judged.reply, Relay)
    assert [each.session for each in judged.reply.deliveries] == ["bob-s2"]


# Users whose own record is changed.

HER, HER_ENTRY = Keys.user(ALICE), Keys.room(RoomId("cellar"), ALICE)
ROSTER = Keys.roster(RoomId("cellar"))
SEATS = f"read {ROSTER}"
"""To see whether there is a seat."""
STANDING = Keys.standing(ALICE)
"""What the backend has decided about her, which is read with her record: it must not be older than that."""
CLOSING = Keys.closing(RoomId("cellar"))
"""Whether the room is being closed, which is read with all that."""
JUDGED = f"read {HER} {STANDING}"


async def test_a_user_who_is_known_is_read_to_join_and_not_to_leave() -> None:
    judged = await Judged().both_come()
    judged.store.said.clear()
    judged.process.do_all_hear = True
    await judged.process.join("alice", "cellar")
    seated = [f"{JUDGED} {HER_ENTRY} {CLOSING}", f"write {HER_ENTRY}", SEATS, f"write {HER}"]
    assert judged.store.said[:5] == [*seated, f"read {HER} {ROSTER}"]
    judged.store.said.clear()
    await judged.process.leave("alice", "cellar")
    assert judged.store.said[0] == f"write {HER}"


async def test_who_joins_as_another_process_knows_joins_so() -> None:
    judged = await Judged().both_come()
    watch = judged.process.watch
    assert watch is not None
    watch.lags = lambda: True
    await judged.other.leave("alice", "hall")
    judged.store.said.clear()
    await judged.process.join("alice", "cellar")
    asked = [said for said in judged.store.said if said != SEATS]
    assert asked[:3] == [f"{JUDGED} {HER_ENTRY} {CLOSING}", f"write {HER_ENTRY}", f"write {HER}"]
    stored = await judged.other.user("alice")
    assert stored is not None
    assert list(stored.rooms) == ["cellar"]


async def test_nobody_is_refused_by_what_is_remembered_alone() -> None:
    judged = await Judged().both_come()
    watch = judged.process.watch
    assert watch is not None
    watch.lags = lambda: True
    await judged.other.open(opening("alice", "hall", number=2))
    judged.store.said.clear()
    reply = await judged.process.leave("alice", "hall")
    assert reply == Done()
    assert f"confirm {HER}" in judged.store.said


async def test_who_is_in_a_room_already_is_listed_by_what_is_read() -> None:
    judged = await Judged().both_come()
    judged.store.said.clear()
    await judged.process.join("alice", "hall")
    hall = Keys.room(RoomId("hall"), ALICE)
    assert judged.store.said[:1] == [f"{JUDGED} {hall} {Keys.closing(RoomId('hall'))}"]


async def test_those_who_lose_their_connections_are_changed_as_remembered() -> None:
    judged = await Judged().both_come()
    judged.store.said.clear()
    await judged.process.end("alice", resumable=True)
    assert judged.store.said[0] == f"write {HER}"


async def test_a_session_is_resumed_by_one_read() -> None:
    judged = await Judged().both_come()
    await judged.process.open(opening("alice", secret="hers"))
    judged.store.said.clear()
    ask = opening("alice", number=2, resume="hers")
    asked = msgspec.structs.replace(ask, asked=judged.process.store.last_revision())
    await judged.process.gateways.keep_lease(KeepLease(ask.gateway))
    judged.store.said.clear()
    await judged.process.open(asked)
    assert judged.store.said[:2] == [f"read {HER} {Keys.lease_timer(ask.gateway)} {STANDING}", f"write {HER}"]


async def test_members_who_are_known_are_listed_without_a_read() -> None:
    judged = await Judged().both_come()
    judged.process.do_all_hear = True
    alice = await judged.other.user("alice")
    assert alice is not None
    ask = JoinRoom(ALICE, alice.session.id, RoomId("cellar"), hears=True, lists=True)
    await judged.process.join("bob", "cellar")
    judged.store.said.clear()
    reply = await judged.process.ask(ask)
    assert isinstance(reply, RoomJoined)
    assert reply.members is not None
    assert [member.user_id for member in reply.members.members] == ["alice", "bob"]
    assert f"read {HER} {Keys.user(BOB)}" not in judged.store.said
    found = await judged.other.store.read(HER, Keys.user(BOB))
    assert reply.members.revisions[1] == found[Keys.user(BOB)].revision
