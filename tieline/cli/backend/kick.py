"""`tieline kick USER`: disconnect a user, or put it out of one room."""

import argparse

from tieline.api import Backend
from tieline.cli.backend.asking import ask, say
from tieline.cli.exits import refuse
from tieline.cli.options import identifier, seconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the user, the room, and for how long."""
    parser.add_argument("user", metavar="USER", type=identifier, help="the user's id")
    parser.add_argument(
        "--room",
        metavar="R",
        type=identifier,
        help="put it out of this room alone, whose member it is no more, and leave it connected",
    )
    parser.add_argument(
        "--for", dest="for_s", metavar="S", type=seconds, help="with --room: keep it out for so many seconds"
    )


def run(options: argparse.Namespace) -> int:
    """Kick the user; returns the exit status."""
    user, room = options.user, options.room
    if options.for_s and not room:
        return refuse("kick", "--for goes with --room; to keep a user away: tieline ban USER --for S")

    async def do(backend: Backend) -> None:
        if room:
            changed = await backend.kick_member(room, user, options.for_s or 0)
            say(changed, f"{user} is out of {room}", f"{user} was not there, and is no member of {room}")
        else:
            say(await backend.disconnect_user(user), f"{user} is disconnected", f"{user} is not connected")

    return ask("kick", do)
