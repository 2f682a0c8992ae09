"""`tieline rooms`: list the rooms, and how many members each has."""

import argparse

from tieline.api import Backend
from tieline.cli.backend.asking import ask
from tieline.cli.backend.table import show, show_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how they are listed."""
    parser.add_argument("--json", action="store_true", help="print a JSON array")


def run(options: argparse.Namespace) -> int:
    """List the rooms; returns the exit status."""

    async def do(backend: Backend) -> None:
        rooms = [room async for room in backend.rooms()]
        if options.json:
            show_json(rooms)
        else:
            show(("room", "members"), [(room.room, str(room.members)) for room in rooms])

    return ask("rooms", do)
