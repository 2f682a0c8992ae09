"""What a presence process does for the stream of events, where that is on: the parts, put together.

They are `event_stream`, `fact_teller` and `refusals`. Nothing of a call waits for them, and no process is
less ready because the stream does not answer.
"""

import asyncio
from collections.abc import Callable, Sequence

from presence.bucket import Bucket
from presence.event_stream import EventStream
from presence.fact_teller import FactTeller
from presence.refusals import Refusals
from presence.side_by_side import side_by_side
from presence.streams import Streams
from tieline.runtime.broker import Broker
from tieline.runtime.requests import Requests
from tieline.wire.subjects import Subjects


class Events:
    """The stream of events, as far as this process writes into it."""

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
        self._make = streams.make_events
        stream = EventStream(requests, subjects)
        namespace = subjects.namespace
        self.tellers = [
            FactTeller(
                broker, requests, bucket.stream, bucket.prefix, namespace, stream.publish, streams.make_events
            )
            for bucket in buckets
        ]
        self._refusals = Refusals(namespace, stream, clock)
        self.refused = self._refusals.note

    def told_until(self, at: int, revision: int, now: int) -> int:
        """Say until when the facts of a record in a partition are told. See `FactTeller.told_until`."""
        return self.tellers[at].told_until(revision, now)

    async def know(self) -> None:
        """Wait until it is known of each partition how far all is told, for some time at most."""
        await side_by_side(*(teller.knows() for teller in self.tellers))

    async def run(self) -> None:
        """Tell until cancelled."""
        await self._make()
        async with asyncio.TaskGroup() as running:
            for teller in self.tellers:
                running.create_task(teller.run())
                running.create_task(teller.watch())
            running.create_task(self._refusals.run())
