"""Measure how much the streams keep, how much they may, and whether mail goes too early.

A mailbox that is full drops its oldest messages: as long as those are older than the longest absence, nobody
misses them. Every presence process measures the same. Whether a stream is usable at all is asked elsewhere
(`__main__`).
"""

import asyncio
from collections.abc import Mapping
from typing import Final

from presence.bucket import TIMEOUT_S
from tieline import metrics
from tieline.runtime.requests import NoAnswer, Requests
from tieline.wire import jetstream, jetstream_answers
from tieline.wire.subjects import Subjects

EVERY_S: Final = 5.0
"""Between two measurements: more often than Prometheus looks."""

FULL: Final = 0.9
"""From this share of its room on a stream counts as full: with big messages it is never all of it."""

BUCKET: Final = "bucket"
MAILBOX: Final = "mailbox"
"""What each is called in metrics; of several partitions with a number behind it."""


def named(subjects: Subjects) -> dict[str, str]:
    """Name the streams by what they are called in metrics."""
    names: dict[str, str] = {}
    for part in subjects.parts():
        at = f"-{part.at}" if part.partitions.number > 1 else ""
        names[f"{BUCKET}{at}"] = jetstream.bucket_stream(part.bucket())
        names[f"{MAILBOX}{at}"] = part.mailbox()
    return names


async def measure_sizes(
    requests: Requests, streams: Mapping[str, str], keep_s: float, every_s: float = EVERY_S
) -> None:
    """Measure until cancelled. `streams` are the names of the streams by what they are called in metrics.

    `keep_s` is the longest absence that the mailbox is to bridge.
    """
    while True:
        too_short: dict[str, float] = {}
        for kind, name in streams.items():
            try:
                answer = await requests.ask_once(jetstream.stream_info(name), b"", TIMEOUT_S)
            except NoAnswer:
                continue
            stream = jetstream_answers.read_stream(answer.data)
            if stream.state is not None:
                metrics.STREAM_BYTES.labels(kind).set(stream.state.bytes)
                metrics.STREAM_MAX_BYTES.labels(kind).set(stream.max_bytes)
                if kind.startswith(MAILBOX):
                    too_short[kind] = _too_short_s(stream, keep_s)
                    metrics.MAIL_KEPT_TOO_SHORT.set(max(too_short.values()))
        await asyncio.sleep(every_s)


def _too_short_s(stream: jetstream_answers.Stream, keep_s: float) -> float:
    """Return by how many seconds a full stream's oldest message is younger than it should be; else 0."""
    if stream.state is None or not stream.max_bytes or stream.state.bytes < FULL * stream.max_bytes:
        return 0.0
    return max(0.0, keep_s - (stream.ts - stream.state.first_ts).total_seconds())
