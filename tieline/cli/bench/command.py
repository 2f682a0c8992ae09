"""Do what `tieline bench` was asked for: one measurement after the other, and then the table of all.

What was measured until Ctrl-C is printed as well. The users are called `load_...`, `call_...`, `idle_...` and
`storm_...`, and each pair meets in a room of its own, or all are in one (`setup --room shared`).
"""

import argparse
import asyncio
import datetime as dt
import os
import platform
import resource
import signal
import ssl
import sys
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from tieline import __version__
from tieline.cli import ready_file
from tieline.cli.bench import options as asked
from tieline.cli.bench.picture import draw, why_not
from tieline.cli.bench.progress import Progress
from tieline.cli.bench.report import line, notes, table
from tieline.cli.bench.runs import Run, pids_of, runs_of
from tieline.cli.exits import EXIT_INTERRUPTED, EXIT_OK, fail, note, refuse
from tieline.cli.secret import NO_SECRET, find_secret
from tieline.load.client import LoadError, Target
from tieline.load.connection import UpgradeRefused
from tieline.load.figures import Figures
from tieline.load.frames import FrameError
from tieline.load.measurement import Measurement, NotBegun
from tieline.runtime.settings import SettingsError
from tieline.tokens import made_for
from tieline.wire.codes import HandshakeError

OWN_DESCRIPTORS: Final = 64
"""Beside connections."""

UNAUTHORIZED: Final = HandshakeError.UNAUTHORIZED.name
NOT_ADMITTED: Final = "the gateways have another secret, audience or issuer than this bench, or another clock"

LIMITS_HINT: Final = "a system that is measured needs TIELINE_LIMITS=off"
"""With the default limits each user may ask for less than a load does."""

add_arguments = asked.add_arguments


class Document(msgspec.Struct, rename="camel"):
    """What `--json` writes. Fields may be added, none is renamed."""

    tieline: str
    """The version of the bench."""
    at: str
    """When it ended."""
    machine: str
    urls: tuple[str, ...]
    is_encrypted: bool
    """Whether the encryption of wss:// is a part of what was measured."""
    measurements: dict[str, Figures]


def run(options: argparse.Namespace) -> int:
    """Measure, and print a line for each; 1 if a single message went wrong."""
    try:
        secret = find_secret(options.secret, os.environ)
    except SettingsError as problem:
        return refuse("bench", str(problem))
    if not secret:
        return refuse("bench", NO_SECRET)
    problem_of_value = asked.problem_of(options) or _problem_of_files(options)
    if problem_of_value:
        return refuse("bench", problem_of_value)
    try:
        target = _target(options, secret)
    except (OSError, ValueError) as problem:
        where = f"--ready-file {options.ready_file}" if options.ready_file else f"--ca {options.ca}"
        return refuse("bench", f"{where}: {problem}")
    runs = runs_of(options, target)
    too_many = _descriptors(max(run.descriptors for run in runs) + OWN_DESCRIPTORS)
    if too_many:
        return refuse("bench", too_many)
    is_encrypted = any(url.startswith("wss://") for url in target.urls)
    if is_encrypted:
        note("bench", "wss://: encryption is measured, too, at both ends")
    if options.mode == "idle" and not options.ready_file:
        note("bench", "the memory and CPU of the processes are seen with --ready-file alone")
    found: list[tuple[str, Figures]] = []
    status = EXIT_OK
    try:
        status = uvloop.run(_measure_all(runs, options.ready_file, found))
    except (LoadError, FrameError) as problem:
        status = fail("bench", str(problem))
    except (UpgradeRefused, OSError) as problem:
        asked_of = ", ".join(target.urls)
        is_token = isinstance(problem, UpgradeRefused) and problem.reason == UNAUTHORIZED
        hint = f"; {NOT_ADMITTED}" if is_token else ""
        status = fail("bench", f"{str(problem) or type(problem).__name__} (asked: {asked_of}){hint}")
    return _show(options, target, is_encrypted, found) or status


async def _measure_all(runs: list[Run], written: Path | None, found: list[tuple[str, Figures]]) -> int:
    """Do all runs, and print a line for each; returns the exit status."""
    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    for run in runs:
        measured = Measurement(lambda: pids_of(written))
        try:
            with Progress(run.name, measured):
                await run.measure(measured)
        except asyncio.CancelledError:
            try:
                _tell(run.name, measured.figures(), found)
            except NotBegun:
                note("bench", f"{run.name}: interrupted before anything was measured")
            return EXIT_INTERRUPTED
        figures = measured.figures()
        _tell(run.name, figures, found)
        if figures.faults:
            hint = f" ({LIMITS_HINT})" if figures.faults.refused or figures.faults.closed else ""
            return fail("bench", f"not every message was relayed as it should be: {figures.faults}{hint}")
    return EXIT_OK


def _tell(name: str, figures: Figures, found: list[tuple[str, Figures]]) -> None:
    found.append((name, figures))
    sys.stdout.write(f"{line(name, figures)}\n")
    sys.stdout.flush()


def _show(
    options: argparse.Namespace, target: Target, is_encrypted: bool, found: list[tuple[str, Figures]]
) -> int:
    """Print the table, and write the files; returns a status if that fails."""
    if found:
        sys.stdout.write(f"\n{table(found)}")
        sys.stdout.flush()
    for one in notes(found):
        note("bench", one)
    try:
        if options.json is not None and found:
            document = Document(
                tieline=__version__,
                at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
                machine=f"{platform.machine()}, {os.cpu_count()} processors, {platform.system()}",
                urls=target.urls,
                is_encrypted=is_encrypted,
                measurements=dict(found),
            )
            options.json.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")
        if options.picture is not None and found:
            draw(found, options.picture)
    except OSError as problem:
        return fail("bench", str(problem))
    return EXIT_OK


def _target(options: argparse.Namespace, secret: str) -> Target:
    """Where the system is.

    Raises:
        OSError, ValueError: a file that was named is not what it should be.
    """
    urls = options.url or ready_file.read(options.ready_file).gateways
    tls = None if options.ca is None else ssl.create_default_context(cafile=str(options.ca))
    receivers = urls[1] if len(urls) > 1 else urls[0]
    return Target(urls[0], receivers, secret, made_for(os.environ), tuple(urls[2:]), tls)


def _problem_of_files(options: argparse.Namespace) -> str:
    """Find out before a long measurement whether its figures can be written."""
    for option, file in (("--json", options.json), ("--picture", options.picture)):
        if file is not None and not file.parent.is_dir():
            return f"{option} {file}: there is no folder {file.parent}"
    if options.picture is not None and why_not():
        return f"--picture: {why_not()}"
    return ""


def _descriptors(wanted: int) -> str:
    """Allow this process so many descriptors; says why that cannot be."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and wanted > most:
        return f"that needs {wanted:,} descriptors, and this process may have {most:,} (ulimit -Hn)"
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return ""
