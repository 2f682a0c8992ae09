"""The stores of which presence may expect the same."""

import time
from collections.abc import AsyncIterator

import pytest

from presence.store import ListedStore
from tests.contract.buckets import bucket_of, partitioned_of
from tests.contract.fake_store import FakeStore
from tieline.runtime.broker import connect
from tieline.wire.subjects import Subjects


@pytest.fixture(params=["fake", "bucket", "partitioned"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[ListedStore]:
    """An empty store."""
    if request.param == "fake":
        yield FakeStore(time.monotonic)
        return
    broker = await connect(request.getfixturevalue("nats_url"), "contract")
    namespace = f"contract-{time.monotonic_ns():x}"
    subjects = Subjects(namespace, 1 if request.param == "bucket" else 4)
    if request.param == "bucket":
        yield await bucket_of(broker, namespace)
    else:
        yield await partitioned_of(broker, subjects)
    for part in subjects.parts():
        await broker.client.jetstream().delete_key_value(part.bucket())
    await broker.close()
