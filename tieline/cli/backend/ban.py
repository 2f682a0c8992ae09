"""`tieline ban USER --for SECONDS`: disconnect a user, and keep it away; `--lift` takes that back."""

import argparse

from tieline.api import Backend
from tieline.api.bodies import LONGEST_S
from tieline.cli.backend.asking import ask, say
from tieline.cli.options import identifier, number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the user, and for how long."""
    parser.add_argument("user", metavar="USER", type=identifier, help="the user's id")
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument(
        "--for", dest="for_s", metavar="S", type=number(1, LONGEST_S), help="for so many seconds"
    )
    wanted.add_argument("--lift", action="store_true", help="let it connect again")


def run(options: argparse.Namespace) -> int:
    """Ban the user, or lift the ban; returns the exit status."""
    user = options.user

    async def do(backend: Backend) -> None:
        if options.lift:
            changed = await backend.unban_user(user)
            say(changed, f"{user} may connect", f"{user} may connect")
        else:
            changed = await backend.ban_user(user, options.for_s)
            away = f"may not connect for {options.for_s:g} s"
            say(changed, f"{user} is disconnected, and {away}", f"{user} {away}")

    return ask("ban", do)
