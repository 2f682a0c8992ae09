"""A real bucket in several partitions, read and written as one."""

from collections.abc import Mapping

import pytest

from presence.partitioned import PartitionedBucket
from presence.records import Records
from presence.store import Record
from tests.contract.buckets import partitioned_of
from tieline.runtime.broker import Broker
from tieline.wire.ids import RoomId, UserId
from tieline.wire.subjects import Keys, Subjects

SUBJECTS = Subjects("t", 4)
PLACES = SUBJECTS.partitions
USERS = [UserId(f"user-{number}") for number in range(12)]
ALICE, *OTHERS = USERS
KEYS = [Keys.user(user) for user in USERS]
PAIRS = [Keys.pair(ALICE, other) for other in OTHERS]


@pytest.fixture(params=["alone", "of several"])
async def store(request: pytest.FixtureRequest, broker: Broker) -> PartitionedBucket:
    return await partitioned_of(broker, SUBJECTS, alone=request.param == "alone")


async def written(store: PartitionedBucket, keys: list[str]) -> dict[str, Record]:
    """Write each key its name."""
    return {key: Record(key.encode(), await store.write(key, key.encode(), 0)) for key in keys}


async def test_what_is_written_lies_in_its_own_partition(store: PartitionedBucket, broker: Broker) -> None:
    await written(store, KEYS)
    streams = broker.client.jetstream()
    found = {
        (part.at, subject.removeprefix(f"$KV.{part.bucket()}."))
        for part in SUBJECTS.parts()
        for subject in (
            (await streams.stream_info(f"KV_{part.bucket()}", subjects_filter=">")).state.subjects or {}
        )
    }
    assert found == {(PLACES.of_key(key), key) for key in KEYS}
    assert len({at for at, _ in found}) > 1


async def test_keys_of_several_partitions_are_read_together(store: PartitionedBucket) -> None:
    kept = await written(store, KEYS)
    assert await store.read(*KEYS) == kept
    assert await store.read(*KEYS, confirmed=True, known=kept) == kept
    assert await store.read_now(*KEYS) == kept


async def test_a_wide_pattern_is_asked_of_each_partition(store: PartitionedBucket) -> None:
    kept = await written(store, PAIRS)
    patterns = Keys.pairs_of(ALICE)
    assert await store.read(*patterns) == kept == await store.read_now(*patterns)
    assert sorted(await store.keys(*patterns)) == sorted(PAIRS)


async def test_few_are_few_in_all_partitions_together(store: PartitionedBucket) -> None:
    kept = await written(store, PAIRS)
    patterns = Keys.pairs_of(ALICE)

    async def read(most: int, *keys: str) -> Mapping[str, Record] | None:
        dated = await store.read_few(most, *keys)
        now = await store.read_few_now(most, *keys)
        assert now == (dated and dated.found)
        return now

    assert await read(len(PAIRS), *patterns) == kept
    assert await read(len(PAIRS) - 1, *patterns) is None
    assert await read(1, *patterns) is None
    assert await read(5, *Keys.pairs_of(UserId("nobody"))) == {}


async def test_nothing_is_read_where_nothing_is(store: PartitionedBucket) -> None:
    assert await store.read_now(*KEYS, *Keys.pairs_of(ALICE)) == {}
    assert await store.keys() == []


async def test_of_each_key_it_is_known_how_new_it_is(store: PartitionedBucket) -> None:
    kept = await written(store, KEYS)
    dated = await store.read_dated(*KEYS)
    newest: dict[int | None, int] = {}
    for key, record in kept.items():
        newest[PLACES.of_key(key)] = record.revision
    assert dated.found == kept
    assert {key: dated.as_of(key) for key in KEYS} == {key: newest[PLACES.of_key(key)] for key in KEYS}


async def test_a_roster_of_more_than_one_answer_is_read_whole(store: PartitionedBucket) -> None:
    room = RoomId("large")
    keys = [Keys.room(room, UserId(f"u{number}")) for number in range(1_100)]
    for key in keys:
        await store.write(key, b"x", 0, confirm=False)
    last = await store.write(Keys.room(room, UserId("last")), b"x", 0)
    assert len(await store.read_now(Keys.roster(room))) == 1_101
    assert await store.count(Keys.roster(room), last) is None


async def test_a_lease_is_another_one_in_each_partition(store: PartitionedBucket) -> None:
    leases = [f"timer.lease.g{'' if at == 0 else f'/{at}'}" for at in PLACES]
    for lease in leases:
        await store.put(lease, lease.encode(), 60)
    found = await store.read(*leases)
    assert {key: record.value.decode() for key, record in found.items()} == {key: key for key in leases}


async def test_a_write_elsewhere_is_seen_with_one_here(store: PartitionedBucket) -> None:
    records = Records(store, 300, partitions=PLACES, current=store)
    kept = await written(store, [*KEYS, *PAIRS])
    mine = {KEYS[0]: kept[KEYS[0]].revision}
    wanted = (*KEYS, *Keys.pairs_of(ALICE))
    assert await records.read_after(mine, *wanted) == kept
    elsewhere = [key for key in PAIRS if PLACES.of_key(key) != PLACES.of_key(KEYS[0])]
    assert await records.read_after(mine, *elsewhere) == {key: kept[key] for key in elsewhere}
    assert await records.read_few_after(mine, len(kept), *wanted) == kept
    assert await records.read_few_after(mine, len(kept) - 1, *wanted) is None


async def test_it_is_usable_while_each_partition_is(store: PartitionedBucket, broker: Broker) -> None:
    assert await store.is_usable()
    assert await store.has_room()
    await broker.client.jetstream().delete_key_value("t-3-of-4")
    assert not await store.is_usable()
    assert not await store.has_room()
