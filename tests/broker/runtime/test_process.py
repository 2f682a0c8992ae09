"""A service's process, started and stopped as an operator would."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.broker.runtime.a_process import MANY_LINES
from tieline.runtime.process import EXIT_BAD_SETTINGS

PATIENCE_S = 20
MODULE = "tests.broker.runtime.a_process"


class Running:
    """One process, started as an operator would."""

    def __init__(self, **environ: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", MODULE],
            env={name: value for name, value in os.environ.items() if not name.startswith("TIELINE_")}
            | environ,
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def line(self) -> dict[str, Any]:
        """Return the next line of its log."""
        assert self.process.stderr is not None
        return dict(json.loads(self.process.stderr.readline()))

    def end(self) -> tuple[int, str, str]:
        """Wait for its end; return exit code, output and the rest of its log."""
        output, log = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, output, log


Start = Callable[..., Running]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start processes, and leave none behind."""
    started: list[Running] = []

    def start_one(**environ: str) -> Running:
        started.append(Running(**environ))
        return started[-1]

    yield start_one
    for running in started:
        running.process.kill()
        running.process.communicate()


@pytest.mark.parametrize(("word", "code"), [("--help", os.EX_OK), ("--port", os.EX_USAGE)])
def test_given_an_argument_it_lists_settings_and_exits(word: str, code: int) -> None:
    process = subprocess.run(
        [sys.executable, "-m", MODULE, word], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )

    assert process.returncode == code
    said, other = process.stdout, process.stderr
    if code:
        said, other = other, said
    assert other == ""
    first, *settings = said.splitlines()
    assert first.startswith("sample takes no arguments")
    assert "  TIELINE_JWT_SECRET" in settings


def test_a_setting_that_is_probably_misspelt_is_warned_of(start: Start) -> None:
    process = start(TIELINE_JWT_SECRET="x", TIELINE_LOGLEVEL="debug")

    line = process.line()

    assert line["level"] == "warning"
    assert (line["variable"], line["perhaps"]) == ("TIELINE_LOGLEVEL", "TIELINE_LOG_LEVEL")


def test_settings_that_are_missing_end_it_with_one_clear_line(start: Start) -> None:
    code, output, log = start().end()

    assert code == EXIT_BAD_SETTINGS == 78
    assert output == ""
    assert log == "sample: TIELINE_JWT_SECRET is not set, and has no default\n"


def test_settings_that_are_unusable_end_it_without_a_traceback(start: Start) -> None:
    code, _, log = start(TIELINE_JWT_SECRET="x", TIELINE_OPS_PORT="http").end()

    assert code == EXIT_BAD_SETTINGS
    assert log.startswith("sample: TIELINE_OPS_PORT: 'http' is unusable")
    assert log.count("\n") == 1


def test_a_secret_that_anybody_can_guess_ends_it(start: Start) -> None:
    code, _, log = start(TIELINE_JWT_SECRET="x", TIELINE_TURN_SECRET="y").end()

    assert code == EXIT_BAD_SETTINGS
    assert log.startswith("sample: TIELINE_TURN_SECRET has 1 bytes")
    assert log.count("\n") == 1


def test_doubts_about_secrets_are_said_first(start: Start) -> None:
    process = start(TIELINE_JWT_SECRET="x", TIELINE_TURN_SECRET="y\n", TIELINE_ALLOW_WEAK_SECRETS="1")

    lines = [process.line(), process.line()]

    assert [line["variable"] for line in lines] == ["TIELINE_TURN_SECRET"] * 2
    assert [line["level"] for line in lines] == ["warning"] * 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_it_stop_in_order(start: Start, number: signal.Signals) -> None:
    running = start(TIELINE_JWT_SECRET="x", TIELINE_NAMESPACE="mine")
    starts = running.line()

    running.process.send_signal(number)

    assert (starts["service"], starts["event"], starts["namespace"]) == ("sample", "starts", "mine")
    assert starts["loop"].startswith("uvloop")
    assert running.line()["event"] == "stops"
    assert running.end() == (0, "", "")


def test_a_second_signal_ends_it_at_once(start: Start) -> None:
    running = start(TIELINE_JWT_SECRET="x", TIELINE_NAMESPACE="stubborn")
    running.line()

    running.process.send_signal(signal.SIGTERM)
    assert running.line()["event"] == "stops"
    running.process.send_signal(signal.SIGTERM)

    assert running.end() == (128 + signal.SIGTERM, "", "")


def test_a_log_that_nobody_reads_does_not_hold_it_up(start: Start) -> None:
    running = start(TIELINE_JWT_SECRET="x", TIELINE_NAMESPACE="chatty")
    assert running.process.stdout is not None
    assert running.process.stdout.readline() == "all said\n"

    running.process.send_signal(signal.SIGTERM)
    code, _, log = running.end()

    assert code == 0
    lines = [json.loads(line) for line in log.splitlines()]
    written = [line["number"] for line in lines if line["event"] == "a line"]
    dropped = sum(line["lines"] for line in lines if line["event"] == "log lines dropped")
    assert written == sorted(set(written)), "in their order, each once"
    assert MANY_LINES <= len(written) + dropped <= MANY_LINES + 1  # "stops" may be one of them
    assert dropped > 0


def test_a_bug_that_ends_it_is_the_last_thing_it_says(start: Start) -> None:
    code, _, log = start(TIELINE_JWT_SECRET="x", TIELINE_NAMESPACE="crashing").end()

    assert code == 1
    first, *rest = log.splitlines()
    assert json.loads(first)["event"] == "starts"
    assert any(line.endswith("LookupError: a bug of ours") for line in rest)


def test_a_signal_before_it_could_begin_ends_it_in_order_too(start: Start) -> None:
    running = start(TIELINE_JWT_SECRET="x", TIELINE_NAMESPACE="early")
    running.line()

    running.process.send_signal(signal.SIGTERM)

    assert running.end() == (0, "", "")
