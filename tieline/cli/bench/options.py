"""What can be asked of `tieline bench`: six modes, each with options of its own, and what makes no sense."""

import argparse
from pathlib import Path
from typing import Final

from tieline.cli.options import number, seconds, whole
from tieline.cli.secret import SECRET_FILE_VARIABLE
from tieline.tokens import SECRET_VARIABLE

DEFAULT_MODE: Final = "relay"
"""What is measured where no mode is named, as before there were others."""

MODES: Final = {
    "relay": "closed loop: each pair sends the next signal when one has arrived",
    "load": "open loop: signals at a fixed rate, however long they take, while pairs come and go",
    "setup": "call set-ups a second: offer, answer, and ten candidates each way",
    "connect": "arrivals a second, each with a token of its own",
    "idle": "memory and CPU of connections that do nothing",
    "storm": "sessions that lose their gateway all at once, and are resumed",
}

MOST_A_SECOND: Final = 1_000_000.0
"""Above what one process can send, many times over; it keeps a slip of the finger from taking the machine."""

SLOWEST: Final = 0.001
"""Signals a second: one in a quarter of an hour."""

MOST_CHURN: Final = 1000.0
MOST_SPREAD_S: Final = 60.0

_count: Final = whole(1, 1_000_000)
"""Of connections and pairs: more than a machine has descriptors, which is asked for later."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the modes, where the system is, and what is measured."""
    modes = parser.add_subparsers(dest="mode", required=True, metavar="MODE")
    made = {}
    for name, summary in MODES.items():
        made[name] = modes.add_parser(name, help=summary, description=f"{summary}.")
        _add_common(made[name])
    for name, default in (("relay", 5.0), ("load", 10.0), ("setup", 5.0), ("connect", 5.0), ("idle", 5.0)):
        made[name].add_argument(
            "--seconds", metavar="S", type=seconds, default=default, help="for each measurement (%(default)g)"
        )
    made["relay"].add_argument(
        "--pairs",
        metavar="N",
        type=_count,
        nargs="+",
        default=(1, 50, 200),
        help="numbers of pairs (1 50 200)",
    )
    made["relay"].add_argument(
        "--acks", action="store_true", help="senders ask for acks (acks=1), each of which has to come"
    )
    load = made["load"]
    load.add_argument("--pairs", metavar="N", type=_count, default=50, help="so many pairs (%(default)s)")
    load.add_argument(
        "--rate",
        metavar="R",
        type=number(SLOWEST, MOST_A_SECOND),
        nargs="+",
        default=(500.0,),
        help="signals a second, of all (500)",
    )
    load.add_argument(
        "--churn",
        metavar="C",
        type=number(0, MOST_CHURN),
        default=0.0,
        help="so many pairs a second go, and new ones come (0)",
    )
    setup = made["setup"]
    setup.add_argument(
        "--at-once", metavar="N", type=_count, nargs="+", default=(8,), help="so many calls at once (8)"
    )
    setup.add_argument(
        "--of",
        nargs="+",
        choices=("new", "redial"),
        default=("new", "redial"),
        help="pairs that never called before, or that call again and again (both)",
    )
    setup.add_argument(
        "--room",
        nargs="+",
        choices=("own", "shared"),
        default=("own",),
        help="each call in a room that both join and leave for it, or in one that all are in already (own)",
    )
    connect = made["connect"]
    connect.add_argument(
        "--at-once", metavar="N", type=_count, nargs="+", default=(16,), help="so many arrivals at once (16)"
    )
    connect.add_argument(
        "--most", metavar="N", type=_count, default=10_000, help="end when so many are there (%(default)s)"
    )
    made["idle"].add_argument(
        "--connections", metavar="N", type=_count, nargs="+", default=(1000,), help="so many (1000)"
    )
    storm = made["storm"]
    storm.add_argument(
        "--sessions", metavar="N", type=_count, nargs="+", default=(500,), help="so many sessions (500)"
    )
    storm.add_argument(
        "--spread",
        metavar="S",
        type=number(0, MOST_SPREAD_S),
        default=1.0,
        help="they try to come back within so many seconds, as clients do (%(default)g)",
    )
    storm.add_argument(
        "--kill",
        action="store_true",
        help="kill the first gateway of the ready file (SIGKILL); without it, connections are only cut",
    )


def _add_common(parser: argparse.ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--ready-file", metavar="F", type=Path, help="the file that tieline dev wrote")
    where.add_argument(
        "--url",
        metavar="URL",
        action="append",
        help="a gateway's ws:// or wss:// URL; one will do, a second --url is for receivers, more go in turn",
    )
    parser.add_argument(
        "--secret", metavar="SECRET", help=f"instead of {SECRET_VARIABLE} or {SECRET_FILE_VARIABLE}"
    )
    parser.add_argument(
        "--ca", metavar="FILE", type=Path, help="certificates to be trusted for wss://, as PEM"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every figure there")
    parser.add_argument(
        "--picture", metavar="FILE.svg", type=Path, help="draw latencies over time, and how often each was"
    )


def problem_of(options: argparse.Namespace) -> str:
    """Say which option makes no sense with the others; "": none."""
    for url in options.url or ():
        if not url.startswith(("ws://", "wss://")):
            return f"--url {url}: a gateway's URL begins with ws:// or wss://"
    if getattr(options, "kill", False) and options.ready_file is None:
        return "--kill: which process that is, only a ready file says (--ready-file)"
    if options.picture is not None and options.mode == "idle":
        return "--picture: connections that do nothing have no latencies to draw"
    if options.picture is not None and options.picture.suffix != ".svg":
        return f"--picture {options.picture}: only .svg is drawn"
    return ""
