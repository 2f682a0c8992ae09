"""An installed wheel: what it has beside the packages, and what an application finds of its types."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from gateway.demo import FILES

ROOT = Path(__file__).parents[2]

BOT = """\
import asyncio
import sys

from tieline.client import Client, Offer, connect


async def decline(client: Client, offer: Offer) -> None:
    await client.hangup(offer.sender, "busy")


async def main(url: str, token: str) -> None:
    async with connect(url, token) as client:
        await client.join("demo")
        async for event in client.events():
            if isinstance(event, Offer):
                await decline(client, event)


asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of what is here, built without what earlier builds have left."""
    source = tmp_path_factory.mktemp("source")
    for name in ("gateway", "router", "presence", "tieline", "web"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    build = "from setuptools.build_meta import build_wheel; build_wheel('.')"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (built,) = source.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has the wheel, and what the wheel needs."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "environment")
    python = folder / "environment/bin/python"
    asked = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = Path(subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip())
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(packages)
    # Found after the wheel: of this environment's tieline there is only a link, which mypy does not follow.
    (packages / "needed.pth").write_text(sysconfig.get_path("purelib"))
    return python


def check(python: Path, bot: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--python-executable", python, bot.name],
        cwd=bot.parent,
        env={name: value for name, value in os.environ.items() if name != "MYPYPATH"},
        capture_output=True,
        text=True,
    )


def test_a_bot_finds_the_types_of_the_client(python: Path, tmp_path: Path) -> None:
    bot = tmp_path / "bot.py"
    bot.write_text(BOT)
    good = check(python, bot)
    assert good.returncode == 0, good.stdout + good.stderr
    bot.write_text(BOT.replace('"busy"', "486"))
    bad = check(python, bot)
    assert bad.returncode == 1
    assert 'error: Argument 2 to "hangup" of "Client" has incompatible type "int"' in bad.stdout


def test_a_wheel_brings_the_demo_along(wheel: Path, tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(installed)
    assert all((installed / "web" / file).is_file() for file, _ in FILES.values())
    read = "from gateway import demo; demo.Pages('secret'); print(demo.WEB)"
    found = subprocess.run(
        [sys.executable, "-c", read],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert found.stdout.strip() == str(installed / "web")
