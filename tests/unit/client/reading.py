"""Waiting for the events of a client, in tests."""

import asyncio

from tests.support.waiting import within
from tieline.client import Client, Closed, Event, Reconnecting, Resumed


async def next_of(client: Client, count: int) -> list[Event]:
    """Wait for so many events."""
    return [await within(anext(client.events())) for _ in range(count)]


async def resumed(client: Client) -> Resumed:
    """Wait for a loss, and for the end of it."""
    lost, event = await next_of(client, 2)
    assert isinstance(lost, Reconnecting)
    assert isinstance(event, Resumed)
    return event


async def ended(client: Client) -> Closed:
    """Wait until the client has ended for good."""
    async with asyncio.timeout(20):
        async for _ in client.events():
            pass
    assert client.closed is not None
    return client.closed
