"""Compare this process's clock with the broker's: as a metric, and in the log when they are far apart.

No two processes of Tieline compare their clocks: what presence stores has the broker's time
(`presence.broker_clock`). But tokens and TURN credentials are judged by the clocks of gateways, and a clock
that is wrong here is mostly wrong elsewhere on the machine, too.
"""

import logging
import time
from collections.abc import Callable
from typing import Final

from tieline.runtime import metrics

FAR_S: Final = 5.0
"""Apart, it is said so: well kept clocks are within a tenth of a second, and tokens may be 60 s early."""

SURE_S: Final = 1.0
"""An answer that took longer says too little of when the broker had that time."""

_log = logging.getLogger(__name__)


class ClockWatch:
    """Compares, as often as it is told the broker's time."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._is_far = False

    def compare(self, broker_s: float, round_trip_s: float) -> None:
        """Take note of the broker's time, in Unix seconds, in an answer that took so long, and is here."""
        if round_trip_s > SURE_S:
            return
        ahead_s = self._now() - round_trip_s / 2 - broker_s
        metrics.CLOCK_AHEAD.set(ahead_s)
        was_far, self._is_far = self._is_far, abs(ahead_s) > FAR_S
        if self._is_far and not was_far:
            _log.warning("the clock differs from the broker's", extra={"seconds_ahead": round(ahead_s, 3)})
        elif was_far and not self._is_far:
            _log.info("the clock agrees with the broker's")
