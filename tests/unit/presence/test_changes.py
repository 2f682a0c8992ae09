"""The loop in which every record is changed, with rules of the tests' own."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import msgspec
import pytest

from presence.records import MAX_TRIES, user_in
from presence.rules.change import Change, Facts, Prepare, Rule, Step, Timer
from presence.rules.effects import Changed, CloseConnection, Deliver, MemberCame, MemberWent
from presence.rules.negotiation import Negotiation, WaitingOffer
from presence.rules.user import User
from presence.store import NOTHING_KNOWN, ListedStore, Record, StoreUnavailable
from tests.contract.fake_store import FakeStore
from tests.unit.presence.lifetime import BusyStore, Died, Sent
from tests.unit.presence.presence_process import SUBJECTS, PresenceProcess
from tests.unit.presence.requests import opening
from tests.unit.presence.rules.frames import NOW, named
from tests.unit.presence.rules.people import online
from tieline.wire.ids import Address, ConnectionId, GatewayId, RoomId, SessionId, UserId
from tieline.wire.internal.answers import Done, Refused, SessionGone
from tieline.wire.internal.rooms import JoinRoom, LeaveRoom, RoomMembers
from tieline.wire.subjects import Keys

ALICE, BOB, HALL, CELLAR = UserId("alice"), UserId("bob"), RoomId("hall"), RoomId("cellar")
HERS = SessionId("alice-s1")
KEY = Keys.user(ALICE)

Users = Mapping[UserId, User]


class WatchedStore:
    """A store that writes down what was asked of it, and lets a test do something first.

    Its sentences and those of a recorder can be one list, which is then in the order of events.
    """

    def __init__(self, store: ListedStore) -> None:
        self._store = store
        self.said: list[str] = []
        self.before: dict[str, Callable[[], Awaitable[object]]] = {}
        """What is done once, before that is asked for."""

    async def read(
        self, *keys: str, confirmed: bool = False, known: Mapping[str, Record] = NOTHING_KNOWN
    ) -> dict[str, Record]:
        """See `Store.read`."""
        await self._note(f"{'confirm' if confirmed else 'read'} {' '.join(keys)}")
        return await self._store.read(*keys, confirmed=confirmed, known=known)

    async def read_few(self, most: int, *keys: str) -> dict[str, Record] | None:
        """See `ListedStore.read_few`."""
        await self._note(f"read {' '.join(keys)}")
        return await self._store.read_few(most, *keys)

    async def keys(self, *patterns: str) -> list[str]:
        """See `ListedStore.keys`."""
        if patterns:
            await self._note(f"list {' '.join(patterns)}")
        return await self._store.keys(*patterns)

    async def write(
        self, key: str, value: bytes, revision: int, ttl_s: float | None = None, *, confirm: bool = True
    ) -> int:
        """See `Store.write`."""
        await self._note(f"{'write' if confirm else 'settle'} {key}")
        return await self._store.write(key, value, revision, ttl_s, confirm=confirm)

    async def put(self, key: str, value: bytes, ttl_s: float, *, leaves_marker: bool = True) -> int:
        """See `Store.put`."""
        await self._note(f"put {key}")
        return await self._store.put(key, value, ttl_s, leaves_marker=leaves_marker)

    async def delete(self, key: str, revision: int) -> None:
        """See `Store.delete`."""
        await self._note(f"delete {key}")
        await self._store.delete(key, revision)
        self.said.append(f"deleted {key}")

    async def _note(self, what: str) -> None:
        self.said.append(what)
        if what in self.before:
            await self.before.pop(what)()


async def process_of(*opened: str) -> PresenceProcess:
    """A process in which these users are connected, and in the hall."""
    process = PresenceProcess()
    for user in opened:
        await process.open(opening(user, "hall"))
    process.recorder.sent.clear()
    return process


def another(process: PresenceProcess, store: ListedStore | None = None) -> PresenceProcess:
    """Another process over the same store, or one around it, that sends to the same others."""
    other = PresenceProcess()
    other.store, other.clock, other.life = process.store, process.clock, process.life
    other.recorder = process.recorder
    return other.over(store or process.store)


def renoted(user: User, note: int) -> User:
    """Change something that means nothing here."""
    return msgspec.structs.replace(user, sessions=(msgspec.structs.replace(user.session, note=note),))


def changes_note(note: int, *effects: Changed | CloseConnection | MemberCame | MemberWent) -> Rule[User]:
    """Make a rule that changes something, with these effects."""

    def rule(user: User | None, _beside: object, _facts: Facts) -> Step[User]:
        assert user is not None
        return Change(Done(), renoted(user, note), effects)

    return rule


def changes_nothing(_user: User | None, _beside: object, _facts: Facts) -> Step[User]:
    """Answer, and leave the record as it is."""
    return Change(Done())


async def pending_of(process: PresenceProcess, user: str) -> tuple[object, ...]:
    """What is still to be told of a user's last change."""
    record = await process.user(user)
    assert record is not None
    return record.pending


async def test_a_rule_is_asked_anew_on_what_somebody_else_has_written() -> None:
    process = await process_of("alice")
    watched = WatchedStore(process.store)
    other = another(process, watched)
    watched.before[f"write {KEY}"] = lambda: process.changes.user(ALICE, changes_note(7))
    seen: list[int] = []

    def rule(user: User | None, _beside: object, _facts: Facts) -> Step[User]:
        assert user is not None
        seen.append(user.session.note)
        return Change(Done(), renoted(user, user.session.note + 1))

    assert await other.changes.user(ALICE, rule) == Done()
    assert seen[1:] == [7]
    alice = await process.user("alice")
    assert alice is not None
    assert alice.session.note == 8


async def test_a_rule_that_never_gets_its_write_through_gives_up() -> None:
    process = await process_of("alice")
    busy = BusyStore(process.store, KEY)

    with pytest.raises(StoreUnavailable, match="alice"):
        await another(process, busy).changes.user(ALICE, changes_note(1))

    assert busy.refused == MAX_TRIES


async def test_a_rule_that_changes_nothing_writes_nothing() -> None:
    process = await process_of("alice")
    watched = WatchedStore(process.store)

    await another(process, watched).changes.user(ALICE, changes_nothing)

    assert watched.said == [f"read {KEY}", f"confirm {KEY}"]
    assert process.recorder.sent == []


@pytest.mark.parametrize("confirmed", [False, True])
async def test_a_rule_decides_on_what_the_leader_says_if_that_is_asked_for(confirmed: bool) -> None:
    process = await process_of("alice")
    watched = WatchedStore(process.store)

    await another(process, watched).changes.user(ALICE, changes_nothing, confirmed=confirmed)

    assert watched.said == [*([] if confirmed else [f"read {KEY}"]), f"confirm {KEY}"]


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


async def test_after_a_conflict_what_is_prepared_is_looked_for_and_found() -> None:
    process = await process_of()
    await process.open(opening("alice"))
    watched = WatchedStore(process.store)
    other = another(process, watched)
    watched.before[f"write {KEY}"] = lambda: process.changes.user(ALICE, changes_note(7))
    wanted = Prepare(HERS, GatewayId("g9"), (HALL, CELLAR))
    asked: list[Facts] = []

    def rule(user: User | None, _beside: object, facts: Facts) -> Step[User]:
        asked.append(facts)
        if facts.prepared != wanted:
            return wanted
        assert user is not None
        return Change(Done(), renoted(user, facts.note))

    await other.changes.user(ALICE, rule, rooms=wanted.rooms)

    note = Keys.session(GatewayId("g9"), HERS)
    assert [said for said in watched.said if said.startswith("write")] == [
        f"write {note}",
        f"write {Keys.room(HALL, ALICE)}",
        f"write {Keys.room(CELLAR, ALICE)}",
        f"write {KEY}",
        f"write {note}",  # which is there
        f"write {KEY}",
    ]
    found = await process.store.read(note, *(Keys.room(room, ALICE) for room in wanted.rooms))
    entries = {room: found[Keys.room(room, ALICE)].revision for room in wanted.rooms}
    prepared = (NOW, wanted, found[note].revision, entries)
    nothing: tuple[object, ...] = (NOW, None, 0, {})
    assert [(one.now, one.prepared, one.note, one.entries) for one in asked] == [
        nothing,
        prepared,
        nothing,
        prepared,
    ]
    assert [one.revision for one in asked] == [one.read[KEY][1] for one in asked]
    assert asked[0].revision < asked[2].revision


async def test_a_timer_is_set_before_the_record_is_written() -> None:
    process = await process_of("alice")
    watched = WatchedStore(process.store)

    def rule(user: User | None, _beside: object, _facts: Facts) -> Step[User]:
        assert user is not None
        return Change(Done(), renoted(user, 1), timer=Timer("timer.x", 30))

    await another(process, watched).changes.user(ALICE, rule)

    assert watched.said == [f"read {KEY}", "put timer.x", f"write {KEY}"]
    assert process.store.time_to_live("timer.x") == 30


async def test_a_second_rule_decides_on_what_the_leader_says_of_the_users() -> None:
    process = await process_of("alice", "bob")
    watched = WatchedStore(process.store)
    other = another(process, watched)
    users = f"{Keys.user(ALICE)} {Keys.user(BOB)}"
    pair = Keys.pair(ALICE, BOB)
    watched.before[f"confirm {users}"] = lambda: process.end("bob")
    seen: list[tuple[bool, bool]] = []
    offered = Negotiation(offers=(WaitingOffer(ALICE, named("offer"), NOW),))

    def look(stored: Negotiation | None, beside: Users) -> None:
        seen.append((stored is not None and stored.is_active, beside[BOB].is_reachable))

    def first(stored: Negotiation | None, beside: Users, _facts: Facts) -> Step[Negotiation]:
        look(stored, beside)
        return Change(Done(), offered, then=second)

    def second(stored: Negotiation | None, beside: Users, _facts: Facts) -> Step[Negotiation]:
        look(stored, beside)
        return Change(Refused("SECOND"))

    assert await other.changes.negotiation(ALICE, BOB, first) == Refused("SECOND")
    assert seen == [(False, True), (True, False)]
    assert watched.said == [f"read {users} {pair}", f"write {pair}", f"confirm {users}"]


async def test_a_second_rule_that_loses_its_write_is_asked_anew_alone() -> None:
    process = await process_of("alice")
    watched = WatchedStore(process.store)
    other = another(process, watched)
    asked: list[str] = []

    async def meddle() -> None:
        await process.changes.user(ALICE, changes_note(9))

    def first(user: User | None, _beside: object, _facts: Facts) -> Step[User]:
        asked.append("first")
        watched.before[f"write {KEY}"] = nothing
        assert user is not None
        return Change(Done(), renoted(user, 1), then=second)

    def second(user: User | None, _beside: object, _facts: Facts) -> Step[User]:
        asked.append("second")
        if len(asked) == 2:
            watched.before[f"write {KEY}"] = meddle
        assert user is not None
        return Change(Done(), renoted(user, 2))

    await other.changes.user(ALICE, first)

    assert asked == ["first", "second", "second"]


async def nothing() -> None:
    """Do nothing."""


@pytest.mark.parametrize("refusal", [Refused("NO"), SessionGone(replaced=False)])
async def test_a_refusal_is_asked_for_again_on_what_the_leader_says(refusal: Refused | SessionGone) -> None:
    process = await process_of("alice", "bob")
    watched = WatchedStore(process.store)
    keys = f"{Keys.user(ALICE)} {Keys.user(BOB)} {Keys.pair(ALICE, BOB)}"

    def rule(_stored: object, _beside: object, _facts: Facts) -> Step[Negotiation]:
        return Change(refusal)

    changes = another(process, watched).changes
    assert await changes.negotiation(ALICE, BOB, rule) == refusal
    assert watched.said == [f"read {keys}", f"confirm {keys}"]


async def test_what_goes_with_a_reply_is_said_although_nothing_is_written() -> None:
    process = await process_of("alice")

    def rule(_user: object, _beside: object, _facts: Facts) -> Step[User]:
        return Change(Done(), said=(Deliver(Address(ALICE, HERS), b"frame"),))

    await process.changes.user(ALICE, rule)

    assert [(sent.subject, sent.payload) for sent in process.recorder.sent] == [
        (SUBJECTS.user(ALICE, HERS), b"frame")
    ]


async def test_an_entry_that_was_swept_meanwhile_is_made_again() -> None:
    process = await process_of("bob")
    await process.open(opening("alice"))
    watched = WatchedStore(process.store)
    entry = Keys.room(HALL, ALICE)

    async def sweep() -> None:
        await process.store.delete(entry, (await process.store.read(entry))[entry].revision)

    watched.before[f"write {KEY}"] = sweep

    reply = await another(process, watched).ask(JoinRoom(ALICE, HERS, HALL))

    assert isinstance(reply, RoomMembers)
    assert [member.user_id for member in reply.members] == ["alice", "bob"]
    assert entry in process.store.contents()
    assert process.heard_by("bob") == ["alice joined hall"]


async def test_two_changes_of_one_record_at_once_are_both_made() -> None:
    process = await process_of("alice")
    await process.join("alice", "cellar")

    await asyncio.gather(
        *(another(process).ask(LeaveRoom(ALICE, HERS, room)) for room in (HALL, CELLAR)),
        another(process).changes.user(ALICE, changes_nothing),
    )

    record, _ = user_in(await process.store.read(KEY), KEY)
    assert record is not None
    assert record.rooms == {}
    assert len({sent for sent in process.recorder.sent if sent.subject == SUBJECTS.event("left")}) == 2
