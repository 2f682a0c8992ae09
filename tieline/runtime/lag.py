"""Measure how late the event loop is: what delays it delays every client of this process."""

import asyncio
import time
from typing import Final

from tieline.runtime import metrics

EVERY_S: Final = 0.25
"""Between two measurements: often enough to meet a short stall, too seldom to be one."""


async def measure_lag(every_s: float = EVERY_S) -> None:
    """Measure until cancelled.

    Not with the loop's own clock: uvloop reads it once a turn, in whole milliseconds.
    """
    while True:
        due = time.perf_counter() + every_s
        await asyncio.sleep(every_s)
        metrics.EVENT_LOOP_LAG.observe(max(0.0, time.perf_counter() - due))
