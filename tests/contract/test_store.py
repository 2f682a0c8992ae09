"""What presence may expect of its store: the same of the fake in memory and of a bucket on a real broker."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from presence.store import Bucket, Conflict, ListedStore, Record, Store, StoreUnavailable, make_bucket
from tests.contract.fake_store import FakeStore
from tests.support.nats_server import NatsServer
from tests.support.waiting import until_true
from tieline.runtime.broker import Broker, connect
from tieline.runtime.requests import Requests
from tieline.wire.subjects import Subjects

PATIENCE_S = 10
"""For what takes one or two seconds here."""

MORE_THAN_ONE_ANSWER_HOLDS = 1100
"""The broker refuses to answer one read with more than 1,024 records."""


async def bucket_of(broker: Broker, namespace: str) -> Bucket:
    """A real bucket of one's own, which need not be there yet."""
    requests = Requests(broker, Subjects(namespace).replies("contract", "test"))
    await requests.start()
    await make_bucket(broker, namespace, "memory", 1)
    return Bucket(broker, requests, namespace)


@pytest.fixture(params=["fake", "bucket"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """An empty store."""
    if request.param == "fake":
        yield FakeStore(time.monotonic)
        return
    broker = await connect(request.getfixturevalue("nats_url"), "contract")
    namespace = f"contract-{time.monotonic_ns():x}"
    yield await bucket_of(broker, namespace)
    await broker.client.jetstream().delete_key_value(namespace)
    await broker.close()


# Reading.


async def test_what_was_never_written_is_left_out(store: Store) -> None:
    assert await store.read("a.1", "b.*") == {}


async def test_several_keys_are_read_at_once_each_with_its_revision(store: Store) -> None:
    first = await store.write("a.1", b"one", 0)
    second = await store.write("a.2", b"\x00\xff", 0)
    assert await store.read("a.1", "a.2", "a.3") == {
        "a.1": Record(b"one", first),
        "a.2": Record(b"\x00\xff", second),
    }


async def test_revisions_only_grow_whatever_the_key(store: Store) -> None:
    revisions = [await store.write(f"k.{number}", b"x", 0) for number in range(5)]
    revisions.append(await store.put("k.0", b"y", ttl_s=60))
    assert revisions == sorted(set(revisions))


async def test_a_star_matches_any_one_token_in_its_place(store: Store) -> None:
    for key in ("room.r.a", "room.r.b", "room.r2.a", "room.r", "room.r.a.x", "user.a"):
        await store.write(key, key.encode(), 0)
    found = await store.read("room.r.*")
    assert {key: record.value for key, record in found.items()} == {
        "room.r.a": b"room.r.a",
        "room.r.b": b"room.r.b",
    }


async def test_several_patterns_are_read_at_once_without_repeats(store: Store) -> None:
    for key in ("pair.a.b", "pair.b.c", "pair.a.a", "pair.c.d"):
        await store.write(key, b"x", 0)
    assert (await store.read("pair.a.*", "pair.*.a")).keys() == {"pair.a.b", "pair.a.a"}


async def test_the_open_end_matches_one_token_and_more(store: Store) -> None:
    for key in ("timer", "timer.a", "timer.a.b.c", "other.a"):
        await store.write(key, b"x", 0)
    assert (await store.read("timer.>")).keys() == {"timer.a", "timer.a.b.c"}


async def test_more_records_than_one_answer_holds_are_all_found(store: Store) -> None:
    keys = [f"room.full.{number}" for number in range(MORE_THAN_ONE_ANSWER_HOLDS)]
    await asyncio.gather(*(store.write(key, key.encode(), 0) for key in keys))
    await store.write("room.other.1", b"x", 0)
    found = await store.read("room.full.*")
    assert {key: record.value for key, record in found.items()} == {key: key.encode() for key in keys}


async def test_many_keys_named_one_by_one_are_all_found(store: Store) -> None:
    keys = [f"user.{number}" for number in range(MORE_THAN_ONE_ANSWER_HOLDS)]
    await asyncio.gather(*(store.write(key, b"x", 0) for key in keys))
    assert (await store.read(*keys)).keys() == set(keys)


async def test_a_confirmed_read_knows_what_was_written_just_before(store: Store) -> None:
    revision = 0
    for number in range(20):
        value = str(number).encode()
        revision = await store.write("a.1", value, revision)
        assert await store.read("a.1", "a.2", confirmed=True) == {"a.1": Record(value, revision)}


# Writing.


async def test_an_empty_value_is_a_record_like_any_other(store: Store) -> None:
    revision = await store.write("a.1", b"", 0)
    assert await store.read("a.1") == {"a.1": Record(b"", revision)}
    await store.write("a.1", b"x", revision)


async def test_a_record_is_replaced_by_who_knows_its_revision(store: Store) -> None:
    first = await store.write("a.1", b"one", 0)
    second = await store.write("a.1", b"two", first)
    assert await store.read("a.1") == {"a.1": Record(b"two", second)}


@pytest.mark.parametrize("wrong", [-1, 0, 1])
async def test_a_write_that_expects_another_revision_changes_nothing(store: Store, wrong: int) -> None:
    await store.write("before.1", b"so that the revisions of the key below leave room on both sides", 0)
    first = await store.write("a.1", b"one", 0)
    second = await store.write("a.1", b"two", first)
    expected = 0 if wrong == 0 else second + wrong
    with pytest.raises(Conflict):
        await store.write("a.1", b"three", expected)
    assert await store.read("a.1") == {"a.1": Record(b"two", second)}


async def test_a_first_write_that_expects_a_record_is_a_conflict(store: Store) -> None:
    with pytest.raises(Conflict):
        await store.write("a.1", b"x", 7)
    assert await store.read("a.1") == {}


async def test_of_many_writes_to_one_revision_one_succeeds(store: Store) -> None:
    outcomes = await asyncio.gather(
        *(store.write("a.1", str(number).encode(), 0) for number in range(20)), return_exceptions=True
    )
    (winner,) = (number for number, outcome in enumerate(outcomes) if isinstance(outcome, int))
    assert all(isinstance(outcome, Conflict) for outcome in outcomes if not isinstance(outcome, int))
    found = await store.read("a.1")
    assert found == {"a.1": Record(str(winner).encode(), found["a.1"].revision)}


async def test_a_write_that_nobody_waits_for_replaces_the_revision_it_names(store: Store) -> None:
    first = await store.write("a.1", b"one", 0)
    assert await store.write("a.1", b"two", first, confirm=False) == 0
    assert await store.write("a.2", b"new", 0, confirm=False) == 0
    behind = await store.write("behind.1", b"what was sent before has been dealt with", 0)
    found = await store.read("a.1", "a.2", confirmed=True)
    assert {key: record.value for key, record in found.items()} == {"a.1": b"two", "a.2": b"new"}
    assert first < found["a.1"].revision < found["a.2"].revision < behind


@pytest.mark.parametrize("wrong", [-1, 0, 1])
async def test_a_write_that_nobody_waits_for_and_that_lost_changes_nothing(store: Store, wrong: int) -> None:
    await store.write("before.1", b"so that the revisions of the key below leave room on both sides", 0)
    first = await store.write("a.1", b"one", 0)
    second = await store.write("a.1", b"two", first)
    expected = 0 if wrong == 0 else second + wrong
    assert await store.write("a.1", b"three", expected, confirm=False) == 0
    await store.write("behind.1", b"what was sent before has been dealt with", 0)
    assert await store.read("a.1", confirmed=True) == {"a.1": Record(b"two", second)}


async def test_a_put_asks_for_no_revision(store: Store) -> None:
    first = await store.put("timer.1", b"one", ttl_s=60)
    second = await store.put("timer.1", b"two", ttl_s=60)
    assert second > first
    assert await store.read("timer.1") == {"timer.1": Record(b"two", second)}


# Deleting.


async def test_a_deleted_record_reads_as_empty_with_a_newer_revision(store: Store) -> None:
    revision = await store.write("a.1", b"one", 0)
    await store.delete("a.1", revision)
    record = (await store.read("a.1"))["a.1"]
    assert record.value == b""
    assert record.revision > revision
    assert await store.read("a.*", "a.1") == {"a.1": record}
    assert await store.read("a.1", confirmed=True) == {"a.1": record}


async def test_a_deleted_record_is_written_again_over_its_marker(store: Store) -> None:
    await store.delete("a.1", await store.write("a.1", b"one", 0))
    marker = (await store.read("a.1"))["a.1"]
    written = await store.write("a.1", b"two", marker.revision)
    assert await store.read("a.1") == {"a.1": Record(b"two", written)}


async def test_a_deleted_record_is_not_as_if_it_had_never_been(store: Store) -> None:
    await store.delete("a.1", await store.write("a.1", b"one", 0))
    with pytest.raises(Conflict):
        await store.write("a.1", b"two", 0)


async def test_a_deletion_of_another_revision_deletes_nothing(
    store: Store,
) -> None:
    first = await store.write("a.1", b"one", 0)
    second = await store.write("a.1", b"two", first)
    with pytest.raises(Conflict):
        await store.delete("a.1", first)
    assert await store.read("a.1") == {"a.1": Record(b"two", second)}


# Expiring.


async def test_what_was_put_may_leave_nothing_behind(store: Store) -> None:
    await store.put("held.1", b"one", 1, leaves_marker=False)
    assert (await store.read("held.1"))["held.1"].value == b"one"
    await store.put("held.1", b"two", 1, leaves_marker=False)
    assert (await store.read("held.1", confirmed=True))["held.1"].value == b"two"

    async def is_gone() -> bool:
        return not await store.read("held.1") and not await store.read("held.1", confirmed=True)

    await until_true(is_gone)


async def test_what_was_put_expires_and_leaves_a_marker_to_write_over(store: Store) -> None:
    put = await store.put("timer.1", b"alive", ttl_s=1)
    assert await store.read("timer.1") == {"timer.1": Record(b"alive", put)}

    async def is_over() -> bool:
        return (await store.read("timer.1"))["timer.1"].value == b""

    await until_true(is_over)
    marker = (await store.read("timer.1"))["timer.1"]
    assert marker.revision > put
    written = await store.write("timer.1", b"again", marker.revision)
    assert await store.read("timer.1") == {"timer.1": Record(b"again", written)}


async def test_what_was_written_for_a_while_leaves_nothing_behind(store: Store) -> None:
    await store.write("a.1", b"for a while", 0, ttl_s=1)
    assert (await store.read("a.1", confirmed=True))["a.1"].value == b"for a while"

    async def is_gone() -> bool:
        return not await store.read("a.1") and not await store.read("a.1", confirmed=True)

    await until_true(is_gone)
    await store.write("a.1", b"as if it had never been", 0)


async def test_a_record_with_a_ttl_expires_unless_it_is_replaced(
    store: Store,
) -> None:
    await store.write("a.1", b"for a while", 0, ttl_s=1)
    replaced = await store.write("a.2", b"for a while", 0, ttl_s=1)
    await store.write("a.2", b"for good", replaced)

    async def is_over() -> bool:
        return not await store.read("a.1")

    await until_true(is_over)
    assert (await store.read("a.2"))["a.2"].value == b"for good"


async def test_what_was_written_for_a_while_without_waiting_expires(store: Store) -> None:
    first = await store.write("a.1", b"for good", 0)
    await store.write("a.1", b"for a while", first, ttl_s=1, confirm=False)

    async def is_over() -> bool:
        return not await store.read("a.1")

    await until_true(is_over)


async def test_putting_again_in_time_starts_the_time_anew(store: Store) -> None:
    await store.put("timer.short", b"x", ttl_s=1)
    await store.put("timer.renewed", b"x", ttl_s=1)
    await store.put("timer.renewed", b"x", ttl_s=60)

    async def is_over() -> bool:
        return (await store.read("timer.short"))["timer.short"].value == b""

    await until_true(is_over)
    assert (await store.read("timer.renewed"))["timer.renewed"].value == b"x"


# Being away.


async def all_fail(store: Store) -> None:
    """Find that every operation says that the store is away."""
    for operation in (
        lambda: store.read("a.1"),
        lambda: store.read("a.*"),
        lambda: store.read("a.1", confirmed=True),
        lambda: store.write("a.1", b"x", 0),
        lambda: store.put("a.1", b"x", 60),
        lambda: store.delete("a.1", 1),
    ):
        with pytest.raises(StoreUnavailable):
            await operation()


async def test_a_fake_store_that_is_away_says_so() -> None:
    store = FakeStore(time.monotonic)
    store.is_away = True
    await all_fail(store)
    assert await store.write("a.1", b"lost", 0, confirm=False) == 0
    store.is_away = False
    assert await store.read("a.1") == {}


async def test_a_bucket_counts_keys_without_reading_them(nats_url: str) -> None:
    broker = await connect(nats_url, "contract")
    namespace = f"contract-{time.monotonic_ns():x}"
    bucket = await bucket_of(broker, namespace)
    written = [await bucket.write(f"a.{number}", b"x", 0) for number in range(3)]
    await bucket.write("b.1", b"x", 0)
    assert await bucket.count("a.*", written[-1]) == 3
    await bucket.delete("a.1", written[1])
    assert await bucket.count("a.*", written[-1]) == 3
    await asyncio.gather(
        *(bucket.write(f"c.{number}", b"x", 0) for number in range(MORE_THAN_ONE_ANSWER_HOLDS))
    )
    assert await bucket.count("c.*", 0) is None
    await broker.client.jetstream().delete_key_value(namespace)
    await broker.close()


async def test_a_bucket_whose_broker_is_gone_says_so(pip_nats: NatsServer) -> None:
    broker = await connect(pip_nats.url, "contract")
    bucket = await bucket_of(broker, "away")
    assert await bucket.is_usable()
    assert await bucket.has_room()
    away = asyncio.Event()
    broker.when_away(away.set)
    pip_nats.kill()
    async with asyncio.timeout(PATIENCE_S):
        await away.wait()
    await all_fail(bucket)
    assert await bucket.write("a.1", b"lost", 0, confirm=False) == 0
    assert not await bucket.is_usable()
    assert not await bucket.has_room()
    with pytest.raises(StoreUnavailable):
        await make_bucket(broker, "away", "memory", 1)
    await broker.close()


async def test_what_is_known_is_confirmed_and_what_is_newer_is_sent(store: Store) -> None:
    await store.write("a.1", b"one", 0)
    changed = await store.write("a.2", b"old", 0)
    gone = await store.write("a.3", b"three", 0)
    known = await store.read("a.*")
    await store.write("a.2", b"new", changed)
    await store.delete("a.3", gone)
    await store.write("a.4", b"four", 0)

    found = await store.read("a.1", "a.2", "a.3", "a.4", "a.5", confirmed=True, known=known)

    assert {key: record.value for key, record in found.items()} == {
        "a.1": b"one",
        "a.2": b"new",
        "a.3": b"",
        "a.4": b"four",
    }
    assert found["a.1"] == known["a.1"]
    assert found["a.2"].revision > changed


async def test_what_is_not_much_is_read_by_pattern(store: ListedStore) -> None:
    for key in ("a.1.x", "a.2.x", "b.x.2", "c.1.x"):
        await store.write(key, key.encode(), 0)
    found = await store.read_few(4, "a.*.x", "b.x.*", "c.1.x", "d")
    assert found is not None
    assert {key: record.value for key, record in found.items()} == {
        key: key.encode() for key in ("a.1.x", "a.2.x", "b.x.2", "c.1.x")
    }
    assert found == await store.read("*.*.*")
    assert await store.read_few(3, "a.*.x", "b.x.*", "c.1.x") is None
    assert await store.read_few(1, "a.*.x") is None
    assert await store.read_few(1, "d", "e.*") == {}


async def test_what_is_there_is_listed_without_what_it_holds(store: ListedStore) -> None:
    for key in ("a.1.x", "a.2.x", "b.x.2", "c.1.x"):
        await store.write(key, b"value", 0)
    assert sorted(await store.keys("a.*.x", "b.x.*", "a.1.*")) == ["a.1.x", "a.2.x", "b.x.2"]
    assert await store.keys("d.*") == []
    assert await store.keys() == []
