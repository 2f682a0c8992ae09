"""Rates and percentiles of measurements. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

SIGNALS_PER_COST: Final = 100_000
"""CPU seconds are given for so many signals: a number with one digit before the point."""

GENERATOR: Final = "load generator"
"""The process that measures. It is not of the system, but uses the same processors."""


def percentile(sorted_values: Sequence[float], percent: float) -> float:
    """The smallest value that `percent` (above 0, to 100) of all values do not exceed; nan without any."""
    if not sorted_values:
        return math.nan
    return sorted_values[max(0, math.ceil(percent / 100 * len(sorted_values)) - 1)]


@dataclass(frozen=True)
class RelayFigures:
    """One measurement of the closed-loop relay."""

    pairs: int
    signals_per_second: float
    p50_ms: float
    p99_ms: float
    cpu: dict[str, float] = field(default_factory=dict)
    """CPU seconds per 100,000 signals, by the part of the system that used them."""


def relay_figures(
    pairs: int, seconds: Sequence[float], duration: float, cpu_seconds: dict[str, float]
) -> RelayFigures:
    """Sum up the latencies of single messages (`seconds` each) that arrived within `duration` seconds."""
    latencies = sorted(seconds)
    return RelayFigures(
        pairs=pairs,
        signals_per_second=len(latencies) / duration,
        p50_ms=percentile(latencies, 50) * 1000,
        p99_ms=percentile(latencies, 99) * 1000,
        cpu={part: used * SIGNALS_PER_COST / max(1, len(latencies)) for part, used in cpu_seconds.items()},
    )


@dataclass(frozen=True)
class CallFigures:
    """One measurement of call set-ups."""

    calls_per_second: float
    p50_ms: float
    """From the first JOIN to the last candidate."""


def call_figures(seconds: Sequence[float], duration: float) -> CallFigures:
    """Sum up set-ups (`seconds` each) that were done within `duration` seconds."""
    return CallFigures(len(seconds) / duration, percentile(sorted(seconds), 50) * 1000)
