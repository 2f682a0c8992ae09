"""Hold a process's readiness to whether something that it needs is well, asked again and again.

What is asked is the caller's: a router asks the mailbox for room, a gateway lets a message pass through it
and renews its lease, presence asks its streams (`presence.streams`).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from tieline.runtime.guard import bug_guard
from tieline.runtime.ops import Ready

NO_ROOM: Final = "the mailbox does not store"
"""The reason while what clients say cannot be stored for whom it is meant."""

EVERY_S: Final = 2.0
"""Between two questions."""

FAILURES: Final = 2
"""In a row, to be believed: the election of a stream's leader takes about a second."""

_log = logging.getLogger(__name__)


class Doubt:
    """Readiness, held to a need that is asked about again and again: one failure proves nothing."""

    def __init__(self, ready: Ready, reason: str) -> None:
        self._ready = ready
        self._reason = reason
        self._failures = 0

    def note(self, is_well: bool) -> None:
        """Take note of an answer; so many failures in a row are believed, and one success after them."""
        self._failures = 0 if is_well else self._failures + 1
        self._ready.hold_unless(self._reason, self._failures < FAILURES)


async def hold_while_unwell(
    ready: Ready, reason: str, is_well: Callable[[], Awaitable[bool]], every_s: float = EVERY_S
) -> None:
    """Ask until cancelled; hold readiness, for this reason, while the answer is no, or cannot be read."""
    doubt = Doubt(ready, reason)
    while True:
        await asyncio.sleep(every_s)
        answer = False
        with bug_guard(_log, "readiness not known: a bug", reason=reason):
            answer = await is_well()
        doubt.note(answer)
