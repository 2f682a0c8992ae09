"""`tieline.cli.bench.options`: the modes, and values that make no sense."""

import argparse

import pytest

from tieline.cli.__main__ import main, with_mode
from tieline.cli.bench.options import MODES, add_arguments, problem_of

URL = ("--url", "ws://127.0.0.1:1/ws")


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(words)


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_has_values_that_make_sense(mode: str) -> None:
    assert problem_of(parsed(mode, *URL)) == ""


@pytest.mark.parametrize(
    "words",
    [
        "--pairs 0",
        "--seconds 0",
        "relay --pairs 1 0",
        "relay --pairs -3",
        "relay --seconds inf",
        "relay --seconds nan",
        "load --rate 0",
        "load --rate fast",
        "load --rate 100 1e12",
        "load --churn -1",
        "setup --at-once 0",
        "setup --of old",
        "connect --most 0",
        "idle --connections 2000000",
        "storm --spread 61",
        "dance",
    ],
)
def test_nonsense_is_told_in_one_line(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", *words.split(), *URL, "--secret", "s"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("tieline bench")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("storm --kill", "--kill: which process that is, only a ready file says (--ready-file)"),
        ("idle --picture f.svg", "--picture: connections that do nothing have no latencies to draw"),
        ("relay --picture f.png", "--picture f.png: only .svg is drawn"),
    ],
)
def test_options_that_contradict_others_are_named(words: str, problem: str) -> None:
    assert problem_of(parsed(*words.split(), *URL)) == problem


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["bench", "--pairs", "1"], ["bench", "relay", "--pairs", "1"]),
        (["bench", "load", "--rate", "1"], ["bench", "load", "--rate", "1"]),
        (["bench", "--help"], ["bench", "--help"]),
        (["bench", "-h"], ["bench", "-h"]),
        (["bench"], ["bench"]),
    ],
)
def test_options_alone_mean_the_relay(words: list[str], meant: list[str]) -> None:
    assert with_mode(words, "relay") == meant


def test_commands_without_modes_are_left_alone() -> None:
    assert with_mode(["token", "--room", "r"], "") == ["token", "--room", "r"]
