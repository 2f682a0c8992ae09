"""`tieline top`: which users and rooms cost the gateways most, from the ops ports of all of them."""

import argparse
import http.client
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec

from tieline.cli.exits import EXIT_FAILED, note
from tieline.cli.options import seconds, whole
from tieline.wire.ids import is_valid_id

TIMEOUT_S: Final = 5.0
"""For one gateway to answer: one that takes longer is not shown, and named."""

LONGEST_BYTES: Final = 65_536
"""Of an answer: ten users and ten rooms are a tenth of it."""

EVERY_S: Final = 2.0
"""Between two looks; what is shown is of the last minute."""

NOBODY: Final = "no gateway has answered\n"

CLEAR: Final = "\x1b[2J\x1b[H"
"""Of a terminal: clear the screen, and begin in its corner."""

MOST: Final = 2**53
"""That a gateway can have counted: sums of larger numbers would be none."""

Amount = Annotated[float, msgspec.Meta(ge=0, le=MOST)]


class Share(msgspec.Struct, rename="camel"):
    """What one user, or one room, has had done for it in the last minute."""

    name: str
    messages: Amount
    """WEBRTC messages: those from user to user."""
    bytes: Amount
    """Of those messages."""
    cpu_seconds: Amount
    """Of everything that was asked for, and of all processes."""


class Heaviest(msgspec.Struct, rename="camel"):
    """What a gateway says at /heaviest."""

    seconds: Annotated[int, msgspec.Meta(ge=0, le=MOST)]
    users: list[Share]
    rooms: list[Share]

    def __post_init__(self) -> None:
        """Refuse what is no name: a terminal could take it for a command."""
        for share in (*self.users, *self.rooms):
            if not is_valid_id(share.name):
                raise ValueError(f"{share.name!r} is no name of a user or a room")


class Unreachable(Exception):
    """A gateway did not answer as it should; the text says which, and how."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Name the options."""
    parser.add_argument("urls", nargs="+", metavar="URL", help="ops ports of gateways: http://HOST:PORT")
    parser.add_argument("--once", action="store_true", help="show it once, and end")
    parser.add_argument("--json", action="store_true", help="print one JSON object each time")
    parser.add_argument(
        "--every",
        type=seconds,
        default=EVERY_S,
        metavar="S",
        help="look again after so many seconds (%(default)g)",
    )
    parser.add_argument(
        "--count", type=whole(), default=10, metavar="N", help="show so many users and rooms (%(default)d)"
    )


def run(options: argparse.Namespace) -> int:
    """Show who is heaviest, until interrupted."""
    while True:
        answers, problems = [], []
        for url in options.urls:
            try:
                answers.append(ask(url))
            except Unreachable as problem:
                problems.append(str(problem))
        shown = added_up(answers, options.count)
        if options.json:
            sys.stdout.write(msgspec.json.encode(shown).decode() + "\n")
        else:
            clear = CLEAR if sys.stdout.isatty() and not options.once else ""
            sys.stdout.write(clear + (table(shown) if answers else NOBODY))
        sys.stdout.flush()
        for line in problems:
            note("top", line)
        if options.once:
            return EXIT_FAILED if problems else 0
        time.sleep(options.every)


def ask(url: str) -> Heaviest:
    """Ask one gateway.

    Raises:
        Unreachable: it does not answer as it should.
    """
    try:
        parts = urlsplit(url if "//" in url else f"//{url}")
        until = time.monotonic() + TIMEOUT_S
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=TIMEOUT_S)
        try:
            connection.request("GET", "/heaviest")
            answer = connection.getresponse()
            body = _read(answer, until)
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise Unreachable(f"{url}: status {answer.status}; {_hint(body)}")
        return msgspec.json.decode(body, type=Heaviest)
    except (OSError, ValueError, RecursionError, http.client.HTTPException, msgspec.MsgspecError) as problem:
        raise Unreachable(f"{url}: {getattr(problem, 'strerror', None) or problem}") from None


def _read(answer: http.client.HTTPResponse, until: float) -> bytes:
    """Read an answer, unless it is too long, or not here in time."""
    body = bytearray()
    while part := answer.read1(LONGEST_BYTES):
        body += part
        if len(body) > LONGEST_BYTES:
            raise ValueError(f"its answer is longer than {LONGEST_BYTES} bytes")
        if time.monotonic() > until:
            raise TimeoutError(f"its answer is not here within {TIMEOUT_S:g} s")
    return bytes(body)


def _hint(body: bytes) -> str:
    """Say what is wrong with a port that has no /heaviest: clients are refused there in JSON."""
    if b'"reason":"NOT_FOUND"' in body:
        return "this is the port for clients: name the gateway's ops port (TIELINE_OPS_PORT)"
    return "only gateways have /heaviest, on their ops ports"


def added_up(answers: Sequence[Heaviest], count: int) -> Heaviest:
    """Add up what several gateways say; who is among the heaviest of none is not known."""
    return Heaviest(
        max((answer.seconds for answer in answers), default=0),
        _sums((share for answer in answers for share in answer.users), count),
        _sums((share for answer in answers for share in answer.rooms), count),
    )


def _sums(shares: Iterable[Share], count: int) -> list[Share]:
    sums: dict[str, Share] = {}
    for share in shares:
        one = sums.setdefault(share.name, Share(share.name, 0, 0, 0))
        one.messages += share.messages
        one.bytes += share.bytes
        one.cpu_seconds += share.cpu_seconds
    heaviest = sorted(sums.values(), key=lambda share: -share.cpu_seconds)[:count]
    return [Share(one.name, round(one.messages), round(one.bytes), one.cpu_seconds) for one in heaviest]


def table(shown: Heaviest) -> str:
    """Render it for a terminal. Control characters are not among names (docs/protocol.md#2-envelope)."""
    lines = [f"the last {shown.seconds} s; CPU is that of everything asked for, signals are WEBRTC messages"]
    if not shown.users and not shown.rooms:
        return f"nobody has asked for anything in the last {shown.seconds} s\n"
    for kind, shares in (("user", shown.users), ("room", shown.rooms)):
        lines += ["", f"{'signals':>10} {'KiB':>10} {'CPU s':>8}  {kind}"]
        lines += [
            f"{share.messages:>10,.0f} {share.bytes / 1024:>10,.0f} {share.cpu_seconds:>8.3f}  {share.name}"
            for share in shares
        ]
    return "\n".join(lines) + "\n"
