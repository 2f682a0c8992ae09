"""Rosters as they are stored: who is entered, who is not, and whose entry goes."""

import asyncio
import random

import msgspec
import pytest

from presence.record_codec import entry_in
from presence.records import Entry, Records
from presence.rosters import FULL_MS, ROOMY_SHARE, SHORT, Rosters
from presence.rules.room import UNCLAIMED_MS, StoredEntry
from presence.rules.user import Membership, RosterEntry, Session, User, with_session
from presence.store import Record
from tests.unit.presence.counting_store import CountingStore
from tests.unit.presence.lifetime import Clock, Life, MortalStore
from tests.unit.presence.presence_process import OFFLINE_RETENTION_S
from tests.unit.presence.requests import NO_SECRET
from tests.unit.presence.rules.frames import NOW
from tieline.wire.ids import ConnectionId, GatewayId, RoomId, SessionId, UserId
from tieline.wire.internal.rooms import RoomMembers
from tieline.wire.partitions import Partitions
from tieline.wire.replies import Member
from tieline.wire.subjects import Keys

ALICE, BOB, CAROL = UserId("alice"), UserId("bob"), UserId("carol")
HALL, CELLAR = RoomId("hall"), RoomId("cellar")
NOTHING_READ: dict[str, Record] = {}


class Building:
    """A few rosters in a store."""

    def __init__(self, max_members: int = 2) -> None:
        self.clock = Clock()
        self.store = MortalStore(Life(), self.clock)
        self.records = Records(self.store, OFFLINE_RETENTION_S)
        self.rosters = Rosters(self.records, max_members)

    async def enter(self, user: UserId, *rooms: RoomId) -> dict[RoomId, int]:
        """Enter a user without knowing what is there."""
        entry = RosterEntry(SessionId(f"{user}-s"), self.clock.now_ms)
        entries = await self.rosters.enter(user, entry, rooms or (HALL,), NOTHING_READ)
        return {room: each.revision for room, each in entries.items()}

    async def claim(self, user: UserId, *rooms: RoomId) -> tuple[User, int]:
        """Let a user's record say that its session is in these rooms."""
        session = Session(SessionId(f"{user}-s"), GatewayId("g1"), ConnectionId("c"), NO_SECRET, "online")
        record = User((session,), True, {room: Membership(NOW, 1) for room in rooms or (HALL,)})
        return record, await self.records.write_user(Keys.user(user), record, 0)

    async def entered(self, room: RoomId = HALL) -> set[UserId]:
        """Who has an entry."""
        return {stored.user for stored in await self.rosters.read(room, {})}


async def test_the_revision_of_each_entry_is_returned() -> None:
    building = Building()
    revisions = await building.enter(ALICE, HALL, CELLAR)
    found = await building.store.read(Keys.room(HALL, ALICE), Keys.room(CELLAR, ALICE))
    assert revisions == {room: entry_in(found, Keys.room(room, ALICE))[1] for room in (HALL, CELLAR)}


async def test_a_short_roster_is_read_beside_a_user_and_then_not_counted() -> None:
    building = Building(max_members=10)
    counting = CountingStore(building.store)
    rosters = Rosters(Records(counting, OFFLINE_RETENTION_S), 10, counting.count_keys)
    await building.claim(ALICE)
    await building.enter(BOB)
    key = Keys.user(ALICE)
    found = await rosters.read_beside(HALL, key, (Keys.closing(HALL),), NOW)
    assert found is not None
    assert found.keys() == {key, Keys.room(HALL, BOB)}
    entry = RosterEntry(SessionId("alice-s"), NOW)
    trips = await counting.count(rosters.enter(ALICE, entry, [HALL], found))
    assert trips.requests == 1, counting.asked


async def test_a_long_roster_is_not_read_beside_a_user_again() -> None:
    building = Building(max_members=1000)
    counting = CountingStore(building.store)
    rosters = Rosters(Records(counting, OFFLINE_RETENTION_S), 1000, counting.count_keys)
    for number in range(SHORT + 2):
        await building.enter(UserId(f"user-{number}"))
    key = Keys.user(ALICE)
    assert await rosters.read_beside(HALL, key, (), NOW) is None
    await rosters.enter(ALICE, RosterEntry(SessionId("alice-s"), NOW), [HALL], NOTHING_READ)
    looking = rosters.read_beside(HALL, key, (), NOW)
    assert (await counting.count(looking)).requests == 0, "it is known to be long"


async def test_the_roster_of_a_full_room_is_not_read_beside_a_user() -> None:
    building = Building(max_members=1)
    await building.claim(BOB)
    await building.enter(BOB)
    assert await building.enter(ALICE) == {}
    assert await building.rosters.read_beside(HALL, Keys.user(ALICE), (), building.clock.now_ms) is None


async def test_a_roster_of_another_partition_is_not_read_beside_a_user() -> None:
    places = Partitions(4)
    store = MortalStore(Life(), Clock(), None, places)
    rosters = Rosters(Records(store, OFFLINE_RETENTION_S, partitions=places), 10)
    users = [UserId(f"user-{number}") for number in range(20)]
    read = {user: await rosters.read_beside(HALL, Keys.user(user), (), NOW) is not None for user in users}
    at = places.of_key(Keys.roster(HALL))
    assert read == {user: places.of_key(Keys.user(user)) == at for user in users}


async def test_no_room_is_entered_where_none_is_wanted() -> None:
    building = Building()
    assert await building.rosters.enter(ALICE, RosterEntry(SessionId("s"), NOW), (), NOTHING_READ) == {}


async def test_an_entry_that_was_read_before_is_kept() -> None:
    building = Building()
    first = await building.enter(ALICE)
    found = await building.store.read(Keys.room(HALL, ALICE))
    entry = RosterEntry(SessionId("alice-s"), NOW)
    kept = {room: Entry(revision, is_new=False) for room, revision in first.items()}
    assert await building.rosters.enter(ALICE, entry, [HALL], found) == kept


async def test_the_entry_by_which_one_was_a_member_goes_unread() -> None:
    building = Building()
    await building.enter(ALICE)
    _, before = await building.claim(ALICE)
    (entry,) = (stored.revision for stored in await building.rosters.read(HALL, {}))
    counting = CountingStore(building.store)
    building.rosters = Rosters(Records(counting, OFFLINE_RETENTION_S), 2)
    for asked in ({"delete": 1}, {"delete": 1, "read": 1}):
        await counting.count(building.rosters.remove_own(HALL, ALICE, SessionId("alice-s"), entry, before))
        assert (await building.entered(), counting.asked) == (set(), asked)


@pytest.mark.parametrize(
    ("session", "is_newer", "stays"),
    [("alice-s", False, False), ("alice-s", True, True), ("other", False, True)],
)
async def test_an_own_entry_that_was_written_anew_goes_with_its_session(
    session: str, is_newer: bool, stays: bool
) -> None:
    building = Building()
    record, before = await building.claim(ALICE)
    key = Keys.room(HALL, ALICE)
    entry = await building.records.write_entry(HALL, ALICE, RosterEntry(SessionId(session), NOW), 0)
    anew = await building.records.write_entry(HALL, ALICE, RosterEntry(SessionId(session), NOW + 1), entry)
    if not is_newer:
        before = await building.records.write_user(Keys.user(ALICE), record, before)
    await building.rosters.remove_own(HALL, ALICE, SessionId("alice-s"), entry, before)
    assert (await building.entered() == {ALICE}) is stays
    assert entry_in(await building.store.read(key), key)[1] >= anew


async def test_whoever_comes_first_stays() -> None:
    building = Building(max_members=2)
    for user in (ALICE, BOB):
        await building.claim(user)
        assert HALL in await building.enter(user)
    assert (await building.enter(CAROL, HALL, CELLAR)).keys() == {CELLAR}
    assert await building.entered() == {ALICE, BOB}
    assert await building.entered(CELLAR) == {CAROL}


@pytest.mark.parametrize("seed", range(10))
async def test_of_those_who_come_at_once_the_first_entered_stay(seed: int) -> None:
    building = Building(max_members=3)
    building.store.lingers = random.Random(seed).randrange
    users = [UserId(f"user{number}") for number in range(8)]
    entered = await asyncio.gather(*(building.enter(user) for user in users))
    building.store.lingers = None
    inside = {user for user, rooms in zip(users, entered, strict=True) if HALL in rooms}
    assert len(inside) == 3
    assert await building.entered() == inside
    revisions = {stored.user: stored.revision for stored in await building.rosters.read(HALL, {})}
    assert sorted(revisions.values()) == sorted(rooms[HALL] for rooms in entered if HALL in rooms)


async def test_an_entry_left_behind_is_removed_when_a_room_seems_full() -> None:
    building = Building(max_members=1)
    await building.enter(ALICE)
    building.clock.now_ms += UNCLAIMED_MS - 1
    assert await building.enter(BOB) == {}
    building.clock.now_ms += FULL_MS
    assert HALL in await building.enter(BOB)
    assert await building.entered() == {BOB}


async def test_an_entry_left_behind_stays_where_there_is_room() -> None:
    building = Building(max_members=2)
    await building.enter(ALICE)
    building.clock.now_ms += UNCLAIMED_MS
    assert HALL in await building.enter(BOB)
    assert await building.entered() == {ALICE, BOB}


async def count_too_many(_pattern: str, _revision: int) -> int:
    """Count many who have gone."""
    return 1_000


async def test_where_many_have_gone_some_seats_are_given_without_looking() -> None:
    building = Building()
    counting = CountingStore(building.store)
    records = Records(counting, OFFLINE_RETENTION_S)
    building.rosters = Rosters(records, 3 * ROOMY_SHARE, count_too_many)
    reads = []
    for number in range(4):
        await counting.count(building.enter(UserId(f"user{number}")))
        reads.append(counting.asked["read"])
    assert reads == [1, 0, 0, 1]
    assert len(await building.entered()) == 4


async def test_where_few_are_counted_nothing_is_read() -> None:
    building = Building()
    counting = CountingStore(building.store)
    records = Records(counting, OFFLINE_RETENTION_S)
    building.rosters = Rosters(records, 2, counting.count_keys)
    reads = []
    for number in range(3):
        await counting.count(building.enter(UserId(f"user{number}")))
        reads.append(counting.asked["read"])
    assert reads == [0, 0, 2], "the entries, then the records behind them"
    assert len(await building.entered()) == 2


class Counted:
    """A building whose rooms are counted."""

    def __init__(self, max_members: int) -> None:
        self.building = Building()
        self.counting = CountingStore(self.building.store)
        self.building.rosters = Rosters(Records(self.counting, OFFLINE_RETENTION_S), max_members, self._count)
        self.counts = 0

    async def _count(self, pattern: str, revision: int) -> int | None:
        self.counts += 1
        return await self.counting.count_keys(pattern, revision)

    async def enters(self, user: UserId) -> int:
        """Let a user in; returns how often the room has been counted for that."""
        before = self.counts
        assert await self.building.enter(user)
        return self.counts - before


async def test_a_room_that_was_counted_is_counted_when_it_may_be_full() -> None:
    counted = Counted(max_members=3)
    assert await counted.enters(ALICE) == 1
    assert [await counted.enters(BOB), await counted.enters(CAROL)] == [0, 0]
    assert await counted.building.enter(UserId("dave")) == {}, "whoever else was let in meanwhile"


async def test_what_is_written_elsewhere_may_have_taken_seats() -> None:
    counted = Counted(max_members=3)
    assert await counted.enters(ALICE) == 1
    for user in (BOB, CAROL):
        await counted.building.claim(user)
    assert await counted.enters(BOB) == 1


async def test_a_bucket_that_counts_anew_has_its_rooms_counted_anew() -> None:
    counted = Counted(max_members=9)
    assert await counted.enters(ALICE) == 1
    counted.building.rosters.forget_counts()
    assert await counted.enters(BOB) == 1


async def test_an_old_entry_that_a_record_claims_stays() -> None:
    building = Building(max_members=1)
    await building.enter(ALICE)
    await building.claim(ALICE)
    building.clock.now_ms += UNCLAIMED_MS
    assert await building.enter(BOB) == {}
    assert await building.entered() == {ALICE}


async def test_an_entry_that_was_written_anew_is_not_removed() -> None:
    building = Building()
    first = await building.enter(ALICE)
    building.clock.now_ms += UNCLAIMED_MS
    await building.enter(ALICE)
    await building.rosters.remove(
        HALL, StoredEntry(ALICE, RosterEntry(SessionId("alice-s"), NOW), first[HALL])
    )
    assert await building.entered() == {ALICE}


async def test_members_are_those_whose_records_say_so() -> None:
    building = Building(max_members=9)
    for user in (ALICE, BOB, CAROL):
        await building.enter(user)
    alice = await building.claim(ALICE)
    await building.claim(BOB, CELLAR)
    entries = await building.rosters.read(HALL, {})
    assert await building.rosters.members(HALL, entries, {ALICE: alice}) == RoomMembers(
        (Member(ALICE, "online", True, NOW),)
    )


async def test_the_one_who_is_known_is_not_read() -> None:
    building = Building()
    await building.enter(ALICE)
    record, revision = await building.claim(ALICE)
    away = with_session(record, msgspec.structs.replace(record.session, status="away"))
    entries = await building.rosters.read(HALL, {})
    building.store.is_away = True
    assert await building.rosters.members(HALL, entries, {ALICE: (away, revision)}) == RoomMembers(
        (Member(ALICE, "away", True, NOW),)
    )
