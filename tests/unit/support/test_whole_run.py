"""Which runs of pytest are of all tests of a folder."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from tests.support.whole_run import is_whole, names_all_of, note_left_out

HERE = Path(__file__).parent
FILES = (*HERE.glob("test_*.py"), Path("/test_other.py"))


class Run:
    """As much of a session as is looked at: at first, one of all tests of this folder that have passed."""

    def __init__(self) -> None:
        self.config = SimpleNamespace(
            stash=pytest.Stash(), args=[str(HERE)], invocation_params=SimpleNamespace(dir=HERE)
        )
        self.items = [SimpleNamespace(path=path, config=self.config) for path in FILES]
        self.testsfailed = 0
        self.shouldstop: bool | str = False
        self.exitstatus = pytest.ExitCode.OK

    @property
    def is_whole(self) -> bool:
        return is_whole(cast("pytest.Session", self), HERE)


def test_all_tests_that_have_passed_are_a_whole_run() -> None:
    assert Run().is_whole


def test_a_run_in_which_a_test_failed_is_none() -> None:
    run = Run()
    run.testsfailed = 1
    assert not run.is_whole


def test_a_run_that_was_interrupted_is_none() -> None:
    run = Run()
    run.exitstatus = pytest.ExitCode.INTERRUPTED
    assert not run.is_whole
    run = Run()
    run.shouldstop = "stopping"
    assert not run.is_whole


def test_a_run_without_one_of_the_files_is_none() -> None:
    run = Run()
    del run.items[0]
    assert not run.is_whole


def test_a_run_of_which_tests_were_left_out_is_none() -> None:
    run = Run()
    note_left_out(cast("list[pytest.Item]", run.items[:1]))
    assert not run.is_whole


def test_a_run_of_which_no_tests_were_left_out_is_one() -> None:
    run = Run()
    note_left_out([])
    assert run.is_whole


@pytest.mark.parametrize(
    ("arguments", "is_all"),
    [
        (["tests/unit"], True),
        (["tests/unit/"], True),
        (["tests"], True),
        (["."], True),
        (["tests/broker", "tests/unit"], True),
        (["/somewhere/tests/unit"], True),
        ([], False),
        (["tests/broker"], False),
        (["tests/unit/test_a.py", "tests/unit/test_b.py"], False),
        (["tests/unit/test_a.py::test_one"], False),
        (["tests/unit-2"], False),
    ],
)
def test_the_folder_or_one_around_it_is_asked_for(arguments: list[str], is_all: bool) -> None:
    assert names_all_of(Path("/somewhere/tests/unit"), arguments, Path("/somewhere")) is is_all
