"""The histories of rooms: every change that their logs keep, and not only the last of each user.

They are read for those who come back, and have had a part of it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence

from gateway.delivery.barriers import Barrier
from gateway.rooms.changes import Change
from gateway.rooms.live_room import LiveRoom
from gateway.rooms.reading import LogReader
from tieline.runtime.broker import BrokerAway
from tieline.runtime.guard import bug_guard
from tieline.runtime.requests import NoAnswer
from tieline.wire.subjects import Subjects

_log = logging.getLogger(__name__)


class Histories:
    """Those of one gateway's rooms. Tasks belong to the given group."""

    def __init__(
        self,
        subjects: Subjects,
        barrier: Callable[[], Awaitable[Barrier]],
        reader: LogReader,
        is_here: Callable[[LiveRoom], bool],
        tasks: asyncio.TaskGroup,
    ) -> None:
        """`barrier` sends one, and returns when it is back; `is_here` tells what is still listened to."""
        self._subjects = subjects
        self._barrier = barrier
        self._reader = reader
        self._is_here = is_here
        self._tasks = tasks
        self._reading: dict[LiveRoom, asyncio.Task[None]] = {}
        """What reads the history of a room, or has read it."""

    async def remember(self, room: LiveRoom) -> None:
        """Know every change of a room that is kept.

        Raises:
            NoAnswer: they cannot be read now.
        """
        task = self._reading.get(room)
        if task is None:
            task = self._reading[room] = self._tasks.create_task(self._remember(room))
        await asyncio.shield(task)
        if room not in self._reading:
            raise NoAnswer(self._subjects.room_log(room.name))

    async def _remember(self, room: LiveRoom) -> None:
        """Read every change of a room; without success that is tried again for the next who comes back."""
        is_done = False
        try:
            with bug_guard(_log, "room not remembered: a bug"), contextlib.suppress(NoAnswer, BrokerAway):
                barrier = await self._barrier()
                await self.read(room, await self._reader.last(room.name, barrier), barrier)
                is_done = self._is_here(room)
        finally:
            if not is_done:
                self._reading.pop(room, None)

    async def read(self, room: LiveRoom, last: Sequence[Change], barrier: Barrier) -> None:
        """Read every change of a room, of which these are the last of each user up to a barrier.

        Raises:
            NoAnswer: they cannot be read now.
        """
        history = await self._reader.history(room.name, last, barrier) if last else []
        if history is not None:
            room.log.remember(history)

    def is_read_by(self, room: LiveRoom, task: asyncio.Task[None]) -> None:
        """Take note that a task has read the history of a room, and is about to end."""
        self._reading[room] = task

    def forget(self, room: LiveRoom) -> None:
        """Forget a room that is listened to no more."""
        self._reading.pop(room, None)
