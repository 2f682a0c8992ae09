"""Log what may happen any number of times: the first time at once, then one line a second with a count.

For what others can cause: a line for each would fill the disk, and cost more than what it tells of.
"""

import asyncio
import logging
from typing import Final

EVERY_S: Final = 1.0
"""Between two lines of one kind: often enough to see when something began and ended."""


class Sparse:
    """One kind of line. Use it within an event loop."""

    def __init__(
        self, log: logging.Logger, event: str, level: int = logging.WARNING, every_s: float = EVERY_S
    ) -> None:
        self._log = log
        self._event = event
        self._level = level
        self._every_s = every_s
        self._count = 0
        self._fields: dict[str, object] = {}
        self._is_timed = False

    @property
    def is_quiet(self) -> bool:
        """Whether the next time is told at once: it has not happened lately."""
        return not self._is_timed

    def note(self, **fields: object) -> None:
        """Take note that it has happened once more. The line has the fields of the last time, and `times`."""
        self._count += 1
        self._fields = fields
        if not self._is_timed:
            self._write()

    def _write(self) -> None:
        self._log.log(self._level, self._event, extra={**self._fields, "times": self._count})
        self._count, self._fields = 0, {}
        self._is_timed = True
        asyncio.get_running_loop().call_later(self._every_s, self._look)

    def _look(self) -> None:
        """Write what has come meanwhile; the next time is the first one again if nothing has."""
        self._is_timed = False
        if self._count:
            self._write()
