"""`tieline send JSON`: send an application's message to a user, or to a room."""

import argparse
import sys

import msgspec

from tieline.api import Backend
from tieline.cli.backend.asking import ask
from tieline.cli.exits import refuse
from tieline.cli.options import identifier


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare to whom, and what."""
    to = parser.add_mutually_exclusive_group(required=True)
    to.add_argument("--room", metavar="R", type=identifier, help="to every member of this room")
    to.add_argument("--user", metavar="U", type=identifier, help="to this user")
    parser.add_argument("data", metavar="JSON", help="what the event MESSAGE has as its data")


def run(options: argparse.Namespace) -> int:
    """Send the message; returns the exit status."""
    try:
        data = msgspec.json.decode(options.data.encode())
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return refuse("send", f"{options.data!r} is no JSON: a text is written '\"so\"'")

    async def do(backend: Backend) -> None:
        if options.room:
            changed = await backend.message_room(options.room, data)
        else:
            changed = await backend.message_user(options.user, data)
        told = f"sent to {changed.affected}" if changed.affected else "nobody is there: sent to none"
        sys.stdout.write(f"{told}\n")

    return ask("send", do)
