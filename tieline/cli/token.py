"""`tieline token`: print a JWT that admits a user, made by `tieline.tokens`."""

import argparse
import os
import sys

from tieline.cli.exits import EXIT_OK, note, refuse
from tieline.cli.secret import find_secret
from tieline.runtime.settings import SettingsError
from tieline.runtime.weak_secrets import SAFE_SECRET_BYTES
from tieline.tokens import DEFAULT_TTL_S, SECRET_VARIABLE, made_for, make_token


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
        "--ttl",
        metavar="S",
        type=float,
        default=DEFAULT_TTL_S,
        help="valid for so many seconds (%(default)g)",
    )
    parser.add_argument("--no-voice", action="store_true", help="the user may not start a voice connection")
    parser.add_argument("--secret", metavar="SECRET", help=f"instead of the variable {SECRET_VARIABLE}")


def run(options: argparse.Namespace) -> int:
    """Print one token; returns the exit status."""
    try:
        secret = find_secret(options.secret, os.environ)
    except SettingsError as problem:
        return refuse("token", str(problem))
    if not secret:
        return refuse("token", f"set {SECRET_VARIABLE} to the secret the gateways have, or give --secret")
    if not options.room and not options.join:
        return refuse("token", "name at least one room: --room R")
    if options.ttl < 1:
        return refuse("token", f"--ttl {options.ttl:g}: a token lives for at least one second")
    if len(secret.encode()) < SAFE_SECRET_BYTES:
        note("token", f"the secret is so short that it may be guessed: give it {SAFE_SECRET_BYTES} bytes")
    try:
        token = make_token(
            secret,
            options.user,
            options.room,
            options.ttl,
            voice=not options.no_voice,
            join=options.join,
            made_for=made_for(os.environ),
        )
    except ValueError as problem:
        return refuse("token", str(problem))
    sys.stdout.write(f"{token}\n")
    return EXIT_OK
