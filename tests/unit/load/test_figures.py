"""`tieline.load.figures`: rates and percentiles."""

import math

import pytest

from tieline.load.figures import call_figures, percentile, relay_figures


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


def test_a_relay_is_summed_up_in_any_order_of_its_latencies() -> None:
    figures = relay_figures(2, [0.004, 0.001, 0.002, 0.003], 0.5, {"gateways": 0.0002})
    assert figures.pairs == 2
    assert figures.signals_per_second == 8
    assert (figures.p50_ms, figures.p99_ms) == (2, 4)
    assert figures.cpu == {"gateways": pytest.approx(5)}


def test_a_relay_that_relayed_nothing_says_so() -> None:
    figures = relay_figures(1, [], 1, {"gateways": 0.1})
    assert figures.signals_per_second == 0
    assert math.isnan(figures.p50_ms)


def test_calls_are_summed_up() -> None:
    assert call_figures([0.02, 0.01, 0.03], 2).calls_per_second == 1.5
    assert call_figures([0.02, 0.01, 0.03], 2).p50_ms == 20
