"""What each effect does when it is carried out, once and again."""

from collections.abc import Mapping
from typing import Final, get_args

import msgspec
import pytest

from presence.announce import Announcer
from presence.effects import Effects
from presence.records import negotiation_in, user_in
from presence.rosters import Rosters
from presence.rules.change import Change
from presence.rules.effects import (
    CallEffect,
    CallEnded,
    Changed,
    CloseConnection,
    EndCalls,
    EndCallsWithoutRoom,
    HangUp,
    MemberCame,
    MemberWent,
    RemoveNote,
    SessionBegan,
    SessionEnded,
    StatusChanged,
    UserEffect,
    is_cheap,
)
from presence.rules.negotiation import NOTHING
from presence.rules.user import RosterEntry
from presence.store import NOTHING_KNOWN, ListedStore, Record, StoreUnavailable
from tests.unit.presence.counting_store import CountingStore
from tests.unit.presence.lifetime import Sent
from tests.unit.presence.presence_process import SUBJECTS, PresenceProcess
from tests.unit.presence.requests import opening
from tests.unit.presence.rules.frames import NOW
from tieline.wire.ids import ConnectionId, GatewayId, RoomId, SessionId, UserId
from tieline.wire.internal.answers import Done
from tieline.wire.subjects import Keys

ALICE, BOB, CAROL, HALL, CELLAR = (
    UserId("alice"),
    UserId("bob"),
    UserId("carol"),
    RoomId("hall"),
    RoomId("cellar"),
)
G1, HERS, HIS = GatewayId("g1"), SessionId("alice-s1"), SessionId("bob-s1")
KEY, ENTRY, NOTE = Keys.user(ALICE), Keys.room(HALL, ALICE), Keys.session(G1, HERS)
LATER: Final = 1_000_000
"""A revision that nothing has yet."""


async def with_both() -> PresenceProcess:
    """Alice and Bob are in the hall, in a call."""
    process = PresenceProcess()
    for user in ("alice", "bob"):
        await process.open(opening(user, "hall", secret=user))
    await process.signal("alice", "bob", "OFFER", "offer")
    await process.signal("bob", "alice", "ANSWER", "answer")
    process.recorder.sent.clear()
    return process


async def carry_out(process: PresenceProcess, *effects: UserEffect, status: str = "online") -> None:
    """Let effects be pending in Alice's record, and another process carry them out."""
    record, revision = user_in(await process.store.read(KEY), KEY)
    assert record is not None
    session = msgspec.structs.replace(record.session, status=status)
    pending = msgspec.structs.replace(record, sessions=(session,), pending=effects)
    await process.records.write_user(KEY, pending, revision)
    process.over(process.store)
    await process.changes.user(ALICE, lambda _user, _beside, _facts: Change(Done()))


async def carry_out_of_call(process: PresenceProcess, *effects: CallEffect) -> None:
    """Let effects be pending in the call's record, and another process carry them out."""
    key = Keys.pair(ALICE, BOB)
    record, revision = negotiation_in(await process.store.read(key), key)
    pending = msgspec.structs.replace(record or NOTHING, pending=effects)
    await process.records.write_negotiation(key, pending, revision)
    process.over(process.store)
    await process.changes.negotiation(ALICE, BOB, lambda _stored, _users, _facts: Change(Done()))


def events(process: PresenceProcess) -> list[str]:
    """The kinds of what backends were told."""
    return [sent.subject.rpartition(".")[2] for sent in process.heard_elsewhere("events")]


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


async def test_who_came_is_told_to_the_other_members_of_that_room() -> None:
    process = await with_both()
    await process.open(opening("carol", "cellar"))
    process.recorder.sent.clear()
    await carry_out(process, MemberCame(HALL, 7, NOW))
    assert process.heard_by("bob") == ["alice joined hall"]
    assert process.heard_by("alice") == process.heard_by("carol") == []
    assert events(process) == ["joined"]


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


@pytest.mark.parametrize("status", ["online", "away"])
async def test_an_absence_is_told_in_every_room(status: str) -> None:
    process = await with_both()
    for user in ("alice", "bob"):
        await process.join(user, "cellar")
    process.recorder.sent.clear()
    await carry_out(process, StatusChanged(), status=status)
    assert sorted(process.heard_by("bob")) == [f"alice is {status} in {room}" for room in ("cellar", "hall")]
    assert process.heard_by("alice") == []


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


async def test_who_came_long_ago_is_told_to_nobody_once_more() -> None:
    process = await with_both()
    process.clock.pass_s(60)
    await carry_out(process, MemberCame(HALL, 7, NOW))
    assert process.recorder.sent == []


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


USER_EFFECTS: Final[tuple[UserEffect, ...]] = (
    Changed(ALICE),
    CloseConnection(ALICE, HERS, G1, ConnectionId("c"), 4500),
    RemoveNote(HERS, G1, LATER),
    EndCalls(HERS, NOW),
    EndCallsWithoutRoom("left", "left-7", NOW),
    MemberCame(HALL, 7, NOW),
    SessionBegan(NOW),
    SessionEnded(HERS, NOW),
    MemberWent(CELLAR, HERS, 7, "left", NOW),
    StatusChanged(),
)
CALL_EFFECTS: Final[tuple[CallEffect, ...]] = (
    HangUp(BOB, HIS, ALICE, "left", "cause"),
    CallEnded(NOW, ALICE, BOB, "left"),
)


def test_every_effect_is_tried_here() -> None:
    assert {type(effect) for effect in USER_EFFECTS} == set(get_args(UserEffect))
    assert {type(effect) for effect in CALL_EFFECTS} == set(get_args(CallEffect))


@pytest.mark.parametrize("effect", USER_EFFECTS, ids=lambda effect: type(effect).__name__)
async def test_an_effect_carried_out_again_is_the_very_same(effect: UserEffect) -> None:
    process = await with_both()
    await carry_out(process, effect)
    first, records = set(process.recorder.sent), contents(process)
    process.recorder.sent.clear()
    await carry_out(process, effect)
    assert set(process.recorder.sent) <= first
    assert contents(process) == records


@pytest.mark.parametrize("effect", CALL_EFFECTS, ids=lambda effect: type(effect).__name__)
async def test_an_effect_of_a_call_carried_out_again_is_the_very_same(effect: CallEffect) -> None:
    process = await with_both()
    sent: list[list[Sent]] = []
    for _ in range(2):
        await carry_out_of_call(process, effect)
        sent.append(list(process.recorder.sent))
        process.recorder.sent.clear()
    assert sent[0] == sent[1] != []


def contents(process: PresenceProcess) -> dict[str, bytes]:
    """What is stored."""
    return process.store.contents()


@pytest.mark.parametrize("effect", [*USER_EFFECTS, *CALL_EFFECTS], ids=lambda effect: type(effect).__name__)
def test_what_costs_a_message_alone_is_cheap(effect: UserEffect | CallEffect) -> None:
    assert is_cheap(effect) is isinstance(effect, Changed | CloseConnection)


class WeighingStore(CountingStore):
    """A store that weighs what is read of it."""

    def __init__(self, store: ListedStore) -> None:
        super().__init__(store)
        self.bytes = 0
        self.reads = 0

    async def read(
        self, *keys: str, confirmed: bool = False, known: Mapping[str, Record] = NOTHING_KNOWN
    ) -> dict[str, Record]:
        """See `Store.read`."""
        found = await super().read(*keys, confirmed=confirmed, known=known)
        self.reads += len(keys)
        self.bytes += sum(len(record.value) for record in found.values())
        return found


async def with_peers(count: int, *rooms: str) -> tuple[PresenceProcess, WeighingStore]:
    """Alice has called many, all of whom are in the hall and in these rooms with her, with much held."""
    process = PresenceProcess()
    await process.open(opening("alice", "hall", *rooms))
    for number in range(count):
        peer = f"u{number}"
        await process.open(opening(peer, "hall", *rooms))
        await process.signal("alice", peer, "OFFER", f"offer {number}")
        for candidate in range(4):
            frame = f"{number} {candidate}".ljust(2000, ".")
            await process.signal("alice", peer, "ICE_CANDIDATE", frame)
    weighing = WeighingStore(process.store)
    process.over(weighing)
    return process, weighing


async def test_leaving_one_of_two_rooms_reads_no_negotiation() -> None:
    process, weighing = await with_peers(50, "cellar")
    await process.leave("alice", "cellar")
    assert (await process.pair("alice", "u0")).is_active
    assert weighing.bytes < 50 * 1000


async def test_leaving_the_last_common_room_ends_all_calls_of_it() -> None:
    process, _ = await with_peers(6)
    await process.join("u5", "cellar")
    await process.join("alice", "cellar")
    await process.leave("alice", "hall")
    for number in range(5):
        assert not (await process.pair("alice", f"u{number}")).is_active
    assert (await process.pair("alice", "u5")).is_active


async def test_a_negotiation_that_is_over_is_not_asked_about_again() -> None:
    process, weighing = await with_peers(3)
    for number in range(3):
        await process.signal("alice", f"u{number}", "HANGUP", f"hangup {number}")
    weighing.reads = 0
    await process.leave("alice", "hall")
    assert weighing.reads < 12
