"""What holds for all test files: each module has one, names can be read, units are units."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.demand import DEMAND_VARIABLE, DOCKER, PROGRAMS

ROOT: Final = Path(__file__).parents[2]
TESTS: Final = ROOT / "tests"
PACKAGES: Final = ("api", "gateway", "router", "presence", "tieline")

LONGEST_NAME: Final = 60
"""Characters of a test's name after `test_`: a sentence that is read at one glance."""

COVERED_ELSEWHERE: Final = {
    "tieline/cli/call/call_end.py": "tests/unit/cli/call/test_conversation.py, where two ends call",
    "tieline/cli/conformance/command.py": "tests/system/test_conformance.py, which plays it all",
    "tieline/cli/conformance/driver.py": "tests/system/test_conformance.py, which plays it all",
    "tieline/cli/conformance/line.py": "tests/system/test_conformance.py, which plays it all",
    "tieline/cli/conformance/promises.py": "tests/system/test_conformance.py, which plays it all",
    "tieline/cli/conformance/scenarios.py": "tests/system/test_conformance.py, which plays it all",
    "tieline/cli/conformance/stage.py": "tests/system/test_conformance.py, which plays it all",
    "tieline/cli/conformance/talking.py": "tests/system/test_conformance.py, which plays it all",
    "tieline/cli/backend/asking.py": "tests/unit/cli/backend/test_commands.py, which runs them all",
    "tieline/cli/backend/rooms.py": "tests/unit/cli/backend/test_commands.py, which runs them all",
    "tieline/cli/backend/members.py": "tests/unit/cli/backend/test_commands.py, which runs them all",
    "tieline/cli/backend/kick.py": "tests/unit/cli/backend/test_commands.py, which runs them all",
    "tieline/cli/backend/ban.py": "tests/unit/cli/backend/test_commands.py, which runs them all",
    "tieline/cli/backend/close.py": "tests/unit/cli/backend/test_commands.py, which runs them all",
    "tieline/cli/backend/send.py": "tests/unit/cli/backend/test_commands.py, which runs them all",
    "tieline/cli/backend/tail.py": "tests/unit/cli/backend/test_commands.py, which runs them all",
    "tieline/cli/backend/api_key.py": "tests/unit/cli/backend/test_commands.py, which runs them all",
    "tieline/cli/dev/command.py": "tests/system/test_dev.py: it starts every process there is",
    "presence/bucket.py": "tests/contract/test_store.py, with the fake that other tests use in its place",
    "presence/store.py": "a Protocol and its values, of which tests/contract/test_store.py is the contract",
    "tieline/runtime/metrics.py": "declarations, which tests/unit/test_metrics.py reads with all others",
    "tieline/api/bodies.py": "values and nothing else, which the tests of the resources compare",
    "gateway/client/host.py": "a Protocol and nothing else, which the tests of connections implement",
    "gateway/client/actions.py": "values and nothing else, which the tests of sessions and inbound compare",
    "gateway/client/life.py": "an enum and its diagram, which the tests of connections walk through",
    "gateway/client/terms.py": "values and nothing else, which tests/unit/gateway/test_settings.py compares",
}
"""Modules that need no test file of their name, each with the reason."""

NOT_FOR_UNITS: Final = (
    "subprocess",
    "multiprocessing",
    "tests.broker",
    "tests.faults",
    "tests.system",
    "tests.support.nats_",
    "tests.support.process",
    "tests.support.running_",
    "tests.support.system",
)
"""What no test in `tests/unit` imports: it starts no process, and needs none of those that others start."""

BROKERS: Final = frozenset({"nats_url", "pip_nats", "broker_kind"})
"""Fixtures that start a broker."""


def modules() -> Iterator[str]:
    """List what must have tests: every module but those that only name a package or start a process."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if path.stem not in ("__init__", "__main__"):
                yield str(path.relative_to(ROOT))


def has_tests(module: str) -> bool:
    """Whether `test_<name>.py`, or a `test_<name>_<something>.py`, is where the tree is mirrored."""
    path = Path(module.removeprefix("tieline/"))
    patterns = (f"test_{path.stem}.py", f"test_{path.stem}_*.py")
    folders = [TESTS / kind / path.parent for kind in ("unit", "broker")]
    return any(list(folder.glob(pattern)) for folder in folders for pattern in patterns)


def functions(folder: Path) -> Iterator[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Walk through all functions of all files in a folder."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield path.relative_to(ROOT), node


def imported(path: Path) -> Iterator[str]:
    """List the names of the modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("module", [*modules()])
def test_a_module_has_a_test_file_of_its_name(module: str) -> None:
    is_excused = module in COVERED_ELSEWHERE
    assert has_tests(module) or is_excused, "nothing in tests/unit or tests/broker has its name"
    assert not (has_tests(module) and is_excused), "it has tests now: take it off the list above"


def test_only_modules_that_exist_are_excused() -> None:
    assert COVERED_ELSEWHERE.keys() <= {*modules()}


def test_the_names_of_tests_are_no_longer_than_a_glance() -> None:
    names = [(path, node.name) for path, node in functions(TESTS) if node.name.startswith("test_")]
    long = [f"{path}: {name}" for path, name in names if len(name.removeprefix("test_")) > LONGEST_NAME]
    assert not long, "\n".join(long)


@pytest.mark.parametrize("path", sorted((TESTS / "unit").rglob("*.py")), ids=lambda path: path.stem)
def test_a_unit_test_starts_no_process_and_needs_no_system(path: Path) -> None:
    assert not [name for name in imported(path) if name.startswith(NOT_FOR_UNITS)]


def test_no_unit_test_asks_for_a_broker() -> None:
    asking = [
        f"{path}: {node.name}"
        for path, node in functions(TESTS / "unit")
        if BROKERS & {argument.arg for argument in node.args.args}
    ]
    assert not asking


def test_ci_does_without_nothing_that_a_test_may_need() -> None:
    (demanded,) = re.findall(
        rf"^export {DEMAND_VARIABLE}=(.+)$", (ROOT / ".ci/run").read_text(), re.MULTILINE
    )
    assert set(demanded.split(",")) == {DOCKER, *PROGRAMS}
