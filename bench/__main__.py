"""`python -m bench`: start the systems, measure them round by round, print the tables, end everything."""

import argparse
import os
import shlex
import sys
from contextlib import AsyncExitStack
from typing import Final

from bench import machine
from bench.command import end_with
from bench.rounds import FaultyRun, Plan, measure
from bench.systems import STARTERS, System
from bench.table import render
from tieline.cli.options import option_parser, seconds, whole

COMPARED: Final = ("Tieline", "hand-rolled relay")
"""The ratio that decides whether Tieline has reached its aim."""


def parse(words: list[str]) -> argparse.Namespace:
    """Read the options; `--quick` only changes what the other options are if not given."""
    parser = option_parser(
        "python -m bench",
        "Measure Tieline beside a hand-rolled relay and a bare echo: signals a second, their milliseconds,\n"
        "CPU seconds, call set-ups a second, KiB an idle connection. Prints tables.",
    )
    parser.add_argument("--quick", action="store_true", help="one short round, for a first look")
    parser.add_argument("--rounds", type=whole(), metavar="N", help="so many rounds (3; quick: 1)")
    parser.add_argument(
        "--seconds", type=seconds, metavar="S", help="each lasts so many seconds (3; quick: 1)"
    )
    parser.add_argument(
        "--pairs", type=whole(), nargs="+", metavar="N", default=[1, 50, 200], help="that send (1 50 200)"
    )
    parser.add_argument(
        "--calls", type=whole(), metavar="N", default=8, help="so many call set-ups at once (%(default)s)"
    )
    parser.add_argument(
        "--idle", type=whole(0), metavar="N", help="so many idle sessions, 0: none (2000; quick: 500)"
    )
    parser.add_argument(
        "--systems", nargs="+", choices=list(STARTERS), default=list(STARTERS), help="measure only these"
    )
    options = parser.parse_args(words)
    usual: dict[str, float] = {"rounds": 3, "seconds": 3.0, "idle": 2000}
    quick: dict[str, float] = {"rounds": 1, "seconds": 1.0, "idle": 500}
    for name, value in (quick if options.quick else usual).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


async def main(options: argparse.Namespace, command: str) -> int:
    """Measure, and print the tables; returns the exit status.

    Raises:
        StartError, FaultyRun, LoadError, UpgradeRefused, OSError, TimeoutError: no figures, and why.
    """
    plan = Plan(options.rounds, options.seconds, tuple(options.pairs), options.calls, options.idle)
    async with AsyncExitStack() as stack:
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
    return os.EX_OK


def run(words: list[str]) -> int:
    """Run the benchmark; return the exit status."""
    options = parse(words)
    command = shlex.join(("python", "-m", "bench", *words))
    return end_with("bench", lambda: main(options, command), (FaultyRun,))


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
