"""The system that deploy/README.md starts by hand, one process of each."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.frames import new_id, token
from tests.support.http_get import HOST
from tests.support.pages import program_of
from tests.support.raw_client import RawClient, upgrade
from tests.support.system import SECRET
from tests.support.waiting import until_true
from tieline.cli.dev.ports import hold_ports


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """Start it on other ports; gives the one of its gateway."""
    with hold_ports(2, HOST) as (broker, clients):
        script = program_of("sh", "../deploy/README.md", "tieline.sh")
        script = script.replace("4222", str(broker)).replace("8080", str(clients))
        programs = Path(sys.executable).parent
        environ = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "TIELINE_JWT_SECRET": SECRET}
        environ["PYTHONPATH"] = str(Path(__file__).parents[2])
        with (tmp_path / "log").open("wb") as log:
            running = subprocess.Popen(
                ["sh", "-c", script], cwd=tmp_path, env=environ, stderr=log, start_new_session=True
            )
        try:
            yield clients
        finally:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()


async def test_the_script_of_the_page_lets_clients_in(port: int) -> None:
    async def is_let_in() -> bool:
        try:
            client = await RawClient.dial(port)
        except OSError:
            return False
        client.write(upgrade("/ws", [("Authorization", f"Bearer {token(new_id('alice'))}")]))
        status = (await client.read_answer()).status
        await client.drop()
        return status == 101

    await until_true(is_let_in)
