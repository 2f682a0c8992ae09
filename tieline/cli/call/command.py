"""`tieline call`: make a real voice call through a running system, and print each step.

Two WebRTC peers on two gateways call each other and each sends a tone; the call is good when both hear the
other's. With `--answer` or `--to` there is one end only, a bot, and the other end is another user: a person
in a browser, say. The calls are made by `conversation` and `bot`, which need aiortc and are imported only
when a call is made.
"""

import argparse
import asyncio
import functools
import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tieline.cli import ready_file
from tieline.cli.exits import EXIT_FAILED, EXIT_OK, fail_without_package, printable, refuse
from tieline.cli.options import seconds
from tieline.cli.secret import NO_SECRET, find_secret
from tieline.runtime.settings import SettingsError
from tieline.tokens import SECRET_VARIABLE, made_for, make_token

CALLER_HZ: Final = 440.0
CALLEE_HZ: Final = 660.0
"""A fifth apart: no echo, resampling or harmonic turns one into the other."""

TIMEOUT_S: Final = 30.0
"""For the whole call: it takes two seconds when all is well, and a broken one shall not stop a pipeline."""

LISTEN_S: Final = 1.0
"""How much sound each end measures: fifty packets, and pitches told apart to a hertz."""

_OF_TWO: Final = ("--caller-token", "--callee-token", "--listen")
_OF_BOTS: Final = ("--once", "--user", "--token", "--play", "--record", "--hang-up-after")
"""Options that only a call between two ends, or only a bot, has."""


class _Unusable(Exception):
    """The options do not say which system to call through, or as which user."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare which system to call through, and how: between two ends, or as a bot."""
    system = parser.add_mutually_exclusive_group(required=True)
    system.add_argument(
        "--ready-file", metavar="F", type=Path, help="call through the system of this `tieline dev`"
    )
    system.add_argument(
        "--url",
        metavar="URL",
        action="append",
        help="a gateway's ws:// or wss:// URL; one will do, a second --url is for the callee, more for a bot",
    )
    parser.add_argument(
        "--secret",
        metavar="S",
        help=f"make the tokens with this secret instead of the variable {SECRET_VARIABLE}",
    )
    parser.add_argument("--caller-token", metavar="T", help="the caller's own token; it must allow the room")
    parser.add_argument("--callee-token", metavar="T", help="the callee's own token; it must allow the room")
    parser.add_argument("--room", metavar="R", help="where they meet (default: a new room)")
    parser.add_argument(
        "--listen",
        metavar="S",
        type=seconds,
        help=f"how many seconds of sound each end measures (default: {LISTEN_S:g})",
    )
    parser.add_argument(
        "--timeout",
        metavar="S",
        type=seconds,
        help=f"give up after so many seconds in all (default: {TIMEOUT_S:g}; of a bot: never)",
    )
    bot = parser.add_argument_group("a bot", "one end only, in the room of --room")
    role = bot.add_mutually_exclusive_group()
    role.add_argument("--answer", action="store_true", help="wait to be called, and answer every call")
    role.add_argument("--to", metavar="USER", help="ring this user, who may still have to join the room")
    bot.add_argument("--once", action="store_true", help="end after the first call")
    bot.add_argument("--user", metavar="NAME", help="be this user (default: bot- and something random)")
    bot.add_argument("--token", metavar="T", help="the bot's own token; it must allow the room")
    bot.add_argument(
        "--play", metavar="F", type=Path, help="play this sound file instead of a tone, again and again"
    )
    bot.add_argument(
        "--record",
        metavar="F",
        type=Path,
        help="keep what is heard in this WAV file, of further calls in F-2, F-3, ...",
    )
    bot.add_argument(
        "--hang-up-after", metavar="S", type=seconds, help="hang up after so many seconds of sound"
    )


def run(args: argparse.Namespace) -> int:
    """Make the call. Returns 0 if both ends heard the right tone, 1 if not, 2 if the options are unusable.

    For a bot that makes one call: 0 if it heard anything. A bot for many calls ends with 0 on a signal.
    """
    try:
        from tieline.cli.call.call_end import EndConfig
        from tieline.cli.call.conversation import run_call
    except ModuleNotFoundError as missing:
        return fail_without_package("call", missing)
    try:
        _check(args)
        if args.answer or args.to:
            return _run_bot(args)
        caller_url, callee_url = _gateways(args)
        name = f"call-{secrets.token_hex(4)}"
        room = args.room or name
        secret = _secret(args)
        caller_token = args.caller_token or _make_token(secret, f"{name}-caller", room)
        callee_token = args.callee_token or _make_token(secret, f"{name}-callee", room)
    except _Unusable as problem:
        return refuse("call", str(problem))
    caller = EndConfig("caller", caller_url, caller_token, sends_hz=CALLER_HZ, expects_hz=CALLEE_HZ)
    callee = EndConfig("callee", callee_url, callee_token, sends_hz=CALLEE_HZ, expects_hz=CALLER_HZ)
    listen_s, timeout_s = args.listen or LISTEN_S, args.timeout or TIMEOUT_S
    works = asyncio.run(run_call(caller, callee, room, listen_s, timeout_s, _print))
    return EXIT_OK if works else EXIT_FAILED


def _check(args: argparse.Namespace) -> None:
    """Find options that do not go together.

    Raises:
        _Unusable: there are some.
    """
    is_bot = args.answer or args.to is not None
    for option in _OF_TWO if is_bot else _OF_BOTS:
        if getattr(args, option.removeprefix("--").replace("-", "_")) not in (None, False):
            only = "a call between two ends" if is_bot else "a bot: --answer, or --to USER"
            raise _Unusable(f"{option} is for {only}")
    for url in args.url or ():
        if not url.startswith(("ws://", "wss://")):
            raise _Unusable(f"--url {url}: a gateway's URL is ws://HOST:PORT/ws, or wss:// with TLS")
    if is_bot and not args.room:
        raise _Unusable("name the room in which the bot shall be: --room R")


def _run_bot(args: argparse.Namespace) -> int:
    from tieline.cli.call.bot_runner import BotTarget, run_bot
    from tieline.cli.call.bot_script import BotScript
    from tieline.cli.call.sound import Unplayable, check_playable, repeated, tones

    sound = functools.partial(tones, CALLEE_HZ if args.answer else CALLER_HZ)
    if args.play is not None:
        try:
            check_playable(args.play)
        except Unplayable as problem:
            raise _Unusable(str(problem)) from None
        sound = functools.partial(repeated, args.play)
    if args.record is not None and not args.record.parent.is_dir():
        raise _Unusable(f"cannot record to {args.record}: there is no folder {args.record.parent}")
    user = args.user or f"bot-{secrets.token_hex(2)}"
    secret = _secret(args)
    if args.token is None:
        _make_token(secret, user, args.room)

    async def fresh_token() -> str:
        return _make_token(secret, user, args.room)

    urls = args.url or _read_ready_file(args.ready_file)
    target = BotTarget(urls, args.token or fresh_token, args.timeout)
    renewal = None if args.token else fresh_token
    script = BotScript(args.room, args.to, args.once, sound, args.record, args.hang_up_after, renewal)
    return EXIT_OK if asyncio.run(run_bot(target, script, _print)) else EXIT_FAILED


def _gateways(args: argparse.Namespace) -> tuple[str, str]:
    """Choose the gateways of the caller and the callee: the same one if there is only one."""
    if args.url is None:
        urls = _read_ready_file(args.ready_file)
    elif len(args.url) > 2:
        raise _Unusable("--url can be given twice: for the caller and for the callee")
    else:
        urls = args.url
    return urls[0], urls[min(1, len(urls) - 1)]


def _read_ready_file(path: Path) -> Sequence[str]:
    try:
        return ready_file.read(path).gateways
    except OSError as problem:
        raise _Unusable(f"cannot read {path}: {problem.strerror}; is `tieline dev` ready yet?") from None
    except ValueError as problem:
        raise _Unusable(f"{path} is not what `tieline dev` writes: {problem}") from None


def _secret(args: argparse.Namespace) -> str:
    try:
        return find_secret(args.secret, os.environ)
    except SettingsError as problem:
        raise _Unusable(str(problem)) from None


def _make_token(secret: str, user: str, room: str) -> str:
    if not secret:
        raise _Unusable(f"{NO_SECRET}, or both tokens")
    try:
        return make_token(secret, user, [room], made_for=made_for(os.environ))
    except ValueError as problem:
        raise _Unusable(str(problem)) from None


def _print(line: str) -> None:
    sys.stdout.write(f"{printable(line)}\n")
    sys.stdout.flush()  # a reader of a pipe sees each step when it happens
