"""`tieline tail`: follow what happens, of all, or of one user or room, until it is interrupted."""

import argparse
import os
import sys
import time
from datetime import datetime
from typing import Final

from tieline.api import Backend
from tieline.api.bodies import Event
from tieline.cli.backend.asking import ask
from tieline.cli.backend.table import has_colours, show_json
from tieline.cli.exits import note, printable
from tieline.cli.options import identifier, whole

_PREFIX: Final = "tieline."

_PLAIN: Final = "\x1b[0m"
_DIM: Final = "\x1b[2m"
_COLOURS: Final = {
    "member.joined": "\x1b[32m",
    "member.left": _DIM,
    "member.away": "\x1b[33m",
    "member.back": "\x1b[32m",
    "call.established": "\x1b[32m",
    "call.ended": _DIM,
    "call.unanswered": "\x1b[33m",
    "call.refused": "\x1b[31m",
}

_WIDTH: Final = 16
"""Of the longest type, so that what follows stands in line."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare of whom, from where, and how it is shown."""
    parser.add_argument("--user", metavar="U", type=identifier, help="only what names this user")
    parser.add_argument("--room", metavar="R", type=identifier, help="only what names this room")
    parser.add_argument(
        "--after", metavar="N", type=whole(0), help="from behind this place on, a `sequence` (from now on)"
    )
    parser.add_argument("--json", action="store_true", help="print each event as a line of JSON")


def run(options: argparse.Namespace) -> int:
    """Follow until interrupted; returns the exit status."""
    is_coloured = has_colours(sys.stdout, os.environ)

    async def do(backend: Backend) -> None:
        events = backend.events(
            user=options.user or "", room=options.room or "", after=options.after, on_gap=_tell_gap
        )
        async for event in events:
            if options.json:
                show_json(event)
            else:
                sys.stdout.write(line(event, is_coloured))
            sys.stdout.flush()

    return ask("tail", do)


def _tell_gap(lost: int) -> None:
    note("tail", f"{lost or 'some'} events are gone that were too old to be kept")


def line(event: Event, is_coloured: bool) -> str:
    """Show one event as a line."""
    kind = event.type.removeprefix(_PREFIX)
    told = " ".join((_clock(event.time), _coloured(kind, is_coloured), printable(_what(event))))
    return f"{told.rstrip()}\n"


def _coloured(kind: str, is_coloured: bool) -> str:
    shown = printable(kind).ljust(_WIDTH)
    colour = _COLOURS.get(kind, "") if is_coloured else ""
    return f"{colour}{shown}{_PLAIN}" if colour else shown


def _clock(text: str) -> str:
    """Show the moment on this machine's clock."""
    try:
        at = time.localtime(datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError):
        return printable(text)
    return time.strftime("%H:%M:%S", at)


def _what(event: Event) -> str:
    """Say who it was, with whom, and what else is known."""
    data = event.data
    who = f"{data.caller} -> {data.callee}" if data.caller or data.callee else data.user
    rooms = data.room or ", ".join(data.rooms)
    words = [who, f"in {rooms}" if rooms else "", data.reason]
    if data.by and data.by != data.caller:
        words.append(f"by {data.by}")
    if data.duration_seconds:
        words.append(f"after {data.duration_seconds:.1f} s")
    elif data.answer_seconds:
        words.append(f"after {data.answer_seconds:.1f} s")
    words.append(f"({data.call})" if data.call else "")
    return "  ".join(word for word in words if word)
