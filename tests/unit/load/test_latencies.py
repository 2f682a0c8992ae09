"""`tieline.load.latencies`: percentiles, courses and bins."""

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from tieline.load.latencies import LONGEST_US, Latencies, Spread


def latencies(*took: float) -> Latencies:
    made = Latencies()
    for number, one in enumerate(took):
        made.add(number / 10, one)
    return made


def test_nothing_has_no_percentiles() -> None:
    assert latencies().spread() is None
    assert latencies().bins() == []
    assert latencies().encoded() == ""
    assert latencies().over_time(0, 1) == []


def test_a_warm_up_is_forgotten() -> None:
    made = latencies(1, 2)
    made.clear()
    made.add(0, 0.001)
    assert len(made) == 1
    assert made.spread() == Spread(1, 1, 1, 1, 1)


@given(st.lists(st.floats(0.00001, 100), min_size=1, max_size=50))
def test_percentiles_are_those_of_sorted_values_to_three_digits(took: list[float]) -> None:
    """The rank is rounded, as all programs for HdrHistogram do it."""
    spread = latencies(*took).spread()
    assert spread is not None
    for percent, found in ((50, spread.p50), (90, spread.p90), (99, spread.p99), (100, spread.max)):
        rank = max(1, int(percent / 100 * len(took) + 0.5))
        assert found == pytest.approx(sorted(took)[rank - 1] * 1000, rel=0.002, abs=0.002)


def test_what_takes_no_time_or_days_is_counted_all_the_same() -> None:
    spread = latencies(0, LONGEST_US).spread()
    assert spread is not None
    assert spread.p50 == 0.001
    assert spread.max == pytest.approx(LONGEST_US / 1000, rel=0.002)


def test_a_course_has_windows_in_order_and_leaves_out_empty_ones() -> None:
    made = Latencies()
    for at, took in ((10.0, 0.001), (10.05, 0.0015), (19.0, 0.002)):
        made.add(at, took)
    windows = made.over_time(10, 12)
    assert [(window.from_s, window.count, window.max) for window in windows] == [(0, 2, 1.5), (9, 1, 2)]


def test_bins_hold_all_and_begin_where_the_first_is() -> None:
    bins = latencies(0.001, 0.0011, 0.1).bins()
    assert sum(one.count for one in bins) == 3
    assert bins[0].count > 0
    assert bins[0].to_ms >= 1
    assert bins[-1].to_ms >= 100
    assert [one.to_ms for one in bins] == sorted(one.to_ms for one in bins)


def test_other_programs_can_read_the_histogram() -> None:
    read = HdrHistogram.decode(latencies(0.001, 0.002).encoded())
    assert read.get_total_count() == 2
    assert read.get_max_value() == pytest.approx(2000, rel=0.002)
