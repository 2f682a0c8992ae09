"""What a Python client hears, for tests that wait for one event of it."""

from typing import TypeVar

from tests.support.waiting import within
from tieline.client import Client, Event

EventT = TypeVar("EventT", bound=Event)


async def next_of(who: Client, kind: type[EventT]) -> EventT:
    """Wait for the next event of this kind."""

    async def find() -> EventT:
        async for event in who.events():
            if isinstance(event, kind):
                return event
        raise AssertionError(f"no {kind.__name__}: {who.closed}")

    return await within(find())
