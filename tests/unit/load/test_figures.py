"""`tieline.load.figures`: percentiles, and what is said of the bench itself."""

import math

import pytest

from tests.unit.load.some_figures import figures
from tieline.load.figures import GENERATOR, SENT_LATE, UNDER_WAY, percentile, warnings
from tieline.load.latencies import Spread


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([5.0], 50, 5.0),
        ([5.0], 99, 5.0),
        ([1.0, 2.0], 50, 1.0),
        ([1.0, 2.0, 3.0], 50, 2.0),
        ([float(value) for value in range(1, 101)], 99, 99.0),
        ([float(value) for value in range(1, 101)], 100, 100.0),
        ([float(value) for value in range(1, 1001)], 99, 990.0),
    ],
)
def test_a_percentile_is_a_value_that_was_measured(
    values: list[float], percent: float, expected: float
) -> None:
    assert percentile(values, percent) == expected


def test_there_is_no_percentile_of_nothing() -> None:
    assert math.isnan(percentile([], 50))


def test_a_bench_with_time_to_spare_warns_of_nothing() -> None:
    assert warnings(0.5, 0.3, 100, {SENT_LATE: 1.0, UNDER_WAY: 5}) == []


def test_a_bench_that_wants_a_processor_all_the_time_says_so() -> None:
    (warning,) = warnings(0.6, 0.35, 100, {})
    assert warning.startswith("the bench was the bottleneck: it used a processor for 60% of the time")


def test_a_bench_that_sends_late_says_so() -> None:
    (warning,) = warnings(0.1, 0.1, 100, {SENT_LATE: 7.25})
    assert warning == "the bench did not keep the rate: one of 100 messages was sent 7.2 ms late"


def test_a_system_that_does_not_keep_the_rate_is_said_not_to() -> None:
    (warning,) = warnings(0.1, 0.1, 6000, {UNDER_WAY: 5400.0})
    assert warning.startswith(
        "the system did not keep the rate: of 6,000 messages 5,400 were still under way"
    )


def test_figures_without_latencies_have_no_percentiles() -> None:
    assert math.isnan(figures(None).p50_ms)
    assert math.isnan(figures(None).p99_ms)
    assert figures(Spread(1, 2, 3, 4, 5)).p50_ms == 1
    assert figures(Spread(1, 2, 3, 4, 5)).p99_ms == 3


def test_the_generator_is_no_part_of_the_system() -> None:
    assert figures(cpu={"gateways": 1.5, "presence": 0.5, GENERATOR: 4.0}).system_cpu == 2.0
