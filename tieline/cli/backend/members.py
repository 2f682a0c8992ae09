"""`tieline members ROOM`: list who is in a room, and who will be."""

import argparse
import time

from tieline.api import Backend
from tieline.api.bodies import Member
from tieline.cli.backend.asking import ask
from tieline.cli.backend.table import show, show_json
from tieline.cli.options import identifier


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the room, and how it is listed."""
    parser.add_argument("room", metavar="ROOM", type=identifier, help="the room's id")
    parser.add_argument("--json", action="store_true", help="print a JSON array")


def run(options: argparse.Namespace) -> int:
    """List the members; returns the exit status."""

    async def do(backend: Backend) -> None:
        members = [member async for member in backend.members(options.room)]
        if options.json:
            show_json(members)
        else:
            show(("user", "status", "voice", "given", "since"), [row(member) for member in members])

    return ask("members", do)


def row(member: Member) -> tuple[str, ...]:
    """Show one member."""
    joined = time.localtime(member.joined_at / 1000)
    since = time.strftime("%Y-%m-%d %H:%M:%S", joined) if member.joined_at else ""
    return (member.user, member.status, _yes(member.voice), _yes(member.given), since)


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"
