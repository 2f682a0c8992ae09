"""The stores of which presence may expect the same."""

import time
from collections.abc import AsyncIterator

import pytest

from presence.store import ListedStore
from tests.contract.buckets import bucket_of
from tests.contract.fake_store import FakeStore
from tieline.runtime.broker import connect


@pytest.fixture(params=["fake", "bucket"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[ListedStore]:
    """An empty store."""
    if request.param == "fake":
        yield FakeStore(time.monotonic)
        return
    broker = await connect(request.getfixturevalue("nats_url"), "contract")
    namespace = f"contract-{time.monotonic_ns():x}"
    yield await bucket_of(broker, namespace)
    await broker.client.jetstream().delete_key_value(namespace)
    await broker.close()
