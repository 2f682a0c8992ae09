"""Tell the members of rooms what has changed, so that no room keeps others waiting.

A room whose members were told a moment ago waits, and its changes are told together. Of the members of large
rooms a few are told at a time, and others have the loop in between. A member is told everything up to the
moment at which its turn comes; so under load it is told less often, and more at once.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from gateway.rooms.live_room import LiveRoom
from gateway.rooms.seats import Seat
from tieline import metrics

PACE_S: Final = 0.1
"""Between two times at which the members of one room are told: people do not see the difference."""

SLICE_S: Final = 0.001
"""For telling members before others have the loop: less than a signal takes through the system."""

PAUSE_S: Final = 0.002
"""For others, after each slice: rooms have a third of the loop at most."""

LOOK_EVERY: Final = 8
"""Members who are told between two looks at the clock: each takes some 20 microseconds."""


class Pacer:
    """Decides when members are told. `clock` is for measuring, in seconds."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._loop = loop
        self._clock = clock
        self.pending: dict[LiveRoom, None] = {}
        """Rooms with members who have not been told everything."""
        self._work: list[Seat] = []
        """Those of them whose turn it is, the last one first."""
        self._room: LiveRoom | None = None
        """The room whose members they are."""
        self._is_touched = False
        """There is more to tell since then, maybe to those who had their turn."""
        self._next: asyncio.TimerHandle | None = None

    def touch(self, room: LiveRoom) -> None:
        """Have the members of a room told what they have not been told."""
        self.pending[room] = None
        if self._room is room:
            self._is_touched = True
        if self._next is None:
            self._schedule()

    def _schedule(self) -> None:
        """Go on when the next room's turn comes, if there is one."""
        self._next = None
        if self.pending:
            due = min(room.told_at for room in self.pending) + PACE_S
            self._next = self._loop.call_later(max(0.0, due - self._loop.time()), self._begin)

    def _begin(self) -> None:
        """Begin with the room that has waited longest."""
        if not self.pending:
            self._next = None
            return
        room = min(self.pending, key=lambda room: room.told_at)
        room.told_at = self._loop.time()
        self._room, self._is_touched = room, False
        self._work = list(room.seats.values())
        self._go_on()

    def _go_on(self) -> None:
        """Tell members for a slice of time."""
        ends_at = self._clock() + SLICE_S
        told = 0
        while self._work:
            self._work.pop().owner.tell()
            told += 1
            if told % LOOK_EVERY == 0 and self._clock() >= ends_at:
                break
        metrics.ROOM_MEMBERS_TOLD.inc(told)
        if self._work:
            self._next = self._loop.call_later(PAUSE_S, self._go_on)
            return
        assert self._room is not None
        if not self._is_touched:
            self.pending.pop(self._room, None)
        self._room = None
        self._schedule()

    def drop(self, room: LiveRoom) -> None:
        """Forget a room that nobody here is a member of any more."""
        self.pending.pop(room, None)
