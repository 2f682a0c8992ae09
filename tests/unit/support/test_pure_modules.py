"""Which test files are those of pure modules."""

import pytest

from tests.support.pure_modules import REPEATING, ROOT, counts, is_near_a_pure_module, pure_modules

UNIT = ROOT / "tests/unit"


@pytest.mark.parametrize(
    "name",
    [
        "runtime/test_lag.py",  # beside a module
        "presence/test_records.py",  # beside a package
        "wire/internal/test_codec.py",  # in a package
    ],
)
def test_files_in_and_beside_what_is_pure_are_near_it(name: str) -> None:
    assert is_near_a_pure_module(UNIT / name)


@pytest.mark.parametrize("name", ["bench/test_curves.py", "deploy/test_sbom.py", "examples/test_chat.py"])
def test_any_other_file_is_not(name: str) -> None:
    assert not is_near_a_pure_module(UNIT / name)


def test_those_that_coverage_counts_are_known() -> None:
    assert {"presence.rules", "tieline.wire"} <= set(pure_modules())


def test_those_that_repeat_themselves_are_there_and_do_not_count() -> None:
    assert all(path.is_file() and is_near_a_pure_module(path) for path in REPEATING)
    assert not any(counts(path) for path in REPEATING)
