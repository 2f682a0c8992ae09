"""`tieline.cli.bench.picture`: what is drawn of measurements."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.unit.load.some_figures import figures
from tieline.cli.bench import picture
from tieline.cli.bench.picture import draw, why_not
from tieline.load.figures import Figures
from tieline.load.latencies import Latencies


def measured(*took: float) -> Figures:
    latencies = Latencies()
    for number, one in enumerate(took):
        latencies.add(number / 2, one)
    return figures(
        latencies.spread(),
        over_time=latencies.over_time(0, len(took) / 2),
        histogram=latencies.bins(),
    )


def test_any_measurement_can_be_drawn(tmp_path: Path) -> None:
    """Nothing, one latency, few that are alike, and some far apart."""
    file = tmp_path / "f.svg"
    kinds = [(), (0.001,), (0.001, 0.002, 0.0015), (0.0001, 0.5, 0.9)]
    draw([(f"{number} pairs", measured(*took)) for number, took in enumerate(kinds)], file)
    words = "".join(ET.parse(file).getroot().itertext())
    for expected in ("relay: 0 pairs", "relay: 3 pairs", "latency, ms", "seconds since the start", "p50 1.5"):
        assert expected in words


def test_the_same_figures_make_the_same_file(tmp_path: Path) -> None:
    found = measured(0.001, 0.002)
    for name in ("a.svg", "b.svg"):
        draw([("1 pair", found)], tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    assert why_not() == ""
    monkeypatch.setattr(picture, "PACKAGE", "no_such_package")
    assert why_not() == "the package 'no_such_package' is not installed: pip install 'tieline[pictures]'"
