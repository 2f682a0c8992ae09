"""A unit test starts no process: one that does fails, and belongs into `tests/broker`.

Branches of the pure modules are counted in the tests near them, but not in those that repeat themselves
thousands of times (`no_cover`): counting takes as long as the tests do.
"""

import gc
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.pure_modules import counts

STARTS: frozenset[str] = frozenset({"subprocess.Popen", "os.fork", "os.posix_spawn", "os.system"})
"""What Python says to its audit hooks when a process is about to be started."""

# Imported for the first time on a machine, it starts a process that lists fonts, and remembers them.
importlib.import_module("matplotlib.font_manager")

_is_unit_test = False

_HERE: Final = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have branches counted where that finds something."""
    for item in items:
        if item.path.is_relative_to(_HERE) and not counts(item.path):
            item.add_marker("no_cover")


def pytest_collection_finish() -> None:
    """Spare the collector of cycles what stays until the end: the tests themselves, thousands of them."""
    gc.collect()
    gc.freeze()


def _refuse(event: str, _arguments: tuple[object, ...]) -> None:
    if _is_unit_test and event in STARTS:
        raise AssertionError("a unit test starts no process: move it to tests/broker")


sys.addaudithook(_refuse)  # it cannot be taken away again


@pytest.fixture(autouse=True)
def _no_process() -> Iterator[None]:
    global _is_unit_test
    _is_unit_test = True
    yield
    _is_unit_test = False
