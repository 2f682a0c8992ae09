"""`tieline bench`: relay load on a Tieline that already runs, and what it gave.

For a look at one system. Comparing systems, or versions, takes `python -m bench`, which measures them in
turns. Its users are called `load_...`, and each pair meets in a room of the same name.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Annotated, Final

import msgspec
import uvloop

from tieline.cli.token import SECRET_VARIABLE
from tieline.load.client import LoadError, Target
from tieline.load.connection import UpgradeRefused
from tieline.load.figures import RelayFigures
from tieline.load.processes import Pids
from tieline.load.relay import measure_relay

EXIT_FAILED: Final = 1
EXIT_UNUSABLE: Final = 2

DEFAULT_PAIRS: Final = (1, 50, 200)
DEFAULT_SECONDS: Final = 5.0


class _Ready(msgspec.Struct):
    """What is read of the file that `tieline dev --ready-file` writes."""

    gateways: Annotated[list[str], msgspec.Meta(min_length=1)]
    pids: dict[str, list[int]] = {}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `tieline bench`."""
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--ready-file", metavar="F", type=Path, help="the file that tieline dev wrote")
    where.add_argument(
        "--url",
        metavar="URL",
        action="append",
        help="a gateway's ws:// URL; give it twice: for the senders, and for the receivers",
    )
    parser.add_argument(
        "--pairs", metavar="N", type=int, nargs="+", default=DEFAULT_PAIRS, help="numbers of pairs (1 50 200)"
    )
    parser.add_argument(
        "--seconds", metavar="S", type=float, default=DEFAULT_SECONDS, help="for each number (%(default)g)"
    )
    parser.add_argument("--secret", metavar="SECRET", help=f"instead of the variable {SECRET_VARIABLE}")


def run(options: argparse.Namespace) -> int:
    """Measure each number of pairs and print a line for each; 1 if a single message went wrong."""
    secret = options.secret or os.environ.get(SECRET_VARIABLE, "")
    if not secret:
        return _refuse(f"set {SECRET_VARIABLE} to the secret the gateways have, or give --secret")
    if min(options.pairs) < 1 or options.seconds <= 0:
        return _refuse("there is nothing to measure")
    try:
        urls, ready_file = _where(options)
    except (OSError, msgspec.DecodeError) as problem:
        return _refuse(f"--ready-file {options.ready_file}: {problem}")
    if any(not url.startswith("ws://") for url in urls):
        return _refuse("only ws:// URLs: encryption would be measured, not the relay")
    target = Target(urls[0], urls[-1], secret)
    try:
        for count in options.pairs:
            figures, faults = uvloop.run(
                measure_relay(target, count, options.seconds, lambda: _pids(ready_file))
            )
            sys.stdout.write(f"{line(figures)}\n")
            sys.stdout.flush()
            if faults:
                sys.stderr.write(f"tieline bench: not every message was relayed as it should be: {faults}\n")
                return EXIT_FAILED
    except (LoadError, UpgradeRefused, OSError) as problem:
        sys.stderr.write(f"tieline bench: {type(problem).__name__}: {problem}\n")
        return EXIT_FAILED
    return 0


def line(figures: RelayFigures) -> str:
    """Describe one measurement in one line."""
    pairs = "1 pair" if figures.pairs == 1 else f"{figures.pairs} pairs"
    rate = f"{figures.signals_per_second:,.0f} signals/s"
    ways = f"p50 {figures.p50_ms:.2f} ms, p99 {figures.p99_ms:.2f} ms"
    costs = ", ".join(f"{part} {used:.1f}" for part, used in figures.cpu.items())
    return f"{pairs:>9}: {rate:>17}, {ways}; CPU s per 100,000 signals: {costs}"


def _where(options: argparse.Namespace) -> tuple[list[str], Path | None]:
    """The gateways' URLs, and the ready file if its processes run on this machine."""
    if options.url:
        return options.url, None
    return _read(options.ready_file).gateways[:2], options.ready_file


def _pids(ready_file: Path | None) -> Pids:
    """The processes, as they are now: `tieline dev` restarts what ends."""
    return _read(ready_file).pids if ready_file is not None else {}


def _read(ready_file: Path) -> _Ready:
    return msgspec.json.decode(ready_file.read_bytes(), type=_Ready)


def _refuse(problem: str) -> int:
    sys.stderr.write(f"tieline bench: {problem}\n")
    return EXIT_UNUSABLE
