"""`python -m tests.support.flaky` as a command: it repeats, and says how to repeat what failed."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.flaky import ROOT

COMMAND = [sys.executable, "-m", "tests.support.flaky"]

FAILS_THE_SECOND_TIME = """
from pathlib import Path

def test_it():
    place = Path(__file__).with_name("has run")
    assert not place.exists()
    place.touch()
"""


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *words], cwd=ROOT, capture_output=True, text=True, check=False)


def test_it_stops_at_the_first_failure_and_says_how_to_repeat_it(tmp_path: Path) -> None:
    test = tmp_path / "test_now_and_then.py"
    test.write_text(FAILS_THE_SECOND_TIME)
    done = run("--runs", "9", "--seed", "70", str(test))
    assert done.returncode == 1
    assert done.stdout.startswith(f"9 runs beside {os.cpu_count()} busy processors of\n  {test}\n")
    repeat = f"python -m tests.support.flaky --runs 1 --seed 71 {test}"
    assert done.stdout.endswith(f"run 2 of 9 failed; once more, beside the same load:\n  {repeat}\n")


def test_it_says_when_all_runs_have_passed(tmp_path: Path) -> None:
    test = tmp_path / "test_always.py"
    test.write_text("def test_it(): pass\n")
    done = run("--runs", "1", str(test))
    assert done.returncode == 0
    assert done.stdout.endswith("all 1 runs passed\n")
