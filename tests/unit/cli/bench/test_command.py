"""`tieline bench`: what it prints and writes, what it refuses, and how it ends."""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.unit.load.some_figures import figures
from tieline.cli.__main__ import main
from tieline.cli.bench import command
from tieline.cli.bench.runs import Run
from tieline.load.client import LoadError
from tieline.load.connection import UpgradeRefused
from tieline.load.faults import Faults
from tieline.load.measurement import Measurement, Subject, clock
from tieline.tokens import SECRET_VARIABLE

URL = "ws://127.0.0.1:1/ws"
SUBJECT = Subject("relay", {"pairs": 1}, "signals", 100_000)

Fake = Callable[[Measurement], Awaitable[None]]


@pytest.fixture
def measuring(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let `tieline bench` do these measurements instead of those that its options ask for."""

    def set_runs(*fakes: Fake) -> None:
        def made(fake: Fake) -> Run:
            async def measure(measured: Measurement) -> None:
                measured.describe(SUBJECT)
                await fake(measured)

            return Run(f"run {fakes.index(fake) + 1}", 1, measure)

        monkeypatch.setattr(command, "runs_of", lambda _options, _target: [made(fake) for fake in fakes])

    return set_runs


async def good(measured: Measurement) -> None:
    measured.start(1)
    measured.latencies.add(clock(), 0.001)
    measured.stop()


async def faulty(measured: Measurement) -> None:
    await good(measured)
    measured.faults.refused += 1


async def interrupted(measured: Measurement) -> None:
    measured.start(100)
    measured.latencies.add(clock(), 0.001)
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.Event().wait()


async def interrupted_before(_measured: Measurement) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.Event().wait()


async def broken(_measured: Measurement) -> None:
    raise LoadError("a step was refused")


def bench(*words: str) -> int:
    return main(["bench", *words, "--secret", "s" * 32])


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (f"--url {URL}", f"set {SECRET_VARIABLE}"),
        ("--url http://example.org/ws --secret s", "begins with ws:// or wss://"),
        ("--ready-file /nowhere/ready.json --secret s", "--ready-file /nowhere/ready.json: "),
        ("--url wss://example.org/ws --ca /nowhere/ca.pem --secret s", "--ca /nowhere/ca.pem: "),
        (f"--url {URL} --secret s --json /nowhere/f.json", "there is no folder /nowhere"),
        (f"--url {URL} --secret s --pairs 1000000", "descriptors"),
    ],
)
def test_unusable_options_are_refused(
    words: str, problem: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(SECRET_VARIABLE, raising=False)
    monkeypatch.setattr("resource.getrlimit", lambda _kind: (1000, 1000))
    assert main(["bench", *words.split()]) == 2
    said = capsys.readouterr().err
    assert problem in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("content", [b"{}", b'{"gateways": ["\xff"]}'])
def test_a_file_that_tieline_dev_did_not_write_is_refused(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "ready.json"
    file.write_bytes(content)
    assert main(["bench", "--ready-file", str(file), "--secret", "s"]) == 2
    assert f"--ready-file {file}: " in capsys.readouterr().err


def test_a_gateway_that_is_not_there_fails_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--url", URL, "--secret", "s" * 32, "--pairs", "1"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("tieline bench: [Errno 111] ")
    assert said.endswith(f" (asked: {URL})\n")


def test_each_measurement_has_a_line_and_a_row(
    measuring: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    measuring(good, good)
    assert bench("relay", "--url", URL) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0].strip() for line in lines[:2]] == ["run 1", "run 1"]
    assert lines[2] == ""
    assert "p99.9" in lines[3]
    assert len(lines) == 6


def test_the_figures_are_written_as_json(measuring: Callable[..., None], tmp_path: Path) -> None:
    measuring(good)
    file = tmp_path / "figures.json"
    assert bench("relay", "--url", URL, "--json", str(file)) == 0
    written = json.loads(file.read_text())
    assert written["urls"] == [URL]
    assert not written["isEncrypted"]
    found = written["measurements"]["run 1"]
    assert found["latencyMs"]["p50"] == 1
    assert found["hdr"].startswith("HISTFA")
    assert "ownShare" in found


def test_a_picture_is_drawn(measuring: Callable[..., None], tmp_path: Path) -> None:
    measuring(good)
    file = tmp_path / "figures.svg"
    assert bench("relay", "--url", URL, "--picture", str(file)) == 0
    assert "relay: run 1" in file.read_text()


def test_a_picture_without_its_package_is_refused_before(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tieline.cli.bench.picture.PACKAGE", "no_such_package")
    assert bench("relay", "--url", URL, "--picture", str(tmp_path / "x.svg")) == 2
    assert "pip install 'tieline[pictures]'" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_fails_it(
    measuring: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measuring(good)
    assert bench("relay", "--url", URL, "--json", str(tmp_path)) == 1
    assert "Is a directory" in capsys.readouterr().err


def test_a_fault_fails_it_with_what_there_was(
    measuring: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    measuring(faulty, good)
    assert bench("relay", "--url", URL) == 1
    said = capsys.readouterr()
    assert "1 refused" in said.err
    assert "TIELINE_LIMITS=off" in said.err
    assert "run 1" in said.out
    assert "run 2" not in said.out


def test_a_step_that_fails_leaves_what_was_measured(
    measuring: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    measuring(good, broken)
    assert bench("relay", "--url", URL) == 1
    said = capsys.readouterr()
    assert said.err == "tieline bench: a step was refused\n"
    assert said.out.count("run 1") == 2


def test_a_token_that_is_refused_is_explained(
    measuring: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    async def refused(_measured: Measurement) -> None:
        raise UpgradeRefused("HTTP/1.1 401 Unauthorized, UNAUTHORIZED", "UNAUTHORIZED")

    measuring(refused)
    assert bench("relay", "--url", URL) == 1
    assert f"(asked: {URL}); the gateways have another secret" in capsys.readouterr().err


def test_an_error_without_words_is_called_by_its_kind(
    measuring: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    async def late(_measured: Measurement) -> None:
        raise TimeoutError

    measuring(late)
    assert bench("relay", "--url", URL) == 1
    assert capsys.readouterr().err == f"tieline bench: TimeoutError (asked: {URL})\n"


def test_ctrl_c_prints_what_there_was_until_then(
    measuring: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    measuring(good, interrupted, good)
    assert bench("relay", "--url", URL) == 130
    rows = capsys.readouterr().out.splitlines()[-2:]
    assert "(interrupted)" not in rows[0]
    assert "(interrupted)" in rows[1]


def test_an_end_before_anything_was_measured_is_said(
    measuring: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    measuring(interrupted_before)
    assert bench("relay", "--url", URL) == 130
    said = capsys.readouterr()
    assert said.out == ""
    assert "interrupted before anything was measured" in said.err


def test_encryption_is_said_to_be_measured(
    measuring: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measuring(good)
    file = tmp_path / "f.json"
    assert bench("relay", "--url", "wss://example.org/ws", "--json", str(file)) == 0
    assert "encryption is measured, too" in capsys.readouterr().err
    assert json.loads(file.read_text())["isEncrypted"]


def test_nobody_looks_for_memory_elsewhere(
    measuring: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    measuring(good)
    assert bench("idle", "--url", URL) == 0
    assert "with --ready-file alone" in capsys.readouterr().err


def test_notes_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    options = argparse_of("relay", "--url", URL)
    found = [("run", figures(notes=["the bench was the bottleneck"], faults=Faults()))]
    assert command._show(options, command._target(options, "s"), False, found) == 0
    assert capsys.readouterr().err == "tieline bench: run: the bench was the bottleneck\n"


def argparse_of(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(words)


def test_urls_are_for_senders_receivers_and_in_turn() -> None:
    words = ("relay", "--url", "ws://a", "--url", "ws://b", "--url", "ws://c")
    target = command._target(argparse_of(*words), "s")
    assert target.urls == ("ws://a", "ws://b", "ws://c")
    alone = command._target(argparse_of("relay", "--url", "ws://a"), "s")
    assert (alone.sender_url, alone.receiver_url, alone.urls) == ("ws://a", "ws://a", ("ws://a",))


@pytest.mark.skipif(sys.platform != "linux", reason="resource limits of Linux")
def test_it_takes_as_many_descriptors_as_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[tuple[int, int]] = []
    monkeypatch.setattr("resource.getrlimit", lambda _kind: (10, 500))
    monkeypatch.setattr("resource.setrlimit", lambda _kind, limits: taken.append(limits))
    assert command._descriptors(400) == ""
    assert taken == [(500, 500)]
    assert "this process may have 500" in command._descriptors(501)
