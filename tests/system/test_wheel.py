"""What an installation has: not only the packages, but also the files that a gateway serves."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from gateway.demo import FILES

ROOT = Path(__file__).parents[2]


def test_a_wheel_brings_the_demo_along(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("gateway", "router", "presence", "tieline", "web"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    build = "from setuptools.build_meta import build_wheel; print(build_wheel('.'))"
    built = subprocess.run(
        [sys.executable, "-c", build], cwd=source, check=True, capture_output=True, text=True
    )
    (wheel,) = source.glob("*.whl")
    assert wheel.name in built.stdout
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
