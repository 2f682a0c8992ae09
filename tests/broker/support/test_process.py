"""The wrapper of processes that the tests themselves rely on."""

import signal
import sys
from pathlib import Path

import pytest

from tests.support.nats_server import NatsServer
from tests.support.process import Process, is_alive

WAITS = "print('up', flush=True); import time; time.sleep(600)"
IS_STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + WAITS


def python(program: str, log: Path) -> Process:
    return Process([sys.executable, "-c", program], log)


def test_it_is_ready_when_it_says_so_and_ends_when_asked(tmp_path: Path) -> None:
    process = python(WAITS, tmp_path / "log")
    process.until_ready(lambda: "up" in process.output)
    assert process.status is None
    assert process.end() == -signal.SIGTERM
    assert not is_alive(process.pid)


def test_one_that_ends_before_it_is_ready_shows_its_output(tmp_path: Path) -> None:
    process = python("raise SystemExit('no such thing')", tmp_path / "log")
    with pytest.raises(AssertionError, match=r"ended with 1 before it was ready(.|\n)*no such thing"):
        process.until_ready(lambda: False)


def test_one_that_is_never_ready_is_gone(tmp_path: Path) -> None:
    process = python(WAITS, tmp_path / "log")
    with pytest.raises(AssertionError, match="not ready within 0 s"):
        process.until_ready(lambda: False, timeout_s=0)
    assert process.status == -signal.SIGKILL
    assert not is_alive(process.pid)


def test_one_that_does_not_end_when_asked_is_gone(tmp_path: Path) -> None:
    process = python(IS_STUBBORN, tmp_path / "log")
    process.until_ready(lambda: "up" in process.output)
    process.terminate()
    with pytest.raises(AssertionError, match=r"did not end within(.|\n)*up"):
        process.wait(timeout_s=0.1)
    assert not is_alive(process.pid)


def test_it_stands_still_while_it_is_frozen(tmp_path: Path) -> None:
    def state() -> str:
        return Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2][0]

    process = python(WAITS, tmp_path / "log")
    process.until_ready(lambda: "up" in process.output)
    with process.frozen():
        process.until_ready(lambda: state() == "T")
    process.until_ready(lambda: state() in "RS")
    process.kill()


def test_its_output_begins_with_its_own_start(tmp_path: Path) -> None:
    for word in ("one", "two"):
        process = python(f"print({word!r})", tmp_path / "log")
        assert process.wait() == 0
        assert process.output == f"{word}\n"


def test_standard_output_goes_elsewhere_if_asked(tmp_path: Path) -> None:
    program = "import sys; print('told'); print('logged', file=sys.stderr)"
    process = Process([sys.executable, "-c", program], tmp_path / "log", stdout=tmp_path / "stdout")
    assert process.wait() == 0
    assert (process.output, (tmp_path / "stdout").read_text()) == ("logged\n", "told\n")


def test_a_nats_server_started_again_has_its_old_port(tmp_path: Path) -> None:
    with NatsServer.alone(tmp_path / "jetstream") as server:
        url, first = server.url, server.process.pid
        server.kill()
        server.start()
        assert server.url == url
        assert server.process.pid != first
        assert server.log.count("Server is ready") == 2
