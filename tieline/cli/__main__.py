"""The command line: `tieline COMMAND`, also as `python -m tieline.cli`.

Each command is a module with `add_arguments(parser)` and `run(args) -> int`, imported only when it is the
one asked for: only a command that needs a package fails when it is missing.
"""

import argparse
import importlib
import sys
import warnings
from collections.abc import Sequence
from typing import Final, NamedTuple

from tieline import __version__
from tieline.cli.exits import EXIT_INTERRUPTED, fail_without_package


class Command(NamedTuple):
    """The module of one command, and a summary for the list of commands."""

    module: str
    summary: str
    mode: str = ""
    """Of a command with modes: the one that is meant where none is named."""


COMMANDS: Final = {
    "dev": Command("tieline.cli.dev.command", "run the whole system on this machine"),
    "permissions": Command("tieline.cli.permissions", "write who may do what on a nats-server"),
    "streams": Command("tieline.cli.streams", "make or adapt what NATS stores, as the settings say"),
    "token": Command("tieline.cli.token", "make an admission token for a user"),
    "call": Command("tieline.cli.call.command", "make a real voice call through a running system"),
    "bench": Command("tieline.cli.bench.command", "measure a running system", mode="relay"),
    "top": Command("tieline.cli.top", "show which users and rooms cost a running system most"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command named first in `arguments` (default: this process's own); return the exit status."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    asked = words[0] if words else ""
    if asked in COMMANDS:
        words = with_mode(words, COMMANDS[asked].mode)
    parser = argparse.ArgumentParser(prog="tieline", description="Signaling for WebRTC voice calls.")
    parser.add_argument("--version", action="version", version=f"tieline {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        subparser = commands.add_parser(name, help=command.summary, description=command.summary)
        if name != asked:
            continue
        try:
            module = importlib.import_module(command.module)
        except ModuleNotFoundError as missing:
            if (missing.name or "").startswith("tieline"):
                raise
            return fail_without_package(name, missing)
        module.add_arguments(subparser)
        subparser.set_defaults(run=module.run)
    options = parser.parse_args(words)
    # A gateway and `tieline dev` say so in their own words.
    warnings.filterwarnings("ignore", message="The HMAC key is")
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def with_mode(words: list[str], mode: str) -> list[str]:
    """Name the mode that is meant where a command with modes has options only."""
    options = words[1:2]
    if not mode or options in ([], ["-h"], ["--help"]) or not options[0].startswith("-"):
        return words
    return [words[0], mode, *words[1:]]


if __name__ == "__main__":
    sys.exit(main())
