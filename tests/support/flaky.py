"""`python -m tests.support.flaky`: the tests of what has changed, twenty times beside load.

Changed are the files that differ from a base commit, with those that git does not know yet. A changed test
file is run itself; for a changed module, every test file of its name is. The tests that a changed file of
`tests/support` touches are not looked for: name them on the command line. It stops at the first failure, and
says how to repeat that.

A test that fails once in twenty runs is not run again until it passes, but understood.
"""

import multiprocessing
import os
import random
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final

from tieline.cli.exits import until_told_to_end
from tieline.cli.options import option_parser, whole

ROOT: Final = Path(__file__).parents[2]
RUNS: Final = 20

END_TIMEOUT_S: Final = 5.0
"""For a busy loop to be gone after it was terminated; it ends as soon as a processor gets to it."""

_NOT_TESTED: Final = ("__init__", "__main__", "conftest")
"""Names that many folders have, which say nothing of what is tested."""


def changed_files(base: str) -> list[str]:
    """Ask git which files differ from `base`, and are still there, and which it does not know yet."""
    differing = ["git", "diff", "--name-only", "--diff-filter=d", base, "--"]
    unknown = ["git", "ls-files", "--others", "--exclude-standard"]
    listed = [
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
        for command in (differing, unknown)
    ]
    return sorted({name for names in listed for name in names})


def choose(changed: Iterable[str], tests: Sequence[str]) -> list[str]:
    """Choose from all test files those that are changed, and those of the name of a changed module."""
    chosen = set()
    for name in map(PurePosixPath, changed):
        if name.suffix != ".py":
            continue
        if name.name.startswith("test_"):
            chosen.add(str(name))
        elif name.stem not in _NOT_TESTED:
            chosen |= {test for test in tests if PurePosixPath(test).stem in _names_of_tests(name)}
    return [test for test in tests if test in chosen]


def _names_of_tests(module: PurePosixPath) -> set[str]:
    """`test_rooms` and `test_presence_rooms` are both tests of `presence/rooms.py`."""
    return {f"test_{module.stem}", f"test_{module.parent.name}_{module.stem}"}


def all_test_files() -> list[str]:
    """List all test files, as git names them."""
    return sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("test_*.py"))


@contextmanager
def load(processors: int) -> Iterator[None]:
    """Keep so many processors busy while the block runs."""
    context = multiprocessing.get_context("spawn")
    busy = [context.Process(target=_spin, args=(os.getpid(),), daemon=True) for _ in range(processors)]
    for each in busy:
        each.start()
    try:
        yield
    finally:
        for each in busy:
            each.terminate()
        for each in busy:
            each.join(END_TIMEOUT_S)
            if each.is_alive():
                each.kill()
                each.join()


def _spin(parent: int) -> None:
    """Be busy, for as long as the process that asked for it is there."""
    while os.getppid() == parent:
        sum(range(100_000))


def main(words: Sequence[str]) -> int:
    """Run the tests; returns the exit status."""
    parser = option_parser("python -m tests.support.flaky", __doc__)
    parser.add_argument("tests", nargs="*", metavar="TEST", help="run these, not what has changed")
    parser.add_argument("--base", default="HEAD", help="what has changed since this commit (%(default)s)")
    parser.add_argument("--runs", type=whole(), default=RUNS, metavar="N", help="how often (%(default)s)")
    parser.add_argument("--seed", type=whole(0), metavar="N", help="of Hypothesis, in the first run")
    options = parser.parse_args(words)
    chosen = options.tests or choose(changed_files(options.base), all_test_files())
    if not chosen:
        print(f"no test file is changed since {options.base}, nor a module that has one")
        return 0
    seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    processors = os.cpu_count() or 1
    print(f"{options.runs} runs beside {processors} busy processors of\n  " + "\n  ".join(chosen), flush=True)
    with load(processors):
        for run in range(options.runs):
            arguments = ["-x", "-q", "-p", "no:cacheprovider", f"--hypothesis-seed={seed + run}", *chosen]
            done = subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=ROOT, check=False)
            if done.returncode:
                again = ["--runs", "1", "--seed", str(seed + run), *chosen]
                print(f"run {run + 1} of {options.runs} failed; once more, beside the same load:")
                print(f"  {shlex.join(['python', '-m', 'tests.support.flaky', *again])}", flush=True)
                return done.returncode
    print(f"all {options.runs} runs passed")
    return 0


if __name__ == "__main__":
    sys.exit(until_told_to_end(lambda: main(sys.argv[1:])))
