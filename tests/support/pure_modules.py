"""The pure modules, of which every branch is tested, and which test files are near them."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]


REPEATING: Final = frozenset(
    ROOT / "tests/unit" / name
    for name in (
        "gateway/rooms/test_views_machine.py",
        "presence/rules/test_signals_machine.py",
        "presence/test_copies.py",
        "presence/test_crashes.py",
        "presence/test_kept_offers_crossing.py",
        "presence/test_overtaken.py",
        "presence/test_sessions_machine.py",
        "test_docs.py",
        "test_test_files.py",
        "wire/test_envelope_differential.py",
    )
)
"""Test files near pure modules that do the same thousands of times: others reach each branch."""


@cache
def pure_modules() -> list[str]:
    """Name the modules and packages whose branches are counted."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    names: list[str] = project["tool"]["coverage"]["run"]["source_pkgs"]
    return names


@cache
def _places() -> list[Path]:
    """Where their unit tests are: the folder of a package, or its name in that of its own package."""
    return [ROOT.joinpath("tests/unit", *name.removeprefix("tieline.").split(".")) for name in pure_modules()]


def is_near_a_pure_module(path: Path) -> bool:
    """Whether a test file is one of a package that is pure, or has a pure module or package in it."""
    return any(path.is_relative_to(place) or path.parent == place.parent for place in _places())


@cache
def counts(path: Path) -> bool:
    """Whether the branches that the tests of a file reach are counted."""
    return is_near_a_pure_module(path) and path not in REPEATING
