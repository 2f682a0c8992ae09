"""What one measurement has found, of whatever; the fields are those of `tieline bench --json`. Pure."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from tieline.load.faults import Faults
from tieline.load.latencies import Bin, Spread, Window

GENERATOR: Final = "load generator"
"""The process that measures. It is not of the system, but uses the same processors."""

BUSY: Final = 0.9
"""A generator that wants a processor for more of the time than this may be what is measured."""

LATE_MS: Final = 5.0
"""An open loop that sends later than this, at the 99th percentile, does not keep the rate."""

SENT_LATE: Final = "sent late, p99 ms"
"""How long after they were due messages were sent; it is a part of their latency."""


UNDER_WAY: Final = "under way at the end"
"""Messages of an open loop that had been sent and had not arrived when the time was over."""

BACKLOG: Final = 0.05
"""A system of whose messages a larger part than this is under way at the end does not keep the rate."""


def percentile(sorted_values: Sequence[float], percent: float) -> float:
    """The smallest value that `percent` (above 0, to 100) of all values do not exceed; nan without any."""
    if not sorted_values:
        return math.nan
    return sorted_values[max(0, math.ceil(percent / 100 * len(sorted_values)) - 1)]


class Figures(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One measurement."""

    mode: str
    asked: dict[str, float | str]
    """What was to be measured: so many pairs, and the like."""
    unit: str
    """What is counted: signals, set-ups, ..."""
    count: int
    seconds: float
    """For so long it was measured."""
    per_second: float
    latency_ms: Spread | None
    """None: nothing was counted that takes time."""
    cpu_per: str
    """What the CPU seconds are for: so many units."""
    cpu: dict[str, float]
    """CPU seconds by the part of the system that used them, and the generator's."""
    own_share: float
    """So many processors the generator kept busy on its own."""
    own_wait: float
    """For this part of the time it waited for a processor that others had."""
    kib: dict[str, float]
    """Memory that each connection added, by the part of the system; only where connections are idle."""
    more: dict[str, float]
    """What only this mode finds, each with its unit in the name."""
    faults: Faults
    is_whole: bool
    """False: it was interrupted, and this is what there was until then."""
    notes: list[str]
    """What to know before believing the rest."""
    over_time: list[Window]
    histogram: list[Bin]
    hdr: str
    """The whole histogram of microseconds, as HdrHistogram encodes it."""

    @property
    def system_cpu(self) -> float:
        """CPU seconds of all parts of the system together: without the generator."""
        return sum(used for part, used in self.cpu.items() if part != GENERATOR)

    @property
    def p50_ms(self) -> float:
        """The median; nan: there is none."""
        return math.nan if self.latency_ms is None else self.latency_ms.p50

    @property
    def p99_ms(self) -> float:
        """The 99th percentile; nan: there is none."""
        return math.nan if self.latency_ms is None else self.latency_ms.p99


def warnings(own_share: float, own_wait: float, count: int, more: Mapping[str, float]) -> list[str]:
    """Say where the generator itself may be what was measured, and where a rate is no rate."""
    found = []
    if own_share + own_wait > BUSY:
        found.append(
            f"the bench was the bottleneck: it used a processor for {own_share:.0%} of the time"
            f" and waited for one for {own_wait:.0%}; take another machine for it, or more of them"
        )
    if more.get(SENT_LATE, 0) > LATE_MS:
        found.append(
            f"the bench did not keep the rate: one of 100 messages was sent {more[SENT_LATE]:.1f} ms late"
        )
    if more.get(UNDER_WAY, 0) > BACKLOG * count:
        found.append(
            f"the system did not keep the rate: of {count:,} messages {more[UNDER_WAY]:,.0f} were still"
            " under way at the end; with a longer measurement all latencies would be longer"
        )
    return found
