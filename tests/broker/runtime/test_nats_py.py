"""What a service does not import: it starts sooner, and needs less memory."""

import subprocess
import sys

import pytest

LOADED = "import sys, {0}; print('aiohttp' in sys.modules, 'nats.aio.client' in sys.modules)"

SERVICES = [f"{service}.__main__" for service in ("api", "gateway", "presence", "router")]
COMMANDS = [f"tieline.cli.{command}" for command in ("dev.command", "streams", "webhooks")]


@pytest.mark.parametrize("module", SERVICES + COMMANDS)
def test_a_process_has_no_aiohttp_from_nats_py(module: str) -> None:
    assert said(LOADED.format(module)) == "False True"


def test_who_posts_with_aiohttp_has_it() -> None:
    assert said("import webhooks.__main__, webhooks.sender as s; print(s.aiohttp.ClientSession)")


def test_who_has_aiohttp_already_keeps_it() -> None:
    assert (
        said("import aiohttp, tieline.runtime.nats_py, sys; print(sys.modules['aiohttp'] is aiohttp)")
        == "True"
    )


def said(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.strip()
