"""The fast metrics show what those of prometheus_client would."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from tests.support.metrics import value_of
from tieline.runtime.fast_metrics import FastCounter, FastHistogram

BOUNDS = (0.25, 1.0, 5.0)


def shown(registry: CollectorRegistry) -> list[bytes]:
    """What Prometheus reads, without when each series began."""
    return [line for line in generate_latest(registry).splitlines() if b"_created" not in line]


@given(st.lists(st.sampled_from([("PING", "ok"), ("JOIN", "ok"), ("JOIN", "ROOM_FULL")]), max_size=20))
def test_a_counter_shows_what_the_slow_one_shows(counted: list[tuple[str, str]]) -> None:
    fast, slow = CollectorRegistry(), CollectorRegistry()
    ours = FastCounter("t_signals_total", "Signals.", ["cmd", "outcome"], registry=fast)
    theirs = Counter("t_signals_total", "Signals.", ["cmd", "outcome"], registry=slow)

    for labels in counted:
        ours.labels(*labels).inc()
        theirs.labels(*labels).inc()

    assert shown(fast) == shown(slow)


@given(st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0, 4.0, 5.0, 6.0, 1e9]), max_size=20))
def test_a_histogram_shows_what_the_slow_one_shows(observed: list[float]) -> None:
    fast, slow = CollectorRegistry(), CollectorRegistry()
    ours = FastHistogram("t_seconds", "Seconds.", BOUNDS, registry=fast)
    theirs = Histogram("t_seconds", "Seconds.", registry=slow, buckets=BOUNDS)

    for value in observed:
        ours.observe(value)
        theirs.observe(value)

    assert shown(fast) == shown(slow)


def test_a_series_stands_at_0_once_it_is_looked_up() -> None:
    registry = CollectorRegistry()
    counter = FastCounter("t_total", "Things.", ["kind"], registry=registry)
    assert registry.get_sample_value("t_total", {"kind": "a"}) is None

    counter.labels("a")

    assert registry.get_sample_value("t_total", {"kind": "a"}) == 0


def test_the_same_labels_are_the_same_series() -> None:
    counter = FastCounter("t_total", "Things.", ["kind"], registry=CollectorRegistry())

    counter.labels("a").inc()
    counter.labels("a").inc()
    counter.labels("b").inc()

    assert (counter.labels("a").count, counter.labels("b").count, value_of(counter)) == (2, 1, 3)
