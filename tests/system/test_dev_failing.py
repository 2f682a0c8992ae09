"""When `tieline dev` cannot start, or cannot go on."""

import json
import os
import signal
import socket
from pathlib import Path

import pytest

from tests.support.running_dev import READY, RunningDev


def test_a_taken_port_is_named_before_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with RunningDev(tmp_path, ["--gateways", "1", "--port", str(port)]) as dev:
            assert dev.process.wait() == 2
            assert f"port {port} on 127.0.0.1" in dev.log
            assert dev.log.count("\n") == 1
            assert not dev.ready_file.exists()


def test_a_missing_nats_server_is_named_before_the_start(tmp_path: Path) -> None:
    environ = {"TIELINE_NATS_SERVER": str(tmp_path / "nothing")}
    with RunningDev(tmp_path, ["--port", "0"], environ) as dev:
        assert dev.process.wait() == 2
        assert str(tmp_path / "nothing") in dev.log
        assert dev.log.count("\n") == 1


def test_a_nats_server_that_dies_again_and_again_ends_it(tmp_path: Path) -> None:
    program = tmp_path / "dying"
    program.write_text("#!/bin/sh\necho no room left\nexit 7\n")
    program.chmod(0o755)
    with RunningDev(tmp_path, ["--port", "0"], {"TIELINE_NATS_SERVER": str(program)}) as dev:
        assert dev.process.wait() == 1
        assert (
            "the nats-server ended 5 times before it was ready, the last time with exit status 7" in dev.log
        )
        assert dev.errors.endswith("  | no room left\n")
        assert not dev.ready_file.exists()
        assert list(dev.temporary.iterdir()) == []


def test_settings_that_a_process_refuses_end_it_at_once(tmp_path: Path) -> None:
    with RunningDev(tmp_path, ["--port", "0"], {"TIELINE_LOG_LEVEL": "shouting"}) as dev:
        assert dev.process.wait() == 1
        assert "cannot run with these settings" in dev.errors
        assert "TIELINE_LOG_LEVEL" in dev.errors


def test_an_unwritable_ready_file_is_named_before_the_start(tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "ready.json"
    with RunningDev(tmp_path, ["--port", "0", "--ready-file", str(missing)]) as dev:
        assert dev.process.wait() == 2
        assert str(missing) in dev.log
        assert dev.log.count("\n") == 1


def test_a_ready_file_that_cannot_be_written_any_more_ends_it(tmp_path: Path) -> None:
    ready = tmp_path / "folder" / "ready.json"
    ready.parent.mkdir()
    with RunningDev(tmp_path, ["--port", "0", "--ready-file", str(ready)]) as dev:
        dev.until_said(READY)
        router = json.loads(ready.read_bytes())["pids"]["router"][0]
        ready.unlink()
        ready.parent.rmdir()

        os.kill(router, signal.SIGKILL)

        assert dev.process.wait() == 1
        assert dev.errors.endswith(
            f"tieline: --ready-file {ready} cannot be written any more: No such file or directory\n"
        )


@pytest.mark.parametrize("arguments", ["--port -1", "--port 65535", "--port many", "--gateways 0"])
def test_arguments_that_make_no_sense_are_refused(tmp_path: Path, arguments: str) -> None:
    with RunningDev(tmp_path, arguments.split()) as dev:
        assert dev.process.wait() == 2
        assert arguments.split()[0] in dev.log
