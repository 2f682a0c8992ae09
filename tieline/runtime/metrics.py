"""The registry of this process's metrics, and the metrics that every process has.

Those of gateways, routers and presence are in `tieline.metrics`.
"""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

REGISTRY: Final = CollectorRegistry()

_LAG_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

UNREADABLE_KINDS: Final = (
    "signal",
    "changed",
    "request",
    "answer",
    "frame",
    "barrier",
    "change",
    "close",
    "alive",
    "timer",
    "record",
    "asker",
)
"""What a process may be unable to understand."""

BUILD_INFO = Gauge(
    "tieline_build_info",
    "Always 1; the labels name the service that this process is, and its version.",
    ["service", "version"],
    registry=REGISTRY,
)
READY = Gauge(
    "tieline_ready", "1 while /readyz says that this process should get work, else 0.", registry=REGISTRY
)
EVENT_LOOP_LAG = Histogram(
    "tieline_event_loop_lag_seconds",
    "Seconds by which the event loop of this process was late for a timer, measured four times a second.",
    registry=REGISTRY,
    buckets=_LAG_BUCKETS,
)
REQUEST_RETRIES = Counter(
    "tieline_request_retries_total",
    "Requests that this process sent again because no answer had come yet.",
    registry=REGISTRY,
)
NATS_RECONNECTS = Counter(
    "tieline_nats_reconnects_total", "Times this process reconnected to NATS.", registry=REGISTRY
)
NATS_CONNECTED = Gauge(
    "tieline_nats_connected", "1 while this process is connected to NATS, else 0.", registry=REGISTRY
)
NATS_ERRORS = Counter(
    "tieline_nats_errors_total",
    "Errors that the NATS client reported, by kind (slow_consumer: messages were dropped).",
    ["kind"],
    registry=REGISTRY,
)
CLOCK_AHEAD = Gauge(
    "tieline_clock_ahead_seconds",
    "Seconds by which the clock of this gateway or presence process is ahead of the broker's, or behind it.",
    registry=REGISTRY,
)
JOBS_WAITING = Gauge(
    "tieline_jobs_waiting",
    "Requests and signals that wait in this process for others to be carried out.",
    registry=REGISTRY,
)
JOBS_DROPPED = Counter(
    "tieline_jobs_dropped_total",
    "Requests and signals dropped unread, by why (full: no room for more; late: nobody waited any more; "
    "repeated: asked again meanwhile).",
    ["why"],
    registry=REGISTRY,
)

UNREADABLE_MESSAGES = Counter(
    "tieline_unreadable_messages_total",
    "Messages of other processes, and records, that this process could not understand, and dropped, by kind.",
    ["kind"],
    registry=REGISTRY,
)
LOG_LINES_DROPPED = Counter(
    "tieline_log_lines_dropped_total",
    "Log lines of this process that were not written: nobody reads its standard error so fast, or at all.",
    registry=REGISTRY,
)

ProcessCollector(namespace="tieline", registry=REGISTRY)  # memory, CPU and descriptors of this process

for _kind in ("slow_consumer", "other"):  # an alert watches their rate, which needs a first sample
    NATS_ERRORS.labels(_kind)
for _why in ("full", "late", "repeated"):
    JOBS_DROPPED.labels(_why)
for _kind in UNREADABLE_KINDS:
    UNREADABLE_MESSAGES.labels(_kind)


def exposition() -> bytes:
    """Render everything in Prometheus's text format."""
    return generate_latest(REGISTRY)
