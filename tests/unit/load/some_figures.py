"""Figures as a measurement makes them, for tests of what is done with them."""

from typing import Any

import msgspec

from tieline.load.faults import Faults
from tieline.load.figures import Figures
from tieline.load.latencies import Spread


def figures(latency_ms: Spread | None = None, **others: Any) -> Figures:
    """Make figures in which nothing stands out, but for what is named."""
    plain = Figures(
        mode="relay",
        asked={"pairs": 1},
        unit="signals",
        count=10,
        seconds=1.0,
        per_second=10.0,
        latency_ms=latency_ms,
        cpu_per="100,000 signals",
        cpu={},
        own_share=0.25,
        own_wait=0.0,
        kib={},
        more={},
        faults=Faults(),
        is_whole=True,
        notes=[],
        over_time=[],
        histogram=[],
        hdr="",
    )
    return msgspec.structs.replace(plain, **others)
