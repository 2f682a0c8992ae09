"""`tieline token`: make the JWT that admits a user. Its claims are read by the gateway's `admission`."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from typing import Final

import jwt

from tieline.wire.ids import MAX_ID_BYTES, is_valid_id

SECRET_VARIABLE: Final = "TIELINE_JWT_SECRET"  # noqa: S105  # the name of the variable, not a secret
DEFAULT_TTL_S: Final = 3600.0
EVERY_ROOM: Final = "*"

EXIT_UNUSABLE: Final = 2


def make_token(
    secret: str,
    user: str,
    rooms: Sequence[str],
    ttl_s: float = DEFAULT_TTL_S,
    voice: bool = True,
    join: Sequence[str] = (),
) -> str:
    """Sign a token (HS256) for `user`, valid from now for `ttl_s` seconds; a negative `ttl_s`: expired.

    `rooms` may be joined by the user (only "*": all of them), `join` are joined at connect, and without
    `voice` the user may not send an offer.

    Raises:
        ValueError: the secret is empty, or an id is none (PROTOCOL, "Envelope").
    """
    if not secret:
        raise ValueError("the secret is empty")
    for kind, name in (("user", user), *(("room", room) for room in (*rooms, *join))):
        if not is_valid_id(name):
            raise ValueError(
                f"{name!r} is no {kind} id: 1 to {MAX_ID_BYTES} bytes of UTF-8, no control characters"
            )
    now = int(time.time())
    claims: dict[str, object] = {
        "sub": user,
        "iat": now,
        "exp": now + int(ttl_s),
        "rooms": EVERY_ROOM if list(rooms) == [EVERY_ROOM] else list(rooms),
    }
    if not voice:
        claims["voice"] = False
    if join:
        claims["join"] = list(join)
    return jwt.encode(claims, secret, algorithm="HS256")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `tieline token`."""
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
    """Print one token."""
    secret = options.secret or os.environ.get(SECRET_VARIABLE, "")
    if not secret:
        return _refuse(f"set {SECRET_VARIABLE} to the secret the gateways have, or give --secret")
    if not options.room and not options.join:
        return _refuse("name at least one room: --room R")
    if options.ttl < 1:
        return _refuse(f"--ttl {options.ttl:g}: a token lives for at least one second")
    try:
        token = make_token(
            secret, options.user, options.room, options.ttl, voice=not options.no_voice, join=options.join
        )
    except ValueError as problem:
        return _refuse(str(problem))
    sys.stdout.write(f"{token}\n")
    return 0


def _refuse(problem: str) -> int:
    sys.stderr.write(f"tieline token: {problem}\n")
    return EXIT_UNUSABLE
