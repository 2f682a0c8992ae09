"""Share a gateway's loop out between its connections: who has more to be looked at than fits in a turn.

A connection with a frame or two is served as these arrive, and never comes here. What is left of the others
waits for a turn: one after the other, each for as long as `reader` says a turn is, and in each iteration of
the loop for no longer than `ROUND_S` in all. Timers, the broker and everybody else come in between.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

ROUND_S: Final = 0.001
"""All turns of one iteration of the loop: a message of somebody else passes a gateway two or three times, and
may have to wait for so long each time. An iteration costs some 0.05 ms besides, so little is lost by it."""


class Taker(Protocol):
    """Who has something to be looked at."""

    def take_turn(self) -> bool:
        """Look at what waits, as far as one turn goes; returns whether to be called again."""
        ...


class Turns:
    """The connections of one gateway that wait for a turn. `now` is for measuring, in seconds."""

    def __init__(self, loop: asyncio.AbstractEventLoop, now: Callable[[], float]) -> None:
        self._loop = loop
        self._now = now
        self._waiting: deque[Taker] = deque()
        self._newcomers: set[Taker] = set()

    @property
    def newcomers(self) -> int:
        """How many wait whose first turn it will be."""
        return len(self._newcomers)

    def join(self, taker: Taker) -> None:
        """Give a turn to one who is not waiting for one, behind those who are."""
        if not self._waiting:
            self._loop.call_soon(self._serve)
        self._waiting.append(taker)

    def join_new(self, taker: Taker) -> None:
        """Do the same for one whose first turn it will be: nobody is counted for longer than a round."""
        self._newcomers.add(taker)
        self.join(taker)

    def _serve(self) -> None:
        """Give everybody who waits a turn, as far as there is time; the others wait in the same order."""
        end, waiting = self._now() + ROUND_S, self._waiting
        for _ in range(len(waiting)):
            if self._newcomers:
                self._newcomers.discard(waiting[0])
            if waiting[0].take_turn():
                waiting.rotate(-1)
            else:
                waiting.popleft()
            if self._now() >= end:
                break
        if waiting:
            self._loop.call_soon(self._serve)
