"""The bucket of webhooks on a real broker."""

import pytest

from tests.support.waiting import until_true
from tieline import webhook_bucket as module
from tieline.runtime.broker import Broker
from tieline.runtime.requests import Requests
from tieline.webhook_bucket import NOTHING, Bucket, Conflict, Unavailable, make_bucket
from tieline.wire.subjects import Subjects

SUBJECTS = Subjects("t")


@pytest.fixture
async def requests(broker: Broker) -> Requests:
    asking = Requests(broker, SUBJECTS.replies("webhooks", "1"))
    await asking.start()
    return asking


@pytest.fixture
async def bucket(broker: Broker, requests: Requests) -> Bucket:
    await make_bucket(broker, SUBJECTS.webhooks(), "memory", 1)
    return Bucket(requests, SUBJECTS.webhooks())


async def test_a_record_is_changed_by_its_revision_alone(bucket: Bucket) -> None:
    first = await bucket.write("progress.a", b"1", 0)
    second = await bucket.write("progress.a", b"2", first)
    for stale in (0, first):
        with pytest.raises(Conflict):
            await bucket.write("progress.a", b"3", stale)
    assert await bucket.read_one("progress.a") == (b"2", second)
    assert (await bucket.read("progress.*", "lease.*"))["progress.a"] == (b"2", second)


async def test_what_nobody_has_written_is_nothing(bucket: Bucket) -> None:
    assert await bucket.read_one("progress.a") == NOTHING
    assert await bucket.read("progress.*") == {}


async def test_a_lease_runs_out_and_may_be_taken_anew(bucket: Bucket) -> None:
    await bucket.write("lease.a", b"me", 0, 1)

    async def is_free() -> bool:
        return not await bucket.read("lease.*")

    await until_true(is_free)
    assert await bucket.write("lease.a", b"you", 0, 10)


async def test_what_is_removed_may_be_written_by_its_revision(bucket: Bucket) -> None:
    revision = await bucket.write("lease.a", b"me", 0, 10)
    await bucket.remove("lease.a", revision)
    left = await bucket.read_one("lease.a")
    assert left.value == b""
    assert await bucket.write("lease.a", b"you", left.revision, 10)


async def test_more_is_read_than_one_answer_may_have(bucket: Bucket) -> None:
    for number in range(1_100):
        await bucket.put(f"dead.a.{number}", b"%d" % number, 60)
    await bucket.write("endpoint.a", b"a", 0)
    found = await bucket.read("dead.*.*", "endpoint.*", "lease.*")
    assert {found[f"dead.a.{number}"].value for number in range(1_100)} == {b"%d" % n for n in range(1_100)}
    assert found["endpoint.a"].value == b"a"
    assert len(found) == 1_101


async def test_dead_letters_leave_room_for_all_else(
    broker: Broker, requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 100_000)
    monkeypatch.setattr(module, "LOOK_S", 0)
    await make_bucket(broker, SUBJECTS.webhooks(), "memory", 1)
    bucket = Bucket(requests, SUBJECTS.webhooks())
    kept = [await bucket.bury(f"dead.a.{number}", b"x" * 1_000) for number in range(100)]
    assert kept.count(True) > 50
    assert kept == sorted(kept, reverse=True)
    assert await bucket.write("progress.a", b"p" * 8_000, 0)


async def test_to_make_it_again_changes_nothing(bucket: Bucket, broker: Broker) -> None:
    await bucket.put("dead.a.1", b"1", 60)
    await make_bucket(broker, SUBJECTS.webhooks(), "memory", 1)
    assert (await bucket.read_one("dead.a.1")).value == b"1"


async def test_without_a_bucket_nothing_answers(requests: Requests) -> None:
    bucket = Bucket(requests, SUBJECTS.webhooks())
    with pytest.raises(Unavailable):
        await bucket.read("lease.*")
    with pytest.raises(Unavailable):
        await bucket.read_one("lease.a")
    with pytest.raises(Unavailable):
        await bucket.write("lease.a", b"", 0)
