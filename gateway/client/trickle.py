"""A client that sends its bytes one by one: its socket is read now and then, not for each of them.

Each read costs the loop the same, whatever it brings, and there may be thousands of clients. So after some
small reads in a row of which none completes anything, a frame or a line of the request, the socket rests:
what comes meanwhile is read together. No network and no library cuts a message like that.
"""

import asyncio
import itertools
from collections.abc import Callable
from typing import Final

SMALL_BYTES: Final = 512
"""A read of fewer bytes may be one of a trickle; packets of a long message are longer."""

READS: Final = 8
"""In a row, after which the socket rests: a library that writes the head, the key and the payload of a frame
each by itself makes three."""

RESTS_S: Final = tuple(0.05 + 0.1 * nth / 16 for nth in range(16))
"""How long a socket rests: one after the other, so that those that began to rest together are not read
together."""

_rests: Final = itertools.cycle(RESTS_S)


class Trickle:
    """Says when the socket of one client rests."""

    __slots__ = ("_loop", "_reads", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._reads = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_resting(self) -> bool:
        """Whether the socket is not to be read."""
        return self._timer is not None

    def note(self, size: int, on_time: Callable[[], None]) -> bool:
        """Take note of a read of so many bytes that completed nothing; returns whether the socket rests now.

        `on_time` is called when it has rested, and is kept no longer.
        """
        if size >= SMALL_BYTES or self._timer is not None:
            return False
        self._reads += 1
        if self._reads < READS:
            return False
        self._timer = self._loop.call_later(next(_rests), self._due, on_time)
        return True

    def completed(self) -> None:
        """Take note that something is complete."""
        self._reads = 0

    def stop(self) -> None:
        """Rest no more, do not call back, and begin anew."""
        self._reads = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self, on_time: Callable[[], None]) -> None:
        self._timer = None
        on_time()
