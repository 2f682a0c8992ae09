"""The text of /metrics, rendered for a loop that has other things to do: in parts, and once a second at most.

What is in it is declared in `tieline.runtime.metrics` and `tieline.metrics`.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from tieline.runtime.metrics import REGISTRY

KEPT_S: Final = 1.0
"""For which a rendered text is given to all who ask, however many and however often they do."""


class Exposition:
    """The metrics of a registry in Prometheus's text format."""

    def __init__(
        self, registry: CollectorRegistry = REGISTRY, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._registry = registry
        self._now = now
        self._rendering = asyncio.Lock()
        self._stale_at = float("-inf")
        self._text = b""
        self.number = 0
        """How often it was rendered."""

    async def text(self) -> bytes:
        """Render all metrics, or return what was rendered just now."""
        async with self._rendering:
            if self._now() >= self._stale_at:
                parts = []
                for family in self._registry.collect():
                    parts.append(generate_latest(_Only(family)))
                    await asyncio.sleep(0)  # all of them take milliseconds, which others would wait
                self._text = b"".join(parts)
                self._stale_at = self._now() + KEPT_S
                self.number += 1
            return self._text


class _Only(Collector):
    """A registry that has nothing but one family."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterator[Metric]:
        """See `Collector.collect`."""
        yield self._family
