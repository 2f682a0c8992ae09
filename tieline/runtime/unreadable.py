"""What a process cannot understand: counted, said in the log once a second at most, and dropped.

It may come from a process of another version, or from one that was taken over: neither may cost more than
this. What is wrong with it is shown in part only, for it may be long.
"""

import logging
from typing import Final

import msgspec

from tieline.runtime import metrics
from tieline.runtime.tally import Tally

UNREADABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError)
"""What reading the bytes of another process may raise: a UnicodeDecodeError is a ValueError."""

DROPPED: Final = "dropped: of another version, or forged"

MAX_SHOWN: Final = 200
"""Characters of what is wrong that the log has."""


class Unreadable:
    """Counts by kind what cannot be understood (`metrics.UNREADABLE_KINDS`), and logs it."""

    def __init__(self, log: logging.Logger, tally: Tally | None = None) -> None:
        """Take the log, or what writes to it less often."""
        self._tally = tally or Tally(log)

    def note(self, kind: str, error: Exception | str, event: str = DROPPED) -> None:
        """Count something that is dropped, and why."""
        metrics.UNREADABLE_MESSAGES.labels(kind).inc()
        self._tally.note(logging.ERROR, event, kind, "", what=kind, error=repr(error)[:MAX_SHOWN])
