"""`tieline api-key NAME`: make a key for the API, and the entry by which the API knows it."""

import argparse
import secrets
import sys

from api.callers import BadEntry, entry, read_keys
from tieline.api.scopes import EVERYTHING, SCOPES, unknown_scopes
from tieline.api.variables import API_KEY_VARIABLE
from tieline.cli.exits import EXIT_OK, refuse

KEY_BYTES = 32
"""Nobody guesses it, so a fast hash is enough (docs/decisions/0114)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what it is called, and what it is good for."""
    parser.add_argument("name", metavar="NAME", help="what logs and refusals call it")
    parser.add_argument(
        "--scope",
        metavar="S",
        nargs="+",
        action="extend",
        default=[],
        help=f"what it is good for ({', '.join(SCOPES)}); without: everything",
    )


def run(options: argparse.Namespace) -> int:
    """Print a key and its entry; returns the exit status."""
    unknown = unknown_scopes(word.replace(".", ":") for word in options.scope)  # dots are what an entry has
    if unknown:
        return refuse("api-key", f"{unknown[0]!r} is no scope: there are {', '.join(SCOPES)}")
    key = secrets.token_urlsafe(KEY_BYTES)
    told = entry(options.name, key, options.scope or (EVERYTHING,))
    try:
        read_keys(told)
    except BadEntry as problem:
        return refuse("api-key", str(problem))
    sys.stdout.write(f"{API_KEY_VARIABLE}={key}\nTIELINE_API_KEYS={told}\n")
    return EXIT_OK
