"""Measure how much the streams keep: when the broker's room for them is full, nothing is relayed any more.

Every presence process measures the same. Whether a stream is usable at all is asked elsewhere (`__main__`).
"""

import asyncio
from collections.abc import Mapping
from typing import Final

from presence.store import TIMEOUT_S
from tieline import metrics
from tieline.runtime.requests import NoAnswer, Requests
from tieline.wire import jetstream

EVERY_S: Final = 5.0
"""Between two measurements: more often than Prometheus looks."""


async def measure_sizes(requests: Requests, streams: Mapping[str, str], every_s: float = EVERY_S) -> None:
    """Measure until cancelled. `streams` are the names of the streams by what they are called in metrics."""
    while True:
        for kind, stream in streams.items():
            try:
                answer = await requests.ask_once(jetstream.stream_info(stream), b"", TIMEOUT_S)
            except NoAnswer:
                continue
            state = jetstream.read_stream(answer.data).state
            if state is not None:
                metrics.STREAM_BYTES.labels(kind).set(state.bytes)
        await asyncio.sleep(every_s)
