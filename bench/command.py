"""What the commands of all benchmarks do: have enough files, end in order, say a problem in one line."""

import asyncio
import resource
import sys
from collections.abc import Callable, Coroutine
from typing import Final

import uvloop

from bench.systems import StartError
from tieline.cli.exits import EXIT_FAILED, until_told_to_end
from tieline.load.client import LoadError
from tieline.load.connection import UpgradeRefused

PROBLEMS: Final = (StartError, LoadError, UpgradeRefused, OSError)
"""What ends any benchmark without figures; a TimeoutError is an OSError."""


def end_with(
    name: str,
    measure: Callable[[], Coroutine[None, None, int]],
    more_problems: tuple[type[Exception], ...] = (),
) -> int:
    """Run a benchmark; returns its exit status. SIGTERM and Ctrl-C end what it has started first.

    `more_problems` are further exceptions that are said in one line.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    problems: tuple[type[Exception], ...] = (*PROBLEMS, *more_problems)

    def run() -> int:
        try:
            return uvloop.run(measure())
        except problems as problem:
            sys.stderr.write(f"{name}: {str(problem) or type(problem).__name__}\n")
            return EXIT_FAILED
        except asyncio.CancelledError:  # a library has taken the interruption for its own
            raise KeyboardInterrupt from None

    return until_told_to_end(run)
