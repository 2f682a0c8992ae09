"""What a presence process does for the stream of events, where that is on: the parts, put together.

They are `event_stream`, `fact_teller`, `fact_consumer` and `refusals`. Nothing of a call waits for them, and
no process is less ready because the stream does not answer.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final

from presence.bucket import Bucket
from presence.event_stream import EventStream
from presence.fact_consumer import ALL_MS, KEEP_FACTS, RETRY_S, FactConsumer
from presence.fact_teller import FactTeller
from presence.refusals import Refusals
from presence.rules.negotiated import Negotiation
from presence.rules.user import User
from presence.side_by_side import side_by_side
from presence.store import StoreUnavailable
from presence.streams import Streams
from tieline.runtime.broker import Broker
from tieline.runtime.requests import Requests
from tieline.wire.subjects import Subjects

FINISH_S: Final = 2.0
"""How long a process that stops waits for events to be stored: as long as one publish takes at most."""


class Events:
    """The stream of events, as far as this process writes into it. See `presence.change_loop.Outbox`."""

    def __init__(
        self,
        broker: Broker,
        requests: Requests,
        buckets: Sequence[Bucket],
        subjects: Subjects,
        streams: Streams,
        clock: Callable[[], int],
    ) -> None:
        """Take also the bucket in its partitions, and the broker's time, in Unix milliseconds."""
        self._broker = broker
        self._buckets = buckets
        self._make = streams.make_events
        stream = EventStream(requests, subjects)
        self.teller = FactTeller(subjects.namespace, stream.tell, clock)
        broker.when_away(self.teller.forget)
        self.consumers = [
            FactConsumer(broker, requests, bucket.stream, bucket.prefix, self.teller, clock)
            for bucket in buckets
        ]
        self._refusals = Refusals(subjects.namespace, stream, clock)
        self.refused = self._refusals.note
        self.tell = self.teller.tell_soon

    def told_until(
        self, at: int, key: str, record: User | Negotiation | None, revision: int, now: int
    ) -> int:
        """Say until when the facts of a record in a partition are told, in Unix milliseconds."""
        if record is not None and self.teller.has_told(key, record):
            return ALL_MS
        return self.consumers[at].told_until(revision, now)

    async def know(self) -> None:
        """Wait until it is known of each partition how far all is told, for some time at most."""
        await side_by_side(*(consumer.knows() for consumer in self.consumers))

    async def run(self) -> None:
        """Tell until cancelled."""
        await self._make()
        async with asyncio.TaskGroup() as running:
            for consumer in self.consumers:
                running.create_task(consumer.run())
                running.create_task(consumer.watch())
            running.create_task(self._keep_made())
            running.create_task(self._refusals.run())

    async def _keep_made(self) -> None:
        """Make the stream anew if it is not there, as may be when it does not take an event."""
        while True:
            await self.teller.failed.wait()
            self.teller.failed.clear()
            await self._make()
            await asyncio.sleep(RETRY_S)

    async def finish(self) -> None:
        """Tell what this process has written, for `FINISH_S` at most; what is left, another process tells."""
        if not self._broker.is_connected:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FINISH_S):
                await self.teller.finish(FINISH_S)
                parts = zip(self._buckets, self.consumers, strict=True)
                await side_by_side(*(_finish(bucket, consumer) for bucket, consumer in parts))
                await self.teller.finish(FINISH_S)


async def _finish(bucket: Bucket, consumer: FactConsumer) -> None:
    """Have what was told in one partition acknowledged, as far as is known what was written there."""
    newest = 0
    with contextlib.suppress(StoreUnavailable):
        newest = await bucket.newest(*KEEP_FACTS)
    await consumer.finish(newest)
