"""`python -m bench`: start the systems, measure them round by round, print the tables, end everything."""

import argparse
import asyncio
import os
import resource
import shlex
import signal
import sys
from contextlib import AsyncExitStack, ExitStack
from typing import Final

import uvloop

from bench import machine
from bench.rounds import FaultyRun, Plan, measure
from bench.systems import STARTERS, StartError, System
from bench.table import render
from tieline.load.client import LoadError
from tieline.load.connection import UpgradeRefused

EXIT_FAILED: Final = 1
EXIT_INTERRUPTED: Final = 130  # as shells count it: 128 + SIGINT

COMPARED: Final = ("Tieline", "hand-rolled relay")
"""The ratio that decides whether Tieline has reached its aim."""


def parse(words: list[str]) -> argparse.Namespace:
    """Read the options; `--quick` only changes what the other options are if not given."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure Tieline beside a hand-rolled relay and a bare echo."
    )
    parser.add_argument("--quick", action="store_true", help="one short round, for a first look")
    parser.add_argument("--rounds", type=int, help="so many rounds (3; quick: 1)")
    parser.add_argument("--seconds", type=float, help="each measurement lasts so long (3; quick: 1)")
    parser.add_argument("--pairs", type=int, nargs="+", default=[1, 50, 200], help="(1 50 200)")
    parser.add_argument("--calls", type=int, default=8, help="so many call set-ups at once (%(default)s)")
    parser.add_argument("--idle", type=int, help="so many idle sessions, 0: none (2000; quick: 500)")
    parser.add_argument(
        "--systems", nargs="+", choices=list(STARTERS), default=list(STARTERS), help="measure only these"
    )
    options = parser.parse_args(words)
    usual: dict[str, float] = {"rounds": 3, "seconds": 3.0, "idle": 2000}
    quick: dict[str, float] = {"rounds": 1, "seconds": 1.0, "idle": 500}
    for name, value in (quick if options.quick else usual).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    if options.rounds < 1 or options.seconds <= 0 or min(options.pairs) < 1 or options.calls < 1:
        parser.error("there is nothing to measure")
    return options


async def main(options: argparse.Namespace, command: str) -> None:
    """Measure, and print the tables.

    Raises:
        StartError, FaultyRun, LoadError, UpgradeRefused, OSError, TimeoutError: no figures, and why.
    """
    plan = Plan(options.rounds, options.seconds, tuple(options.pairs), options.calls, options.idle)
    async with AsyncExitStack() as stack:
        stack.enter_context(_sigterm_cancels())
        systems: list[System] = [
            await stack.enter_async_context(STARTERS[word]()) for word in dict.fromkeys(options.systems)
        ]
        results = await measure(systems, plan)
    names = {system.name for system in systems}
    compared = COMPARED if names.issuperset(COMPARED) else None
    sys.stdout.write(f"{render(results, plan, compared)}\n\n")
    rounds = f"Medians of {plan.rounds} interleaved rounds" if plan.rounds > 1 else "One round"
    sys.stdout.write(f"{rounds}; ratios within each round, with the lowest and the highest.\n")
    sys.stdout.write(f"Machine: {machine.describe()}.\nCommand: `{command}`.\n")


def _sigterm_cancels() -> ExitStack:
    """Let SIGTERM end the run as Ctrl-C does: everything that was started is ended first."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    stack = ExitStack()
    stack.callback(loop.remove_signal_handler, signal.SIGTERM)
    return stack


def run(words: list[str]) -> int:
    """Run the benchmark; return the exit status."""
    options = parse(words)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        uvloop.run(main(options, shlex.join(("python", "-m", "bench", *words))))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return EXIT_INTERRUPTED
    except (StartError, FaultyRun, LoadError, UpgradeRefused, OSError) as problem:
        sys.stderr.write(f"bench: {type(problem).__name__}: {problem}\n")
        return EXIT_FAILED
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
