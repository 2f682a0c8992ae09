"""Tell the members of rooms what has changed, so that no room keeps others waiting.

A room whose members were told a moment ago waits, and its changes are told together: the larger the room, the
longer. Of the members of large rooms a few are told at a time, and others have the loop in between. A member
is told everything up to the moment at which its turn comes; so under load it is told less often, and more at
once.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Final

from gateway.rooms.live_room import LiveRoom
from gateway.rooms.seats import Seat
from tieline import metrics
from tieline.runtime.guard import bug_guard

PACE_S: Final = 0.1
"""At most, between two times at which the members of one room are told: people do not see the difference."""

PACE_A_MEMBER_S: Final = 0.001
"""As far as that is less, for each member here: telling one takes some 20 microseconds, so a small room has a
fiftieth of the loop at most. In a room of two nobody waits: its next message is often the offer of a call."""

SLICE_S: Final = 0.001
"""For telling members before others have the loop: less than a signal takes through the system."""

PAUSE_S: Final = 0.002
"""For others, after each slice: rooms have a third of the loop at most."""

LOOK_EVERY: Final = 8
"""Members who are told between two looks at the clock: each takes some 20 microseconds."""


_guard: Final = bug_guard(logging.getLogger(__name__), "member not told: a bug")


class Pacer:
    """Decides when members are told. `clock` is for measuring, in seconds."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._loop = loop
        self._clock = clock
        self.pending: dict[LiveRoom, None] = {}
        """Rooms with members who have not been told everything."""
        self._turns: list[tuple[float, int, LiveRoom]] = []
        """When each of them has its turn, as a heap, and of rooms that were dropped."""
        self._order = count()
        self._work: list[Seat] = []
        """Those of them whose turn it is, the last one first."""
        self._room: LiveRoom | None = None
        """The room whose members they are."""
        self._is_touched = False
        """There is more to tell since then, maybe to those who had their turn."""
        self._next: asyncio.TimerHandle | None = None
        """Goes on with the room whose turn it is, or begins with the next one."""

    def touch(self, room: LiveRoom) -> None:
        """Have the members of a room told what they have not been told."""
        if room is self._room:
            self._is_touched = True
        elif room not in self.pending:
            self._line_up(room)
            if self._room is None and self._turns[0][2] is room:
                self._schedule()

    def _line_up(self, room: LiveRoom) -> None:
        """Give a room its turn, as soon as it may have one."""
        self.pending[room] = None
        heappush(self._turns, (room.due_at, next(self._order), room))

    def _schedule(self) -> None:
        """Go on when the next room's turn comes, if there is one."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
        while self._turns and self._turns[0][2] not in self.pending:
            heappop(self._turns)  # it was dropped
        if self._turns:
            due_at = self._turns[0][0]
            self._next = self._loop.call_later(max(0.0, due_at - self._loop.time()), self._begin)

    def _begin(self) -> None:
        """Begin with the room whose turn it is."""
        _, _, room = heappop(self._turns)
        if room not in self.pending:  # it was dropped meanwhile
            self._schedule()
            return
        room.due_at = self._loop.time() + min(PACE_S, PACE_A_MEMBER_S * len(room.seats))
        self._room, self._is_touched = room, False
        self._work = list(room.seats.values())
        self._go_on()

    def _go_on(self) -> None:
        """Tell members for a slice of time."""
        self._next = None
        ends_at = self._clock() + SLICE_S
        told = 0
        while self._work:
            with _guard:  # or nobody in any room would be told anything any more
                self._work.pop().owner.tell()
            told += 1
            if told % LOOK_EVERY == 0 and self._clock() >= ends_at:
                break
        metrics.ROOM_MEMBERS_TOLD.inc(told)
        if self._work:
            self._next = self._loop.call_later(PAUSE_S, self._go_on)
            return
        room, self._room = self._room, None
        assert room is not None
        self.pending.pop(room, None)
        if self._is_touched:
            self._line_up(room)
        self._schedule()

    def drop(self, room: LiveRoom) -> None:
        """Forget a room that nobody here is a member of any more."""
        self.pending.pop(room, None)
