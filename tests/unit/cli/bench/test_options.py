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
    ("words", "problem"),
    [
        ("relay --pairs 1 0", "--pairs 0: there is nothing to measure"),
        ("relay --pairs -3", "--pairs -3: there is nothing to measure"),
        ("relay --seconds inf", "--seconds inf: from 0.001 to 86,400"),
        ("relay --seconds nan", "--seconds nan: from 0.001 to 86,400"),
        ("load --rate 100 1e12", "--rate 1000000000000.0: from 0.001 to 1e+06"),
        ("load --churn -1", "--churn -1.0: there is nothing to measure"),
        ("setup --at-once 0", "--at-once 0: there is nothing to measure"),
        ("connect --most 0", "--most 0: there is nothing to measure"),
        ("idle --connections 2000000", "--connections 2000000: from 1 to 1e+06"),
        ("storm --spread 61", "--spread 61.0: from 0 to 60"),
        ("storm --kill", "--kill: which process that is, only a ready file says (--ready-file)"),
        ("relay --picture f.png", "--picture f.png: only .svg is drawn"),
    ],
)
def test_nonsense_is_named(words: str, problem: str) -> None:
    assert problem_of(parsed(*words.split(), *URL)) == problem


def test_what_is_no_number_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", "load", *URL, "--rate", "fast"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said == "tieline bench load: argument --rate: invalid float value: 'fast'\n"


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
