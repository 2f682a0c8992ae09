"""A store whose broker is away, or whose bucket is large."""

import asyncio
import time

import pytest

from presence.bucket import make_bucket
from presence.store import Store, StoreUnavailable
from tests.contract.buckets import MORE_THAN_ONE_ANSWER_HOLDS, bucket_of
from tests.contract.fake_store import FakeStore
from tests.support.nats_server import NatsServer
from tests.support.waiting import within
from tieline.runtime.broker import connect


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


async def test_what_nobody_waited_for_may_be_the_newest_record(nats_url: str) -> None:
    broker = await connect(nats_url, "contract")
    namespace = f"contract-{time.monotonic_ns():x}"
    bucket = await bucket_of(broker, namespace)
    assert await bucket.newest("a.*", "b.*.*") == 0
    await bucket.write("a.1", b"x", 0)
    for number in range(MORE_THAN_ONE_ANSWER_HOLDS):
        await bucket.write(f"b.{number}.1", b"x", 0, confirm=False)
    newest = await bucket.newest("a.*", "b.*.*")
    await bucket.write("c.1", b"x", 0)
    last = f"b.{MORE_THAN_ONE_ANSWER_HOLDS - 1}.1"
    assert newest == (await bucket.read(last))[last].revision == await bucket.newest("a.*", "b.*.*")
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
    await within(away.wait())
    await all_fail(bucket)
    assert await bucket.write("a.1", b"lost", 0, confirm=False) == 0
    assert not await bucket.is_usable()
    assert not await bucket.has_room()
    with pytest.raises(StoreUnavailable):
        await bucket.newest("a.*")
    with pytest.raises(StoreUnavailable):
        await make_bucket(broker, "away", "memory", 1)
    await broker.close()
