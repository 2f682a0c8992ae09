"""A counter and a histogram for what happens with every message: they count in plain numbers.

Those of prometheus_client take a lock and several calls each time, which together cost a gateway a twentieth
of its CPU time. Only for processes with one thread.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector


class Series:
    """One time series of a counter."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def inc(self) -> None:
        """Count one more."""
        self.count += 1


class FastCounter(Collector):
    """A counter; `name` ends in `_total`."""

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str] = (), *, registry: CollectorRegistry
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._labels = labels
        self._series: dict[tuple[str, ...], Series] = {}
        registry.register(self)

    def labels(self, *values: str) -> Series:
        """Return the series with these labels, which stands at 0 from now on if it is new."""
        series = self._series.get(values)
        if series is None:
            series = self._series[values] = Series()
        return series

    def collect(self) -> Iterator[CounterMetricFamily]:
        """See `Collector.collect`."""
        family = CounterMetricFamily(self._name, self._documentation, labels=self._labels)
        for values, series in self._series.items():
            family.add_metric(values, series.count)
        yield family


class FastHistogram(Collector):
    """A histogram without labels. `bounds` rise; what is beyond the last of them is counted too."""

    def __init__(
        self, name: str, documentation: str, bounds: Sequence[float], *, registry: CollectorRegistry
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        registry.register(self)

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """See `Collector.collect`."""
        buckets, so_far = [], 0
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self._counts, strict=True):
            so_far += count
            buckets.append((bound, so_far))
        yield HistogramMetricFamily(self._name, self._documentation, buckets, self._sum)
