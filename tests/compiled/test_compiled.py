"""What `TIELINE_COMPILE` has compiled, and the unit tests of that on it, a second time.

The sources are the same, and mypyc's meaning of them nearly is: a module that it gets wrong is found by its
own tests, run here in a copy of this tree.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

import pytest

from bench.systems import tieline
from tieline.load.calls import measure_calls
from tieline.load.measurement import Measurement

pytestmark = [pytest.mark.needs("compiler"), pytest.mark.timeout(600)]

ROOT: Final = Path(__file__).parents[2]

COMPILED: Final[list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["tieline"][
    "compiled"
]

COPIED: Final = (
    "api",
    "gateway",
    "router",
    "presence",
    "tieline",
    "web",
    "webhooks",
    "tests",
    "bench",
    "deploy",
    "examples",
    "docs",
    "model",
)

PASSED_BY: Final = f"""
import importlib
interpreted = [
    name for name in {COMPILED!r} if not importlib.import_module(name).__file__.endswith((".so", ".pyd"))
]
print(*interpreted)
"""


def run(tree: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the tree, and have what is there found before what is installed."""
    return subprocess.run(
        [sys.executable, *words],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), **environ},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this tree, compiled beside its sources."""
    tree = tmp_path_factory.mktemp("compiled")
    ignored = shutil.ignore_patterns("__pycache__", "node_modules", "wheels", "*.so")
    for name in COPIED:
        shutil.copytree(ROOT / name, tree / name, ignore=ignored)
    for name in ("pyproject.toml", "setup.py", "README.md"):
        shutil.copy(ROOT / name, tree)
    asked = {"TIELINE_COMPILE": "1", "TIELINE_COMPILE_LEVEL": "0"}
    built = run(tree, "setup.py", "--quiet", "build_ext", "--inplace", **asked)
    assert built.returncode == 0, built.stdout + built.stderr
    return tree


def unit_tests(name: str) -> list[Path]:
    """Find the files of a module's unit tests: each has its name, or begins with it."""
    *folders, module = name.removeprefix("tieline.").split(".")
    folder = Path("tests/unit", *folders)
    return [
        path.relative_to(ROOT)
        for path in sorted((ROOT / folder).glob(f"test_{module}*.py"))
        if path.stem == f"test_{module}" or path.stem.startswith(f"test_{module}_")
    ]


def test_everything_that_is_listed_is_compiled(tree: Path) -> None:
    assert sorted(COMPILED) == COMPILED
    asked = run(tree, "-c", PASSED_BY)
    assert (asked.stdout.strip(), asked.stderr) == ("", "")


def test_unit_tests_pass_with_what_is_compiled(tree: Path) -> None:
    files = sorted({str(path) for name in COMPILED for path in unit_tests(name)})
    assert len(files) > len(COMPILED) // 2
    tests = run(tree, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--hypothesis-profile=quick", *files)
    assert tests.returncode == 0, tests.stdout[-8000:] + tests.stderr[-2000:]
    assert " passed" in tests.stdout


async def test_a_compiled_system_sets_up_calls_without_an_error(tree: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    measured = Measurement()
    async with tieline(tree=tree, log=log) as system:
        await measure_calls(system.target, 2, 0.5, measured)
    assert measured.figures().count > 0
    assert not measured.faults
    assert [line for line in log.read_text().splitlines() if '"level":"error"' in line] == []
