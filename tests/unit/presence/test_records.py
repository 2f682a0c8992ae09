"""What is stored under each kind of key, and for how long."""

import math

import msgspec
import pytest

from presence.record_codec import entry_in, negotiation_in, user_in
from presence.records import IDLE_NEGOTIATION_TTL_S, Records
from presence.rules.effects import Changed, HangUp, RemoveNote, SessionEnded
from presence.rules.negotiated import NOTHING, Negotiation, WaitingOffer
from presence.rules.room import UNCLAIMED_MS
from presence.rules.user import Membership, RosterEntry, Session, User, with_session
from presence.store import MARKER_TTL_S, MAX_TRIES, Conflict, StoreUnavailable
from tests.contract.fake_store import FakeStore
from tests.unit.presence.changing import WatchedStore
from tests.unit.presence.lifetime import BusyStore, Clock
from tests.unit.presence.presence_process import OFFLINE_RETENTION_S
from tests.unit.presence.requests import NO_SECRET
from tests.unit.presence.rules.frames import NOW, named
from tieline.wire.ids import ConnectionId, GatewayId, RoomId, SessionId, UserId
from tieline.wire.subjects import Keys

ALICE, BOB, ODD = UserId("alice"), UserId("bob"), UserId("用户 *.>")
HALL, CELLAR = RoomId("hall"), RoomId("cellar .*")
G1, S1, S2 = GatewayId("g1"), SessionId("s1"), SessionId("s2")
ONLINE = User((Session(S1, G1, ConnectionId("c1"), NO_SECRET, "online"),), True, {HALL: Membership(NOW, 3)})
OFFLINE = with_session(ONLINE, msgspec.structs.replace(ONLINE.session, status="offline"))
OFFERED = Negotiation(offers=(WaitingOffer(ALICE, named("offer"), NOW),))
KEY, PAIR, ENTRY = Keys.user(ALICE), Keys.pair(ALICE, BOB), Keys.room(HALL, ALICE)
NOTE = Keys.session(G1, S1)
LAST_NOTE = RemoveNote(S1, G1, 5, last=True)


@pytest.fixture
def store() -> FakeStore:
    """An empty store."""
    return FakeStore(Clock().seconds)


@pytest.fixture
def records(store: FakeStore) -> Records:
    """Records in it."""
    return Records(store, OFFLINE_RETENTION_S)


async def test_a_record_that_was_removed_reads_as_nothing(store: FakeStore, records: Records) -> None:
    revision = await records.write_user(KEY, ONLINE, 0)
    await records.remove(KEY, revision)
    found = await store.read(KEY)
    assert user_in(found, KEY) == (None, revision + 1)
    assert await records.users([ALICE]) == {}


async def test_each_record_is_found_as_it_was_written(store: FakeStore, records: Records) -> None:
    user = await records.write_user(KEY, ONLINE, 0)
    pair = await records.write_negotiation(PAIR, OFFERED, 0)
    entry = RosterEntry(S1, NOW)
    entered = await records.enter(HALL, ALICE, entry, None, 0)
    found = await store.read(KEY, PAIR, ENTRY)
    assert user_in(found, KEY) == (ONLINE, user)
    assert negotiation_in(found, PAIR) == (OFFERED, pair)
    assert entry_in(found, ENTRY) == (entry, entered.revision)


async def test_several_users_are_found_and_those_without_a_record_left_out(records: Records) -> None:
    await records.write_user(KEY, ONLINE, 0)
    await records.write_user(Keys.user(ODD), OFFLINE, 0)
    assert await records.users([ALICE, BOB, ODD]) == {ALICE: ONLINE, ODD: OFFLINE}
    assert await records.users([BOB, ALICE], confirmed=True) == {ALICE: ONLINE}
    assert await records.users([]) == {}


@pytest.mark.parametrize(
    ("user", "lives_s"),
    [
        (ONLINE, math.inf),
        (OFFLINE, OFFLINE_RETENTION_S),
        (msgspec.structs.replace(OFFLINE, pending=(Changed(ALICE), LAST_NOTE)), OFFLINE_RETENTION_S),
        (msgspec.structs.replace(OFFLINE, pending=(SessionEnded(S1, NOW),)), MARKER_TTL_S),
    ],
)
@pytest.mark.parametrize("confirm", [True, False])
async def test_an_offline_user_is_kept_for_a_while(
    store: FakeStore, records: Records, user: User, lives_s: float, confirm: bool
) -> None:
    await records.write_user(KEY, user, 0, confirm=confirm)
    assert store.time_to_live(KEY) == lives_s


@pytest.mark.parametrize(
    ("negotiation", "lives_s"),
    [
        (OFFERED, math.inf),
        (Negotiation(established=True), math.inf),
        (NOTHING, IDLE_NEGOTIATION_TTL_S),
        (Negotiation(pending=(HangUp(ALICE, S1, BOB, "timeout", "offer-1"),)), MARKER_TTL_S),
    ],
)
@pytest.mark.parametrize("confirm", [True, False])
async def test_a_record_without_a_negotiation_is_kept_for_a_while(
    store: FakeStore, records: Records, negotiation: Negotiation, lives_s: float, confirm: bool
) -> None:
    await records.write_negotiation(PAIR, negotiation, 0, confirm=confirm)
    assert store.time_to_live(PAIR) == lives_s


async def test_what_is_untold_makes_no_retention_shorter(store: FakeStore) -> None:
    user = msgspec.structs.replace(OFFLINE, pending=(SessionEnded(S1, NOW),))
    await Records(store, 2 * MARKER_TTL_S).write_user(KEY, user, 0)
    assert store.time_to_live(KEY) == 2 * MARKER_TTL_S


async def test_a_write_over_something_newer_is_a_conflict(records: Records) -> None:
    first = await records.write_user(KEY, ONLINE, 0)
    await records.write_user(KEY, OFFLINE, first)
    with pytest.raises(Conflict):
        await records.write_user(KEY, ONLINE, first)
    assert await records.write_user(KEY, ONLINE, first, confirm=False) == 0
    assert await records.users([ALICE]) == {ALICE: OFFLINE}


@pytest.mark.parametrize(
    ("session", "age_ms", "is_kept"),
    [(S1, 0, True), (S1, UNCLAIMED_MS // 2 - 1, True), (S1, UNCLAIMED_MS // 2, False), (S2, 0, False)],
)
@pytest.mark.parametrize("is_read_before", [True, False])
async def test_a_young_entry_of_the_same_session_is_kept(
    store: FakeStore, records: Records, session: SessionId, age_ms: int, is_kept: bool, is_read_before: bool
) -> None:
    stored = RosterEntry(session, NOW - age_ms)
    first = await records.enter(HALL, ALICE, stored, None, 0)
    assert first.is_new
    known = (stored, first.revision) if is_read_before else (None, 0)
    entered = await records.enter(HALL, ALICE, RosterEntry(S1, NOW), *known)
    assert entered.is_new is not is_kept
    assert (entered.revision == first.revision) is is_kept
    assert entry_in(await store.read(ENTRY), ENTRY) == (
        stored if is_kept else RosterEntry(S1, NOW),
        entered.revision,
    )


@pytest.mark.parametrize("is_read_before", [True, False])
async def test_an_entry_of_what_may_be_a_newer_session_is_left(
    store: FakeStore, records: Records, is_read_before: bool
) -> None:
    before = await records.write_user(KEY, ONLINE, 0)
    newer = RosterEntry(S2, NOW)
    first = await records.enter(HALL, ALICE, newer, None, 0, before)
    stored, revision = (newer, first.revision) if is_read_before else (None, 0)
    await records.write_user(
        KEY, with_session(ONLINE, msgspec.structs.replace(ONLINE.session, id=S2)), before
    )
    with pytest.raises(Conflict):
        await records.enter(HALL, ALICE, RosterEntry(S1, NOW), stored, revision, before)
    assert entry_in(await store.read(ENTRY), ENTRY) == (newer, first.revision)


async def test_an_entry_that_was_removed_is_written_again(records: Records) -> None:
    first = (await records.enter(HALL, ALICE, RosterEntry(S1, NOW), None, 0)).revision
    await records.remove(ENTRY, first)
    entered = await records.enter(HALL, ALICE, RosterEntry(S1, NOW), RosterEntry(S2, NOW), first)
    assert entered.is_new
    assert entered.revision > first + 1


async def test_what_has_changed_since_it_was_read_is_not_removed(store: FakeStore, records: Records) -> None:
    first = await records.write_user(KEY, ONLINE, 0)
    again = await records.write_user(KEY, ONLINE, first)
    await records.remove(KEY, first)
    assert (await store.read(KEY))[KEY].revision == again


async def test_an_entry_that_is_always_lost_is_given_up(store: FakeStore) -> None:
    busy = BusyStore(store, "room.")
    with pytest.raises(StoreUnavailable):
        await Records(busy, OFFLINE_RETENTION_S).enter(HALL, ALICE, RosterEntry(S1, NOW), None, 0)
    assert busy.refused == MAX_TRIES


async def test_what_cannot_be_understood_is_replaced_by_its_revision(
    store: FakeStore, records: Records
) -> None:
    revision = await store.put(KEY, b"\xc1", 60)
    assert user_in(await store.read(KEY), KEY) == (None, revision)
    await records.write_user(KEY, ONLINE, revision)
    assert user_in(await store.read(KEY), KEY)[0] == ONLINE


async def test_what_many_look_at_is_read_of_each_as_of_one_moment(store: FakeStore) -> None:
    watched = WatchedStore(store)
    rooms = [RoomId(f"r{number}") for number in range(300)]
    each = [
        (Keys.user(user), Keys.standing(user), *(Keys.room(room, user) for room in rooms))
        for user in (ALICE, BOB)
    ]
    for keys in each:
        await store.write(keys[0], b"user", 0)
        await store.write(keys[1], b"standing", 0)
    found = await Records(watched, OFFLINE_RETENTION_S).read_together(each)
    assert watched.said == [f"read {' '.join(keys)}" for keys in each]
    for keys in each:
        assert [record.value for record in found[keys].values()] == [b"user", b"standing"]
