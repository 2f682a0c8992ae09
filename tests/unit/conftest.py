"""A unit test starts no process: one that does fails, and belongs into `tests/broker`."""

import importlib
import sys
from collections.abc import Iterator

import pytest

STARTS: frozenset[str] = frozenset({"subprocess.Popen", "os.fork", "os.posix_spawn", "os.system"})
"""What Python says to its audit hooks when a process is about to be started."""

# Imported for the first time on a machine, it starts a process that lists fonts, and remembers them.
importlib.import_module("matplotlib.font_manager")

_is_unit_test = False


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
