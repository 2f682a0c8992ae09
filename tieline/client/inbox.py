"""The events that came and were not read yet, as an iterator that ends when no more can come."""

import asyncio

from tieline.client.events import Event


class Inbox:
    """An unbounded queue of events, and its end.

    Unbounded, because a full one could only be answered by not reading on: then the answers to requests,
    which come on the same connection, would wait behind events that nobody reads.
    """

    def __init__(self) -> None:
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()

    def put(self, event: Event) -> None:
        """Add an event for the next reader."""
        self._events.put_nowait(event)

    def end(self) -> None:
        """Let every reader stop once all events are read."""
        self._events.put_nowait(None)

    def __aiter__(self) -> "Inbox":
        return self

    async def __anext__(self) -> Event:
        event = await self._events.get()
        if event is None:
            self.end()  # for the next reader, who would otherwise wait for ever
            raise StopAsyncIteration
        return event
