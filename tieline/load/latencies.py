"""The latencies of one measurement: percentiles by HdrHistogram, their course over time, and bins. Pure.

While something is measured, two numbers are kept for each unit, 16 bytes, and nothing is computed: what is
computed meanwhile would delay what is measured. An hour of 20,000 signals a second takes a gigabyte.
"""

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Final

import msgspec
from hdrh.histogram import HdrHistogram

LONGEST_US: Final = 3_600_000_000
"""An hour, in microseconds; what takes longer counts as this."""

DIGITS: Final = 3
"""A percentile is off by less than one in so many digits."""

WINDOWS: Final = 60
"""Points of the course over time, so many at the most: as many as a picture can show apart."""

SHORTEST_WINDOW_S: Final = 0.1
"""So that a window of a short measurement has more than a few latencies in it."""

BIN_GROWTH: Final = 1.25
"""Each bin ends so much higher than the one before: ten to a factor of ten."""

FIRST_BIN_US: Final = 50
"""Where the first bin ends: less than any relay takes."""

_US_PER_S: Final = 1_000_000
_US_PER_MS: Final = 1000


class Spread(msgspec.Struct, frozen=True, rename="camel"):
    """Percentiles, in milliseconds."""

    p50: float
    p90: float
    p99: float
    p999: float
    max: float


class Window(msgspec.Struct, frozen=True, rename="camel"):
    """What came in a part of the time, from `from_s` after the start; milliseconds."""

    from_s: float
    count: int
    p50: float
    p99: float
    max: float


class Bin(msgspec.Struct, frozen=True, rename="camel"):
    """How many latencies are above the end of the bin before, and not above this one's."""

    to_ms: float
    count: int


class Latencies:
    """Latencies, each with the moment to which it belongs; times are seconds of one clock."""

    def __init__(self) -> None:
        self._at = array("d")
        self._took = array("d")

    def __len__(self) -> int:
        return len(self._took)

    def add(self, at: float, took: float) -> None:
        """Note that a unit of the moment `at` took so long."""
        self._at.append(at)
        self._took.append(took)

    def clear(self) -> None:
        """Forget all: they were a warm-up."""
        del self._at[:], self._took[:]

    def spread(self) -> Spread | None:
        """Return the percentiles of all; None: there are none."""
        return spread_of(histogram(self._took)) if self._took else None

    def over_time(self, began: float, seconds: float) -> list[Window]:
        """Cut the time since `began` into windows; those in which nothing came are left out."""
        width = max(SHORTEST_WINDOW_S, seconds / WINDOWS)
        windows: dict[int, list[float]] = defaultdict(list)
        for at, took in zip(self._at, self._took, strict=True):
            windows[int((at - began) / width)].append(took)
        found = []
        for number, all_took in sorted(windows.items()):
            spread = spread_of(histogram(all_took))
            found.append(Window(number * width, len(all_took), spread.p50, spread.p99, spread.max))
        return found

    def bins(self) -> list[Bin]:
        """Count in bins that grow evenly on a logarithmic scale, from the first that has some to the last."""
        if not self._took:
            return []
        steps = histogram(self._took).get_log_iterator(FIRST_BIN_US, BIN_GROWTH)
        bins = [
            Bin(step.value_iterated_to / _US_PER_MS, step.count_added_in_this_iter_step) for step in steps
        ]
        first = next(place for place, one in enumerate(bins) if one.count)
        return bins[first:]

    def encoded(self) -> str:
        """Return the whole histogram, in microseconds, as programs for HdrHistogram read it; "": nothing."""
        return histogram(self._took).encode().decode() if self._took else ""


def histogram(all_took: Iterable[float]) -> HdrHistogram:
    """Make a histogram, in microseconds, of latencies in seconds."""
    made = HdrHistogram(1, LONGEST_US, DIGITS)
    for us, count in Counter(round(took * _US_PER_S) for took in all_took).items():
        made.record_value(min(max(us, 1), LONGEST_US), count)
    return made


def spread_of(made: HdrHistogram) -> Spread:
    """Return the percentiles of a histogram that is not empty."""
    return Spread(
        *(made.get_value_at_percentile(percent) / _US_PER_MS for percent in (50, 90, 99, 99.9, 100))
    )
