"""Say in the log what may happen thousands of times a second: a line and a count a second, never a line each.

What happens for the first time is said at once. What follows within the second is counted and said at its
end.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

EVERY_S: Final = 1.0
"""Between two lines about the same."""

MOST_NAMED: Final = 8
"""Users or addresses that have a line of their own a second for one kind of event; the others share one."""

OTHERS: Final = ""


class _Line:
    """What is to be said at the end of the second."""

    __slots__ = ("count", "fields")

    def __init__(self, fields: dict[str, object]) -> None:
        self.fields = fields
        self.count = 0


class Tally:
    """Counts events by kind and by who caused them, and logs them. It belongs to one event loop."""

    def __init__(
        self,
        log: logging.Logger,
        call_later: Callable[[float, Callable[[], None]], object] | None = None,
    ) -> None:
        """Take also what calls back after seconds; None: the loop that runs."""
        self._log = log
        self._call_later = call_later
        self._lines: dict[tuple[str, str], dict[str, _Line]] = {}
        self._level: dict[tuple[str, str], int] = {}
        self._is_due = False

    def note(self, level: int, event: str, kind: str, who: str, **fields: object) -> None:
        """Say that something happened, now or at the end of the second, with the fields of the last time.

        Events of one kind are told apart by `who` caused them.
        """
        if not self._log.isEnabledFor(level):
            return
        key = (event, kind)
        self._level[key] = level
        lines = self._lines.setdefault(key, {})
        line = lines.get(who)
        if line is None and len(lines) < MOST_NAMED:
            lines[who] = _Line(fields)
            self._log.log(level, event, extra=fields)
        else:
            if line is None:
                line = lines.setdefault(OTHERS, _Line(fields))
            line.count += 1
            line.fields = fields
        if not self._is_due:
            self._is_due = True
            (self._call_later or asyncio.get_running_loop().call_later)(EVERY_S, self._next)

    def flush(self) -> None:
        """Say what was counted since the last time."""
        for (event, kind), lines in list(self._lines.items()):
            level = self._level[event, kind]
            for who, line in list(lines.items()):
                if line.count:
                    self._log.log(level, event, extra={**line.fields, "count": line.count})
                    line.count = 0
                else:
                    del lines[who]
            if not lines:
                del self._lines[event, kind], self._level[event, kind]

    def _next(self) -> None:
        self._is_due = False
        self.flush()
        if self._lines:
            self._is_due = True
            (self._call_later or asyncio.get_running_loop().call_later)(EVERY_S, self._next)
