"""The stream of events and the bucket of webhooks on a real broker, and a receiver over real HTTP."""

from collections.abc import AsyncIterator

import pytest

from presence.event_stream import EventStream as Writing
from presence.event_stream import make_event_stream
from tests.support.receiver import Receiver
from tieline.event_stream import EventStream, News, hear
from tieline.runtime.broker import Broker
from tieline.runtime.message import Message
from tieline.runtime.requests import Requests
from tieline.webhook_bucket import Bucket, make_bucket
from tieline.wire import cloud_events, jetstream
from tieline.wire.cloud_events import Call, CallKind
from tieline.wire.ids import CallId, UserId
from tieline.wire.subjects import Subjects

SUBJECTS = Subjects("t")


class Lagging(Requests):
    """Requests of which the next ones to the stream may be answered by a replica that has nothing yet."""

    behind = 0
    """How many of them."""

    async def gather(self, subject: str, payload: bytes, timeout: float) -> list[Message]:
        if subject == jetstream.direct_get(SUBJECTS.event_stream()) and self.behind:
            self.behind -= 1
            payload = jetstream.messages_of(SUBJECTS.cloud_events(), 1 << 62, 1, 1)
        return await super().gather(subject, payload, timeout)


@pytest.fixture
async def requests(broker: Broker) -> Lagging:
    asking = Lagging(broker, SUBJECTS.replies("webhooks", "1"))
    await asking.start()
    return asking


class Events:
    """What presence would tell, told by hand."""

    def __init__(self, requests: Requests) -> None:
        self._writing = Writing(requests, SUBJECTS)
        self.count = 0

    async def tell(self, call: str, kind: CallKind = "call.offered") -> str:
        """Tell one event of a call; returns its id."""
        self.count += 1
        data = Call(UserId("alice"), UserId("bob"), CallId(call))
        event = cloud_events.of_call("t", kind, f"event {self.count}", self.count, data)
        await self._writing.stored(self._writing.begin(event))
        return event.id


@pytest.fixture
async def events(broker: Broker, requests: Requests) -> Events:
    await make_event_stream(broker, SUBJECTS, "memory", 1, 3600, 1 << 24)
    return Events(requests)


@pytest.fixture
async def bucket(broker: Broker, requests: Requests) -> Bucket:
    await make_bucket(broker, SUBJECTS.webhooks(), "memory", 1)
    return Bucket(requests, SUBJECTS.webhooks())


@pytest.fixture
def stream(requests: Requests) -> EventStream:
    return EventStream(requests, SUBJECTS)


@pytest.fixture
async def news(broker: Broker) -> News:
    listening = News()
    await hear(broker, SUBJECTS, listening)
    return listening


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver().listening() as listening:
        yield listening
