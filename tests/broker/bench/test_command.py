"""What benchmarks start ends with them, however they are ended."""

import signal
import sys
from pathlib import Path

import pytest

from tests.support.process import Process, is_alive
from tests.support.waiting import until_now

BENCHMARK = """
import asyncio, sys
from bench.command import end_with
from bench.systems import echo

async def main():
    async with echo() as system:
        print(*system.pids()["server"], flush=True)
        await asyncio.sleep(600)
    return 0

sys.exit(end_with("bench.test", main))
"""


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_what_it_has_started_ends_with_it(tmp_path: Path, number: signal.Signals, status: int) -> None:
    said = tmp_path / "stdout"
    command = Process([sys.executable, "-c", BENCHMARK], tmp_path / "log", stdout=said)
    command.until_ready(lambda: said.read_bytes().endswith(b"\n"))
    server = int(said.read_text())
    assert is_alive(server)
    command.send_signal(number)
    assert command.wait() == status
    until_now(lambda: not is_alive(server))
    assert command.output == ""


def test_a_problem_is_one_line(tmp_path: Path) -> None:
    failing = BENCHMARK.replace("asyncio.sleep(600)", "asyncio.open_connection('127.0.0.1', 1)")
    command = Process([sys.executable, "-c", failing], tmp_path / "log", stdout=tmp_path / "stdout")
    assert command.wait() == 1
    assert command.output.startswith("bench.test: [Errno 111] ")
    assert command.output.count("\n") == 1
