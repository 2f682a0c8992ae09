"""Hold a process's readiness to whether something that it needs is well, asked again and again.

What is asked is the caller's: a router asks the mailbox for room, a gateway lets a message pass through it.
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


async def hold_while_unwell(
    ready: Ready, reason: str, is_well: Callable[[], Awaitable[bool]], every_s: float = EVERY_S
) -> None:
    """Ask until cancelled; hold readiness, for this reason, while the answer is no."""
    failures = 0
    while True:
        await asyncio.sleep(every_s)
        well = False
        with bug_guard(_log, "wellness not known: a bug"):
            well = await is_well()
        failures = 0 if well else failures + 1
        ready.hold_unless(reason, failures < FAILURES)
