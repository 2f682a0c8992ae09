"""What presence may expect of its store: the same of the fake in memory and of a bucket on a real broker."""

import asyncio

import pytest

from presence.store import ABSENT, Conflict, Dated, ListedStore, Record, Store, read_one
from tests.contract.buckets import MORE_THAN_ONE_ANSWER_HOLDS

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


async def test_one_key_is_read_as_it_was_written_just_before(store: Store) -> None:
    assert await read_one(store, "a.1") == ABSENT
    revision = await store.write("a.1", b"one", 0)
    assert await read_one(store, "a.1") == Record(b"one", revision)


async def test_an_answer_says_up_to_which_revision_it_has_everything(store: ListedStore) -> None:
    first = await store.write("a.1", b"one", 0)
    last = await store.write("b.1", b"x", 0)
    assert await store.read_dated("a.1", "a.2") == Dated({"a.1": Record(b"one", first)}, last)


async def test_what_was_not_found_has_no_later_date_than_the_store(store: ListedStore) -> None:
    last = await store.write("b.1", b"x", 0)
    found, up_to, _ = await store.read_dated("a.1", "a.2")
    assert (found, up_to <= last) == ({}, True)


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
    few = await store.read_few(4, "a.*.x", "b.x.*", "c.1.x", "d")
    assert few is not None
    assert {key: record.value for key, record in few.found.items()} == {
        key: key.encode() for key in ("a.1.x", "a.2.x", "b.x.2", "c.1.x")
    }
    assert few.found == await store.read("*.*.*")
    last = await store.write("d", b"", 0)
    newer = await store.read_few(4, "a.1.x", "d")
    assert newer is not None
    assert newer.up_to == last, "it says how new it is"
    assert await store.read_few(3, "a.*.x", "b.x.*", "c.1.x") is None
    assert await store.read_few(1, "a.*.x") is None
    nothing = await store.read_few(1, "e.*")
    assert nothing is not None
    assert nothing.found == {}


async def test_what_is_there_is_listed_without_what_it_holds(store: ListedStore) -> None:
    for key in ("a.1.x", "a.2.x", "b.x.2", "c.1.x"):
        await store.write(key, b"value", 0)
    assert sorted(await store.keys("a.*.x", "b.x.*", "a.1.*")) == ["a.1.x", "a.2.x", "b.x.2"]
    assert await store.keys("d.*") == []
    assert await store.keys() == []
