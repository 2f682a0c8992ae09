"""`tieline token`: print a JWT that admits a user, made by `tieline.tokens`."""

import argparse
import os
import sys
from typing import Final

from tieline.cli.exits import EXIT_OK, note, refuse
from tieline.cli.options import number
from tieline.cli.secret import NO_SECRET, SECRET_FILE_VARIABLE, doubts, find_secret
from tieline.runtime.settings import SettingsError
from tieline.tokens import DEFAULT_TTL_S, MAX_LIFE_VARIABLE, SECRET_VARIABLE, made_for, make_token

LONGEST_TTL_S: Final = 315_000_000.0
"""Ten years, from which on gateways take no token: such an `exp` is one in milliseconds, mostly."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare who the user is, which rooms the token opens, and for how long."""
    parser.add_argument("user", metavar="USER", help="the user's id")
    parser.add_argument(
        "--room",
        metavar="R",
        nargs="+",
        action="extend",
        default=[],
        help="rooms the user may join; '*': all",
    )
    parser.add_argument(
        "--join",
        metavar="R",
        nargs="+",
        action="extend",
        default=[],
        help="rooms joined for the user at connect",
    )
    parser.add_argument(
        "--no-rooms", action="store_true", help="no rooms: the backend's API says in which ones the user is"
    )
    parser.add_argument(
        "--ttl",
        metavar="S",
        type=number(1, LONGEST_TTL_S),
        default=DEFAULT_TTL_S,
        help="valid for so many seconds (%(default)g)",
    )
    parser.add_argument("--no-voice", action="store_true", help="the user may not start a voice connection")
    parser.add_argument(
        "--secret",
        metavar="SECRET",
        help=f"instead of the variable {SECRET_VARIABLE}, or the file that {SECRET_FILE_VARIABLE} names",
    )


def run(options: argparse.Namespace) -> int:
    """Print one token; returns the exit status."""
    try:
        secret = find_secret(options.secret, os.environ)
    except SettingsError as problem:
        return refuse("token", str(problem))
    if not secret:
        return refuse("token", NO_SECRET)
    named = bool(options.room or options.join)
    if named and options.no_rooms:
        return refuse("token", "--no-rooms goes with neither --room nor --join")
    if not named and not options.no_rooms:
        return refuse("token", "name at least one room: --room R; or say --no-rooms, if the API gives them")
    for doubt in doubts(options.secret, secret, os.environ):
        note("token", doubt)
    wanted = made_for(os.environ)
    if wanted.life_s(options.ttl) < int(options.ttl):
        note("token", f"it is good for {wanted.life_s(options.ttl)} s, as {MAX_LIFE_VARIABLE} says")
    try:
        token = make_token(
            secret,
            options.user,
            options.room,
            options.ttl,
            voice=not options.no_voice,
            join=options.join,
            made_for=wanted,
        )
    except ValueError as problem:
        return refuse("token", str(problem))
    sys.stdout.write(f"{token}\n")
    return EXIT_OK
