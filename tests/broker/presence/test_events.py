"""The parts that tell the stream of events, put together over a real broker."""

from collections.abc import AsyncIterator

import pytest

from presence.bucket import make_bucket
from tests.broker.presence.conftest import SUBJECTS
from tests.broker.presence.eventful import Eventful
from tests.support.waiting import until_true
from tests.unit.presence.requests import opening
from tieline.runtime.broker import Broker
from tieline.runtime.requests import Requests


@pytest.fixture
async def presence(broker: Broker, requests: Requests) -> AsyncIterator[Eventful]:
    await make_bucket(broker, SUBJECTS.namespace, "memory", 1)
    process = Eventful(broker, requests)
    await process.start()
    yield process
    await process.stop()


async def test_the_stream_is_made_and_facts_and_refusals_are_told(presence: Eventful) -> None:
    for user in ("alice", "bob"):
        await presence.process.open(opening(user, "hall"))
    await presence.refused("alice", "carol", "offer")

    async def are_told() -> bool:
        return sorted(await presence.kinds()) == ["call.refused", "member.joined", "member.joined"]

    await until_true(are_told)
