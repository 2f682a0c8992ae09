"""`tieline.load.measurement`: what it says while it goes on, and afterwards."""

import os

import pytest

from tieline.load.figures import GENERATOR
from tieline.load.measurement import Measurement, NotBegun, Phase, Subject, clock

SUBJECT = Subject("relay", {"pairs": 2}, "signals", 1000)
NOBODY = 2**22 + 1
"""No process has this id: the kernel gives none above 2**22."""


def measurement(pid: int | None = None, *, may_end: bool = False) -> Measurement:
    measured = Measurement(lambda: {} if pid is None else {"part": [pid]})
    measured.describe(SUBJECT._replace(processes_may_end=may_end))
    return measured


def test_a_whole_measurement_is_summed_up() -> None:
    measured = measurement(os.getpid())
    measured.start(1)
    for took in (0.001, 0.002, 0.003):
        measured.latencies.add(clock(), took)
    measured.faults.lost = 1
    measured.stop()
    figures = measured.figures()
    assert (figures.mode, figures.unit, figures.count) == ("relay", "signals", 3)
    assert figures.cpu_per == "1,000 signals"
    assert figures.p50_ms == pytest.approx(2, rel=0.01)
    assert figures.per_second == 3 / figures.seconds
    assert set(figures.cpu) == {"part", GENERATOR}
    assert figures.cpu["part"] == figures.cpu[GENERATOR]
    assert figures.faults.lost == 1
    assert figures.is_whole
    assert measured.figures() == figures


def test_an_interrupted_one_has_figures_too() -> None:
    measured = measurement()
    measured.start(100)
    measured.latencies.add(clock(), 0.001)
    figures = measured.figures()
    assert not figures.is_whole
    assert figures.count == 1
    assert figures.seconds < 100


def test_before_anything_is_counted_there_are_none() -> None:
    with pytest.raises(NotBegun):
        measurement().figures()


def test_what_came_before_the_start_was_a_warm_up() -> None:
    measured = measurement()
    measured.latencies.add(clock(), 1)
    measured.start()
    assert measured.figures().count == 0


def test_the_phase_is_a_step_then_time_then_the_end() -> None:
    measured = measurement()
    measured.step("connect pairs", 3, 10)
    assert measured.phase == Phase("connect pairs", 3, 10)
    measured.start(50)
    what, done, goal, is_time = measured.phase
    assert (what, goal, is_time) == ("relay", 50, True)
    assert 0 <= done < 50
    measured.stop()
    assert measured.phase == Phase("finishing", 0, 0)


def test_steps_are_shown_where_nobody_knows_how_long_it_takes() -> None:
    measured = measurement()
    measured.start()
    measured.step("come back", 1, 2)
    assert measured.phase == Phase("come back", 1, 2)


def test_a_process_that_has_ended_ends_the_measurement() -> None:
    with pytest.raises(FileNotFoundError):
        measurement(NOBODY).start()


def test_a_process_may_end_where_that_is_measured() -> None:
    measured = measurement(NOBODY, may_end=True)
    measured.start()
    assert measured.figures().cpu["part"] == 0
