"""`tieline bench`: measure how a Tieline that already runs relays signals. The load is `tieline.load`.

For a look at one system. To compare systems or versions, `python -m bench` measures them alternately. The
users are called `load_...`, and each pair meets in a room of the same name.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Final

import uvloop

from tieline.cli import ready_file
from tieline.cli.exits import EXIT_OK, fail, refuse
from tieline.cli.options import seconds, whole
from tieline.cli.secret import NO_SECRET, SECRET_FILE_VARIABLE, find_secret
from tieline.load.client import LoadError, Target
from tieline.load.connection import UpgradeRefused
from tieline.load.figures import RelayFigures
from tieline.load.processes import Pids
from tieline.load.relay import measure_relay
from tieline.runtime.settings import SettingsError
from tieline.tokens import SECRET_VARIABLE, made_for

DEFAULT_PAIRS: Final = (1, 50, 200)
DEFAULT_SECONDS: Final = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare where the system is, and what is measured."""
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--ready-file", metavar="F", type=Path, help="the file that tieline dev wrote")
    where.add_argument(
        "--url",
        metavar="URL",
        action="append",
        help="a gateway's ws:// URL; one is enough, a second is for the receivers",
    )
    parser.add_argument(
        "--pairs",
        metavar="N",
        type=whole(),
        nargs="+",
        default=DEFAULT_PAIRS,
        help="numbers of pairs (1 50 200)",
    )
    parser.add_argument(
        "--seconds",
        metavar="S",
        type=seconds,
        default=DEFAULT_SECONDS,
        help="for each number (%(default)g)",
    )
    parser.add_argument(
        "--secret", metavar="SECRET", help=f"instead of {SECRET_VARIABLE} or {SECRET_FILE_VARIABLE}"
    )


def run(options: argparse.Namespace) -> int:
    """Measure each number of pairs and print a line for each; 1 if a single message went wrong."""
    try:
        secret = find_secret(options.secret, os.environ)
    except SettingsError as problem:
        return refuse("bench", str(problem))
    if not secret:
        return refuse("bench", NO_SECRET)
    try:
        urls, written = _where(options)
    except (OSError, ValueError) as problem:
        return refuse("bench", f"--ready-file {options.ready_file}: {problem}")
    if any(not url.startswith("ws://") for url in urls):
        return refuse("bench", "only ws:// URLs: encryption would be measured, not the relay")
    target = Target(urls[0], urls[-1], secret, made_for(os.environ))
    try:
        for count in options.pairs:
            figures, faults = uvloop.run(
                measure_relay(target, count, options.seconds, lambda: _pids(written))
            )
            sys.stdout.write(f"{line(figures)}\n")
            sys.stdout.flush()
            if faults:
                return fail("bench", f"not every message was relayed as it should be: {faults}")
    except (LoadError, UpgradeRefused, OSError) as problem:
        return fail("bench", f"{type(problem).__name__}: {problem}")
    return EXIT_OK


def line(figures: RelayFigures) -> str:
    """Describe one measurement in one line."""
    pairs = "1 pair" if figures.pairs == 1 else f"{figures.pairs} pairs"
    rate = f"{figures.signals_per_second:,.0f} signals/s"
    latencies = f"p50 {figures.p50_ms:.2f} ms, p99 {figures.p99_ms:.2f} ms"
    costs = ", ".join(f"{part} {used:.1f}" for part, used in figures.cpu.items())
    return f"{pairs:>9}: {rate:>17}, {latencies}; CPU s per 100,000 signals: {costs}"


def _where(options: argparse.Namespace) -> tuple[list[str], Path | None]:
    """The gateways' URLs, and the ready file if its processes run on this machine."""
    if options.url:
        return options.url, None
    return ready_file.read(options.ready_file).gateways[:2], options.ready_file


def _pids(written: Path | None) -> Pids:
    """The processes, as they are now: `tieline dev` restarts a process that ends."""
    return ready_file.read(written).pids if written is not None else {}
