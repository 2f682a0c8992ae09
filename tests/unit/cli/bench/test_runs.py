"""`tieline.cli.bench.runs`: one measurement for each value, each of its mode."""

import argparse
from contextlib import suppress
from pathlib import Path

import pytest

from tests.unit.load.small_relay import relaying
from tests.unit.load.test_limited import refreshing
from tieline.cli import ready_file
from tieline.cli.bench.options import add_arguments
from tieline.cli.bench.runs import pids_of, runs_of
from tieline.load.client import LoadError, Target
from tieline.load.limited import NOTE
from tieline.load.measurement import Measurement

TARGET = Target("ws://a", "ws://b")
COLLEAGUES = "new pairs, in a room already"


def parsed(words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args([*words.split(), "--url", "ws://a"])


@pytest.mark.parametrize(
    ("words", "names", "most"),
    [
        ("relay --pairs 1 50", ["1 pair", "50 pairs"], 100),
        ("relay --pairs 1 50 --acks", ["1 pair, with acks", "50 pairs, with acks"], 100),
        ("load --rate 100 2500 --pairs 5", ["100 signals/s, 5 pairs", "2,500 signals/s, 5 pairs"], 10),
        ("setup --at-once 4", ["4 at once, new pairs", "4 at once, pairs that redial"], 201),
        ("setup --of redial", ["8 at once, pairs that redial"], 257),
        ("setup --of new --room own shared", ["8 at once, new pairs", f"8 at once, {COLLEAGUES}"], 257),
        ("setup --at-once 9 --of new --room shared", [f"9 at once, {COLLEAGUES}"], 458),
        ("connect --at-once 2 --most 9", ["2 at once"], 9),
        ("idle --connections 1000", ["1,000 connections"], 1000),
        ("storm --sessions 7", ["7 sessions"], 7),
    ],
)
def test_each_value_is_a_run(words: str, names: list[str], most: int) -> None:
    runs = runs_of(parsed(words), TARGET)
    assert [run.name for run in runs] == names
    assert max(run.descriptors for run in runs) == most


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ("relay --pairs 1 --seconds 0.05", {"pairs": 1}),
        ("load --pairs 1 --rate 50 --seconds 0.05", {"pairs": 1, "rate": 50, "churn": 0}),
        ("setup --at-once 1 --of new --seconds 0.05", {"at once": 1, "pairs": "new", "room": "own"}),
        (
            "setup --at-once 1 --of new --room shared --seconds 0.05",
            {"at once": 1, "pairs": "new", "room": "shared"},
        ),
        ("connect --at-once 1 --most 3 --seconds 0.05", {"at once": 1, "most": 3}),
        ("idle --connections 2 --seconds 0.05", {"connections": 2}),
    ],
)
async def test_a_run_measures_what_its_mode_says(words: str, asked: dict[str, float | str]) -> None:
    options, measured = parsed(words), Measurement()
    async with relaying() as target:
        (run,) = runs_of(options, target)
        await run.measure(measured)
    figures = measured.figures()
    assert (figures.mode, figures.asked) == (options.mode, asked)
    assert not figures.faults


def test_processes_are_read_anew_each_time(tmp_path: Path) -> None:
    assert pids_of(None) == {}
    file = tmp_path / "ready.json"
    for pid in (7, 8):
        ready_file.write(file, ready_file.ReadyFile(["ws://a"], pids={"gateway": [pid]}))
        assert pids_of(file) == {"gateway": [pid]}


@pytest.mark.parametrize(
    "words", ["relay --pairs 1", "load --pairs 1 --rate 9", "setup --of new", "connect --most 1"]
)
async def test_limits_are_told_where_they_change_what_is_found(words: str) -> None:
    options, measured = parsed(f"{words} --seconds 0.05"), Measurement()
    async with refreshing(20) as target:
        (run,) = runs_of(options, target)
        with suppress(LoadError):  # it takes neither calls nor candidates
            await run.measure(measured)
    assert measured.notes == ([NOTE] if options.mode != "connect" else [])
