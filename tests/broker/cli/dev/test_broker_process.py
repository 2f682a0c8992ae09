"""Where the nats-server is looked for."""

import sys
from pathlib import Path

import pytest

from tieline.cli.dev.broker_process import PROGRAM, PROGRAM_VARIABLE, NoNatsServer, find_nats_server


def test_the_installed_server_is_found_without_any_path() -> None:
    assert find_nats_server({"PATH": ""}) == Path(sys.executable).parent / PROGRAM


def test_a_named_server_wins(tmp_path: Path) -> None:
    program = tmp_path / "another"
    program.touch(mode=0o755)
    assert find_nats_server({PROGRAM_VARIABLE: str(program)}) == program


def test_a_named_server_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoNatsServer, match=PROGRAM_VARIABLE):
        find_nats_server({PROGRAM_VARIABLE: str(tmp_path / "nothing")})
