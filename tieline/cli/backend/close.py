"""`tieline close ROOM`: put everybody out of a room."""

import argparse
import sys

from tieline.api import Backend
from tieline.cli.backend.asking import ask
from tieline.cli.options import identifier, seconds_or_none


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the room, and for how long."""
    parser.add_argument("room", metavar="ROOM", type=identifier, help="the room's id")
    parser.add_argument(
        "--for",
        dest="for_s",
        metavar="S",
        type=seconds_or_none,
        default=0.0,
        help="keep those who were in it out for so many seconds (%(default)g)",
    )


def run(options: argparse.Namespace) -> int:
    """Close the room; returns the exit status."""

    async def do(backend: Backend) -> None:
        changed = await backend.close_room(options.room, options.for_s)
        left = f", {changed.left} are left, who are being put out: nobody comes in"
        end = left if changed.left else f": {options.room} has no members"
        sys.stdout.write(f"{changed.affected} of {options.room} are out{end}\n")

    return ask("close", do)
