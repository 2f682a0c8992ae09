"""A scene for each test, whose tasks must all have ended soon after the test has."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import pytest

from tests.unit.gateway.sessions.scene import Scene

PATIENCE_S: Final = 10
"""For tasks that the test has let end, however busy the machine is."""


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with asyncio.TaskGroup() as tasks:
        yield Scene(tasks)
        if running := asyncio.all_tasks() - {asyncio.current_task()}:
            _, stuck = await asyncio.wait(running, timeout=PATIENCE_S)
            for task in stuck:
                task.cancel()
            assert not stuck
