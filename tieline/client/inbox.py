"""The events that have come and were not read yet, as an iterator that ends when no more can come.

`dispatcher` puts them in; `Client.events` hands it to the application.
"""

import asyncio
from collections.abc import Callable

from tieline.client.events import Event


class Inbox:
    """An unbounded queue of events, and its end.

    Unbounded, because if it were full the client would have to stop reading the connection: then the answers
    to requests, which come over the same one, would wait behind events that the application does not read.
    """

    def __init__(self, on_read: Callable[[Event], None] = lambda _: None) -> None:
        """`on_read` is called with each event that the application gets."""
        self._on_read = on_read
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
            self.end()  # for the next reader, which would otherwise wait for ever
            raise StopAsyncIteration
        self._on_read(event)
        return event
