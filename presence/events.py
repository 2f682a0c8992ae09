"""What a presence process does for the stream of events, where that is on: the parts, put together.

They are `event_stream`, `fact_teller` and `refusals`. Nothing of a call waits for them, and no process is
less ready because the stream does not answer.
"""

import asyncio
from collections.abc import Callable

from presence.bucket import Bucket
from presence.event_stream import EventStream
from presence.fact_teller import FactTeller
from presence.refusals import Refusals
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
        bucket: Bucket,
        subjects: Subjects,
        streams: Streams,
        clock: Callable[[], int],
    ) -> None:
        """Take also the broker's time, in Unix milliseconds."""
        self._make = streams.make_events
        stream = EventStream(requests, subjects)
        namespace = subjects.namespace
        self.teller = FactTeller(
            broker, requests, bucket.stream, bucket.prefix, namespace, stream.publish, streams.make_events
        )
        self._refusals = Refusals(namespace, stream, clock)
        self.refused = self._refusals.note

    async def run(self) -> None:
        """Tell until cancelled."""
        await self._make()
        async with asyncio.TaskGroup() as running:
            running.create_task(self.teller.run())
            running.create_task(self.teller.watch())
            running.create_task(self._refusals.run())
