"""Write the frames that one turn of the loop brings for a client together: each write is a system call.

The broker is read many messages at a time, and the ten candidates of one client come to the other one so.
What that one is sent for another reason meanwhile takes them along (`outbox`): their order stays.
"""

import logging
from collections.abc import Callable
from typing import Final, Protocol

from tieline.runtime.guard import bug_guard

_guard: Final = bug_guard(logging.getLogger(__name__), "frames not written: a bug")


class Writer(Protocol):
    """Who is sent frames: a connection."""

    def gather(self, frame: bytes) -> bool:
        """Keep a frame until `write_gathered`; False: the connection is closing, and it is not sent."""
        ...

    def write_gathered(self) -> None:
        """Write what was kept."""
        ...


class Gathering:
    """The clients of one gateway for whom frames have come in this turn.

    `on_flush` has what it is given called once, at the end of the turn.
    """

    def __init__(self, on_flush: Callable[[Callable[[], None]], None]) -> None:
        self._on_flush = on_flush
        self._writers: list[Writer] = []

    def say(self, writer: Writer, frame: bytes) -> bool:
        """Send a client a frame in this turn; False: its connection is closing, and it is not sent."""
        if not writer.gather(frame):
            return False
        writers = self._writers
        if not writers:
            self._on_flush(self._write)
        if not writers or writers[-1] is not writer:
            writers.append(writer)
        return True

    def _write(self) -> None:
        writers, self._writers = self._writers, []
        for writer in writers:
            with _guard:  # or the others would not be written what came for them
                writer.write_gathered()
