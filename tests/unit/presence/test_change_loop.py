"""What is carried out around a write: once, again, and by whoever comes next."""

import msgspec
import pytest

from presence.change_loop import STOOD_STILL_MS
from presence.rules.change import Change, Facts, Step
from presence.rules.effects import Changed, CloseConnection, Deliver
from presence.rules.user import User
from presence.store import StoreUnavailable
from tests.contract.fake_store import FakeStore
from tests.unit.presence.changing import (
    ALICE,
    BOB,
    HALL,
    HERS,
    KEY,
    WatchedStore,
    another,
    changes_note,
    changes_nothing,
    pending_of,
    process_of,
    renoted,
)
from tests.unit.presence.fake_outbox import FakeOutbox
from tests.unit.presence.lifetime import BusyStore, Died, Sent
from tests.unit.presence.presence_process import SUBJECTS, PresenceProcess
from tests.unit.presence.requests import opening
from tests.unit.presence.rules.people import online
from tieline.wire.ids import Address, ConnectionId, GatewayId, SessionId
from tieline.wire.internal.answers import Done
from tieline.wire.internal.rooms import JoinRoom, RoomMembers
from tieline.wire.subjects import Keys


async def test_nothing_is_settled_before_it_is_carried_out() -> None:
    process = await process_of("alice", "bob")
    watched = WatchedStore(process.store)
    process.recorder.sent = told = Tellers(watched.said)

    await another(process, watched).leave("alice", "hall")

    entry = Keys.room(HALL, ALICE)
    written = watched.said.index(f"write {KEY}")
    assert watched.said[written + 1 :] == [
        f"read {KEY} {Keys.roster(HALL)}",
        f"list {' '.join(Keys.pairs_of(ALICE))}",
        f"send {SUBJECTS.changed(ALICE)}",
        f"send {SUBJECTS.user(BOB, SessionId('bob-s1'))}",
        f"send {SUBJECTS.event('left')}",
        f"delete {entry}",
        f"deleted {entry}",
        f"settle {KEY}",
    ]
    assert len(told) == 3
    assert await pending_of(process, "alice") == ()


class Tellers(list[Sent]):
    """What was sent, and when, in the words of a `WatchedStore`."""

    def __init__(self, said: list[str]) -> None:
        super().__init__()
        self._said = said

    def append(self, sent: Sent) -> None:
        """Write a message down."""
        super().append(sent)
        self._said.append(f"send {sent.subject}")


async def test_cheap_effects_are_left_to_the_next_write() -> None:
    process = await process_of("alice")
    close = CloseConnection(ALICE, HERS, GatewayId("g1"), ConnectionId("c0"), 4500)
    watched = WatchedStore(process.store)
    other = another(process, watched)

    await other.changes.user(ALICE, changes_note(1, Changed(ALICE), close))
    await other.changes.user(ALICE, changes_nothing)

    assert watched.said == [f"read {KEY}", f"write {KEY}", f"read {KEY}", f"confirm {KEY}"]
    assert await pending_of(process, "alice") == (Changed(ALICE), close)
    await other.changes.user(ALICE, changes_note(2))
    assert await pending_of(process, "alice") == ()


async def test_what_a_dead_process_left_comes_before_the_rule() -> None:
    process = await process_of("alice", "bob")
    process.life.begin(1)
    with pytest.raises(Died):
        await process.leave("alice", "hall")
    process.life.begin(None)
    sent: list[int] = []

    def rule(_user: User | None, _beside: object, _facts: Facts) -> Step[User]:
        sent.append(len(process.recorder.sent))
        return Change(Done())

    await another(process).changes.user(ALICE, rule, confirmed=True)

    assert sent == [3]
    assert process.heard_by("bob") == ["alice left hall: left"]
    assert await pending_of(process, "alice") == ()


async def test_a_process_does_not_repeat_what_it_has_carried_out() -> None:
    process = await process_of("alice")
    await process.changes.user(ALICE, changes_note(1, Changed(ALICE)))
    other = another(process)

    for _ in range(3):
        await process.changes.user(ALICE, changes_nothing)
    assert len(process.recorder.sent) == 1
    for _ in range(3):
        await other.changes.user(ALICE, changes_nothing)
    assert len(process.recorder.sent) == 2


async def test_what_was_sent_as_the_broker_went_away_is_sent_again() -> None:
    process = await process_of("alice")
    await process.changes.user(ALICE, changes_note(1, Changed(ALICE)))
    process.changes.forget_carried_out()
    await process.changes.user(ALICE, changes_nothing)
    assert [sent.subject for sent in process.recorder.sent] == ["tieline.changed.alice"] * 2


async def test_a_bucket_that_counts_anew_hides_no_effect() -> None:
    process = await process_of("alice")
    await process.changes.user(ALICE, changes_note(1, Changed(ALICE)))
    process.recorder.sent.clear()
    revision = (await process.store.read(KEY))[KEY].revision

    process.records.store = FakeStore(process.clock.seconds)  # the broker has come back without the bucket
    other = PresenceProcess(beside=process).over(process.records.store)
    for number in range(revision - 1):
        await process.records.store.put(f"timer.other.{number}", b"", 60)
    record = renoted(online(SessionId("alice-s2")), 1)
    pending = msgspec.structs.replace(record, pending=(Changed(BOB),))
    assert await other.records.write_user(KEY, pending, 0) == revision

    await process.changes.user(ALICE, changes_nothing)
    assert [sent.subject for sent in process.recorder.sent] == ["tieline.changed.bob"]


async def test_what_cannot_be_carried_out_stays_and_is_carried_out_later() -> None:
    process = await process_of("alice", "bob")
    watched = WatchedStore(process.store)
    other = another(process, watched)

    async def goes_away() -> None:
        process.store.is_away = True

    watched.before[f"delete {Keys.room(HALL, ALICE)}"] = goes_away
    with pytest.raises(StoreUnavailable):
        await other.leave("alice", "hall")
    process.store.is_away = False
    assert await pending_of(process, "alice") != ()
    await other.changes.user(ALICE, changes_nothing)
    assert Keys.room(HALL, ALICE) not in process.store.contents()
    assert await pending_of(process, "alice") == ()
    assert len(process.told_to("bob")) == 1


async def test_after_what_others_left_to_do_entries_are_read_anew() -> None:
    process = await process_of("alice", "bob")
    first = await process.user("alice")
    process.life.begin(1)
    with pytest.raises(Died):
        await process.leave("alice", "hall")
    process.life.begin(None)

    joined = await another(process).ask(JoinRoom(ALICE, HERS, HALL))

    assert isinstance(joined, RoomMembers)
    assert [member.user_id for member in joined.members] == ["alice", "bob"]
    again = await process.user("alice")
    assert first is not None
    assert again is not None
    assert again.rooms[HALL].entry != first.rooms[HALL].entry
    assert process.heard_by("bob") == ["alice left hall: left", "alice joined hall"]
    assert len(process.told_to("bob")) == 2


async def test_what_goes_with_a_reply_is_said_although_nothing_is_written() -> None:
    process = await process_of("alice")

    def rule(_user: object, _beside: object, _facts: Facts) -> Step[User]:
        return Change(Done(), said=(Deliver(Address(ALICE, HERS), b"frame"),))

    await process.changes.user(ALICE, rule)

    assert [(sent.subject, sent.payload) for sent in process.recorder.sent] == [
        (SUBJECTS.user(ALICE, HERS), b"frame")
    ]


async def test_who_stood_still_since_it_has_written_tells_nothing() -> None:
    process = await process_of("alice", "bob")
    stopped = PresenceProcess(beside=process)
    write = stopped.records.write_user

    async def stand_still(key: str, record: User, revision: int, **how: bool) -> int:
        written = await write(key, record, revision, **how)
        process.clock.pass_s(STOOD_STILL_MS / 1000)
        process.recorder.sent.clear()
        await process.changes.user(ALICE, changes_nothing, confirmed=True)  # which tells what is pending
        await process.join("alice", "hall")
        process.clock.pass_s(1)
        return written

    stopped.records.write_user = stand_still  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        await stopped.leave("alice", "hall")
    assert process.heard_by("bob") == ["alice left hall: left", "alice joined hall"]
    assert [entry.change.kind for entry in process.log.entries][-2:] == ["left", "joined"]


async def telling(process: PresenceProcess) -> FakeOutbox:
    """Let a process tell the stream of events from now on."""
    process.outbox = outbox = FakeOutbox()
    process.over(process.store)
    return outbox


async def test_what_is_written_is_handed_to_be_told_with_its_revision() -> None:
    process = await process_of("alice", "bob")
    outbox = await telling(process)
    before = (await process.store.read(KEY))[KEY].revision
    await process.leave("alice", "hall")
    ((key, record, revision, since),) = outbox.to_tell
    assert (key, since) == (KEY, process.clock())
    assert [fact.kind for fact in record.facts] == ["member.left"]
    assert before < revision <= (await process.store.read(KEY))[KEY].revision
    assert outbox.asked == [(0, KEY, before)]


async def test_what_is_not_written_is_not_handed_to_be_told() -> None:
    process = await process_of("alice")
    outbox = await telling(process)
    process.over(BusyStore(process.store, KEY))
    with pytest.raises(StoreUnavailable):
        await process.leave("alice", "hall")
    await process.changes.user(ALICE, changes_nothing)
    assert not outbox.to_tell


async def test_the_time_from_which_it_is_late_to_tell_is_before_the_write() -> None:
    process = await process_of("alice")
    outbox = await telling(process)
    began, write = process.clock(), process.records.write_user

    async def stand_still(key: str, record: User, revision: int, **how: bool) -> int:
        written = await write(key, record, revision, **how)
        process.clock.pass_s(3600)
        return written

    process.records.write_user = stand_still  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        await process.leave("alice", "hall")
    assert [each.since for each in outbox.to_tell] == [began]


async def test_only_what_may_not_be_told_again_is_forgotten_later() -> None:
    process = PresenceProcess(settles_later=True)

    await process.open(opening("alice"))  # of which routers may be told at any time
    assert len(process.settling) == 0

    await process.open(opening("bob", "hall"))
    assert len(process.settling) == 1
