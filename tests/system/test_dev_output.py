"""What `tieline dev` says, on the screen and in its log file."""

import os
import signal
from pathlib import Path

import pytest

from tests.support.running_dev import READY, READY_AGAIN, RunningDev
from tests.support.system import SECRET
from tieline.cli.dev.log_file import SHOWN_LINES


def test_it_runs_on_when_its_output_has_no_reader(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    environ = {"TIELINE_JWT_SECRET": SECRET}
    with open(reading) as words, RunningDev(tmp_path, ["--port", "0"], environ, writing) as dev:
        os.close(writing)
        assert any(READY in line for line in words)
        words.close()
        assert dev.process.end() == 0
        assert "BrokenPipe" not in dev.log


def test_each_step_of_the_start_is_one_line(tmp_path: Path) -> None:
    with RunningDev(tmp_path, ["--port", "0", "--gateways", "1"]) as dev:
        started, *steps = dev.until_said(READY)[:6]
        assert started == f"Starting 5 processes; all their logs go to {dev.log_file}"
        steps = [step.split(" s  ")[1] for step in steps]
        assert steps[:3] == [f"{name} is ready" for name in ("the nats-server", "presence 1", "router 1")]
        assert sorted(steps[3:]) == [
            "api 1 is ready",
            "gateway 1 is ready",
        ]  # one does not wait for the other


def test_logs_of_every_process_go_to_the_file_alone(dev: RunningDev) -> None:
    logs = dev.log_file.read_text()
    for service in ("gateway", "router", "presence"):
        assert f'"service":"{service}"' in logs
    assert "Starting nats-server" in logs
    assert dev.errors == ""


def test_the_greeting_ends_with_urls_logs_and_the_way_out(tmp_path: Path) -> None:
    with RunningDev(tmp_path, ["--port", "0"]) as dev:
        *_, gateway, _, demo, other, logs, end = dev.until_said(READY)
        urls = dev.document["gateways"]
        assert gateway.split()[:2] == ["gateway", urls[0]]
        assert [demo.split()[0], other.split()[0]] == ["demo", "demo"]
        assert logs.split() == ["logs", str(dev.log_file)]
        assert end == READY


def test_verbose_shows_the_logs_on_standard_error_too(tmp_path: Path) -> None:
    with RunningDev(tmp_path, ["--port", "0", "--verbose"]) as dev:
        dev.until_said(READY)
        dev.process.terminate()
        assert dev.process.wait() == 0
        assert dev.errors == dev.log_file.read_text() != ""


@pytest.mark.parametrize(
    ("number", "how"), [(signal.SIGKILL, "killed by SIGKILL"), (signal.SIGTERM, "exit status 0")]
)
def test_a_killed_process_is_told_with_the_name_of_the_log(
    dev: RunningDev, number: signal.Signals, how: str
) -> None:
    pid = dev.document["pids"]["nats"][0]
    os.kill(pid, number)
    dev.until_said(READY_AGAIN)
    assert dev.errors == (
        f"tieline: the nats-server (pid {pid}) ended: {how}; starting it again;"
        f" its log is in {dev.log_file}\n"
    )


def test_a_process_that_crashes_is_told_with_the_end_of_its_log(dev: RunningDev) -> None:
    pid = dev.document["pids"]["router"][0]
    os.kill(pid, signal.SIGABRT)
    dev.until_said(READY_AGAIN)
    told, *last_lines = dev.errors.splitlines()
    assert told == f"tieline: router 1 (pid {pid}) ended: killed by SIGABRT; starting it again"
    assert 0 < len(last_lines) <= SHOWN_LINES
    assert all(line.startswith("  | ") and '"service":"router"' in line for line in last_lines)
    assert last_lines[-1].removeprefix("  | ") in dev.log_file.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_quietly_and_names_the_logs_once_more(dev: RunningDev, number: signal.Signals) -> None:
    dev.process.send_signal(number)
    assert dev.until_said(str(dev.log_file)) == [
        "Ending everything, and waiting for the clients to leave; once more kills it.",
        f"Everything has ended; the logs are in {dev.log_file}",
    ]
    assert dev.process.wait() == 0
    assert dev.errors == ""


def test_a_log_file_in_use_is_named_before_the_start(dev: RunningDev, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with RunningDev(tmp_path / "other", ["--port", "0", "--log-file", str(dev.log_file)]) as other:
        assert other.process.wait() == 2
        assert other.errors.count("\n") == 1
        assert f"{dev.log_file}: another `tieline dev` writes to it" in other.errors
    assert "Starting nats-server" in dev.log_file.read_text()


def test_an_unwritable_log_file_is_named_before_the_start(tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "dev.log"
    with RunningDev(tmp_path, ["--port", "0", "--log-file", str(missing)]) as dev:
        assert dev.process.wait() == 2
        assert str(missing) in dev.errors
        assert dev.errors.count("\n") == 1
