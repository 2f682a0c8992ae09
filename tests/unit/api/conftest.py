"""A stream of events in memory, for those who follow it, and the group to which its readings belong."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.unit.api.told import FakeStream
from tieline.event_stream import News
from tieline.runtime.guard import BackgroundTasks


@pytest.fixture
def stream() -> FakeStream:
    return FakeStream(News())


@pytest.fixture
async def tasks() -> AsyncIterator[asyncio.TaskGroup]:
    async with BackgroundTasks() as group:
        yield group
