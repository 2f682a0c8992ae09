"""What comes for one client from others: each frame once.

That none comes while an older one may be missing is the duty of `gateway/delivery/feed.py`.
"""

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from gateway.client.duplicates import Duplicates
from gateway.client.frames import Framed
from tieline import metrics


class Missed(NamedTuple):
    """What the mailbox holds for a session beyond what was pushed to it, in order."""

    known: list[bytes]
    """What the client has had: only to be remembered, for its senders may yet retry it."""
    fresh: list[bytes]
    """What it has not had."""
    is_whole: bool
    """Nothing in between is lost; else it missed too much to be resumed."""
    newest: int = 0
    """The sequence of the last of them; 0: there is none."""
    numbers: tuple[int, ...] = ()
    """The sequences of what it has not had, if they matter."""
    position: int | None = None
    """The sequence of the last that the client has had; None: it is not known."""


NOTHING: Final = Missed([], [], is_whole=True)


class Deliveries:
    """Passes frames on to `say`, which tells whether the client is still there."""

    __slots__ = ("_had", "_loop", "_say", "write")

    def __init__(
        self,
        say: Callable[[bytes], bool],
        loop: asyncio.AbstractEventLoop,
        write: Callable[[bytes], object] = bytes,
    ) -> None:
        self._say = say
        self.write = write
        """Sends the client frames that have their heads."""
        self._loop = loop
        self._had: Duplicates | None = None

    def replay(self, missed: Missed) -> None:
        """Send the client what it has missed, and remember what it has had."""
        if missed.known:
            self._had = self._had or Duplicates()
            for frame in missed.known:
                self._had.is_new(frame, self._loop.time())
        for frame in missed.fresh:
            if isinstance(frame, Framed):
                self.write(frame)
            elif not self.has_had(frame):
                self.deliver(frame)

    def has_had(self, frame: bytes) -> bool:
        """Whether the client was sent this very frame in the last minute."""
        return self._had is not None and self._had.has(frame)

    def deliver(self, frame: bytes) -> None:
        """Send the client a frame, unless it has had the very same one."""
        if self._had is None:
            self._had = Duplicates()
        if not self._had.is_new(frame, self._loop.time()):
            metrics.DELIVERED_AGAIN.inc()
        elif self._say(frame):
            metrics.DELIVERED.inc()
        else:
            metrics.DELIVERED_TO_NOBODY.inc()
