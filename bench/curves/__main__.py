"""`python -m bench.curves`: measure what is missing of the curves, draw them, and write their tables.

What was measured stands in the folder after each point, so that the same command goes on where it was
interrupted. Points of another machine, tree, rate or time are measured anew.
"""

import argparse
import asyncio
import shlex
import sys
import time
from pathlib import Path
from typing import Final

from nats.errors import Error as NatsError

from bench import machine
from bench.command import PROBLEMS, end_with
from bench.curves.drawing import draw_all
from bench.curves.points import MEASURED
from bench.curves.results import CURVES, FILE, How, Measured, keep, missing, read, tables
from bench.release_tree import described
from bench.rounds import FaultyRun
from bench.systems import ROOT
from tieline.cli.bench.picture import why_not
from tieline.cli.exits import EXIT_FAILED, EXIT_OK, refuse
from tieline.cli.options import number, option_parser, seconds

FOLDER: Final = ROOT / "build/curves"
"""Not in the repository; `docs/curves` is."""

POINT_TIMEOUT_S: Final = 240.0
"""For one point. The longest, 20,000 connections that come and go, takes about two minutes."""

FAILURES: Final = (*PROBLEMS, FaultyRun, NatsError, ExceptionGroup)
"""What leaves a point out: others can still be measured."""

WORDS: Final = tuple(curve.word for curve in CURVES)

TITLE: Final = """# Curves

What becomes dearer when a system grows: measured, drawn and written by `python -m bench.curves`.
What each curve shows is in [performance.md](../performance.md#curves).
"""


def parse(words: list[str]) -> argparse.Namespace:
    """Read the options; `--small` only changes what the others are if not given."""
    parser = option_parser("python -m bench.curves", __doc__)
    parser.add_argument("--only", nargs="+", choices=WORDS, default=WORDS, help="these curves")
    parser.add_argument("--small", action="store_true", help="few and small points, for a first look")
    parser.add_argument("--seconds", type=seconds, metavar="S", help="a measurement lasts (3; small: 2)")
    parser.add_argument(
        "--rate", type=number(1, 1_000_000), metavar="R", help="signals a second (2000; small: 1000)"
    )
    parser.add_argument(
        "--folder",
        type=Path,
        metavar="F",
        default=FOLDER,
        help="for what is measured and drawn (build/curves)",
    )
    parser.add_argument("--again", action="store_true", help="measure also what was measured already")
    parser.add_argument("--draw", action="store_true", help="measure nothing, and draw what there is")
    options = parser.parse_args(words)
    options.seconds = options.seconds or (2.0 if options.small else 3.0)
    options.rate = options.rate or (1000.0 if options.small else 2000.0)
    return options


async def main(options: argparse.Namespace, command: str) -> int:
    """Measure what is missing, and write everything; a point that fails is left out, and named.

    Raises:
        OSError, ValueError: a file cannot be read or written.
    """
    how = How(machine.describe(), described(), options.seconds, options.rate)
    file = options.folder / FILE
    options.folder.mkdir(parents=True, exist_ok=True)
    measured = read(file, None if options.draw else how) or Measured(how)
    if options.again:
        for word in options.only:
            measured.points.pop(word, None)
    wanted = [] if options.draw else missing(measured, options.only, small=options.small)
    failed = []
    for done, (word, place) in enumerate(wanted, 1):
        began = time.monotonic()
        try:
            async with asyncio.timeout(POINT_TIMEOUT_S):
                found = await MEASURED[word](place, how)
        except FAILURES as problem:
            failed.append(f"{word} {place:,}: {type(problem).__name__}: {problem}")
            sys.stderr.write(f"{done} of {len(wanted)}: {failed[-1]}\n")
            continue
        measured.points.setdefault(word, {})[place] = found
        keep(file, measured)
        figures = "; ".join(f"{name}: {value:,.4g}" for name, value in found.items())
        took = time.monotonic() - began
        sys.stderr.write(f"{done} of {len(wanted)}, {took:.0f} s: {word} {place:,}: {figures}\n")
    _write(measured, options.folder, command)
    sys.stdout.write("".join(f"not measured: {one}\n" for one in failed))
    return EXIT_FAILED if failed else EXIT_OK


def _write(measured: Measured, folder: Path, command: str) -> None:
    """Draw, and write a page with the pictures and the tables."""
    pictures = draw_all(measured, folder)
    shown = "\n\n".join(f"![{file.stem}]({file.name})" for file in pictures)
    how = measured.how
    sizes = f"{how.seconds:g} s a measurement, {how.rate:,g} signals/s"
    made = f"Machine: {how.machine}.\nTree: {how.tree or 'unknown'}; {sizes}.\nCommand: `{command}`.\n"
    page = f"{TITLE}\n{shown}\n\n{tables(measured)}\n\n{made}"
    (folder / "README.md").write_text(page)
    names = ", ".join(("README.md", *(file.name for file in pictures)))
    sys.stdout.write(f"{tables(measured)}\n\n{made}In {folder}: {names}.\n")


def run(words: list[str]) -> int:
    """Run the benchmark; returns the exit status."""
    options = parse(words)
    if why_not():
        return refuse("bench.curves", why_not())
    command = shlex.join(("python", "-m", "bench.curves", *words))
    return end_with("bench.curves", lambda: main(options, command), (ValueError,))


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
