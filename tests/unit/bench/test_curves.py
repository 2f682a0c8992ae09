"""`bench.curves`: which points are missing, what is kept of them, and what is drawn."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bench.curves.drawing import PICTURES, draw_all
from bench.curves.points import MEASURED, SETUPS, SIGNALS
from bench.curves.results import CURVES, Curve, How, Measured, keep, missing, read, tables

HOW = How("a machine", "0123abc", 3.0, 2000.0)
WORDS = tuple(curve.word for curve in CURVES)


def measured() -> Measured:
    return Measured(HOW, {"gateways": {1: {SIGNALS: 9.5, SETUPS: 8.0}, 4: {SIGNALS: 10.25}}})


def test_every_curve_is_measured_and_drawn() -> None:
    assert set(MEASURED) == set(WORDS)
    assert {line.word for picture in PICTURES for panel in picture.panels for line in panel.lines} == set(
        WORDS
    )


@pytest.mark.parametrize("curve", CURVES, ids=WORDS)
def test_small_points_are_some_of_all(curve: Curve) -> None:
    assert set(curve.small) <= set(curve.places)
    assert list(curve.places) == sorted(curve.places)


def test_only_what_was_not_measured_is_missing() -> None:
    assert missing(measured(), ["gateways", "nodes"], small=False) == [
        ("gateways", 2),
        ("gateways", 3),
        ("nodes", 1),
        ("nodes", 3),
    ]
    assert missing(measured(), ["gateways"], small=True) == [("gateways", 2)]
    assert missing(measured(), [], small=False) == []


def test_points_are_kept_and_found_again(tmp_path: Path) -> None:
    file = tmp_path / "measured.json"
    assert read(file, HOW) is None
    keep(file, measured())
    assert read(file, HOW) == measured()
    assert [each.name for each in tmp_path.iterdir()] == [file.name]


def test_points_that_were_measured_otherwise_are_not_taken(tmp_path: Path) -> None:
    file = tmp_path / "measured.json"
    keep(file, measured())
    assert read(file, How("a machine", "another tree", 3.0, 2000.0)) is None
    assert read(file, None) == measured()


def test_a_table_has_the_points_in_order_and_a_dash_for_none() -> None:
    assert tables(measured()).splitlines() == [
        f"| gateways | {SIGNALS} | {SETUPS} |",
        "| --- | --- | --- |",
        "| 1 | 9.5 | 8 |",
        "| 4 | 10.25 | - |",
    ]
    assert tables(Measured(HOW)) == ""


def test_what_was_measured_is_drawn_and_nothing_else(tmp_path: Path) -> None:
    assert [file.name for file in draw_all(measured(), tmp_path)] == ["processes.svg"]
    words = "".join(ET.parse(tmp_path / "processes.svg").getroot().itertext())
    assert SIGNALS in words
    assert "gateways" in words


def test_every_picture_can_be_drawn(tmp_path: Path) -> None:
    lines = [line for picture in PICTURES for panel in picture.panels for line in panel.lines]
    places = {curve.word: curve.places for curve in CURVES}
    points: dict[str, dict[int, dict[str, float]]] = {
        word: {
            place: {line.figure: 0.5 + place for line in lines if line.word == word} for place in places[word]
        }
        for word in WORDS
    }
    assert len(draw_all(Measured(HOW, points), tmp_path)) == len(PICTURES)
