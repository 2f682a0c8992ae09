"""Whether `web/tieline.d.ts` lets right programs pass, and catches the typos of wrong ones."""

import subprocess
from pathlib import Path

import pytest

from tests.support.demand import program

pytestmark = pytest.mark.needs("tsc")

PROGRAMS = Path(__file__).with_name("types") / "programs.ts"


def test_right_programs_pass_and_typos_do_not() -> None:
    tsc = program("tsc")
    assert tsc is not None
    options = ("--strict", "--noEmit", "--target", "es2022", "--moduleResolution", "node")
    checked = subprocess.run([tsc, *options, PROGRAMS], capture_output=True, text=True, check=False)
    assert checked.stdout == ""
    assert checked.returncode == 0
