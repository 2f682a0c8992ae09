"""`python -m bench`: start the systems, measure them round by round, print the tables, end everything."""

import argparse
import os
import shlex
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import msgspec

from bench import machine
from bench.command import end_with
from bench.losses import measure_losses
from bench.rounds import FaultyRun, Plan, Results, measure
from bench.systems import NO_STORM, STARTERS, USUAL_SYSTEMS, System, why_no_socketio
from bench.table import render
from tieline.cli.options import number, option_parser, seconds, whole
from tieline.load.calls import Kind

COMPARED: Final = "Tieline"
"""Whose ratio to each other system is shown."""

LOAD_PAIRS: Final = 50
"""Over which the open loop sends."""

MODES: Final = ("relay", "load", "setup", "connect", "idle", "storm")
"""What is measured of every system, as `tieline bench` calls it."""

ROOMS: Final = ("own", "shared")
"""Where calls are set up, as `tieline bench setup` calls it; other systems have no rooms."""

REDIALLING_AT_ONCE: Final = 8
"""Calls at once from which pairs are measured that redial, too: one alone finds nothing new."""


def parse(words: list[str]) -> argparse.Namespace:
    """Read the options; `--quick` only changes what the other options are if not given."""
    parser = option_parser(
        "python -m bench",
        "Measure Tieline beside other relays and a bare echo, alternately: signals a second, their\n"
        "milliseconds, CPU seconds, call set-ups and arrivals a second, KiB an idle connection,\n"
        "and the return of the clients of a gateway that dies.",
    )
    parser.add_argument("--quick", action="store_true", help="one short round, for a first look")
    parser.add_argument("--rounds", type=whole(), metavar="N", help="so many rounds (3; quick: 1)")
    parser.add_argument(
        "--seconds", type=seconds, metavar="S", help="each lasts so many seconds (3; quick: 1)"
    )
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES, help="measure only these")
    parser.add_argument(
        "--pairs", type=whole(), nargs="+", metavar="N", default=[1, 50, 200], help="that send (1 50 200)"
    )
    parser.add_argument(
        "--rate",
        type=number(1, 1_000_000),
        metavar="R",
        default=2000.0,
        help="of the open loop, signals/s (%(default)g)",
    )
    parser.add_argument(
        "--calls", type=whole(), nargs="+", metavar="N", default=[1, 8], help="call set-ups at once (1 8)"
    )
    parser.add_argument(
        "--room",
        nargs="+",
        choices=ROOMS,
        default=ROOMS,
        help="set-ups in rooms that both join and leave for the call, or in one that all are in (both)",
    )
    parser.add_argument(
        "--arrivals", type=whole(), metavar="N", default=16, help="arrivals at once (%(default)s)"
    )
    parser.add_argument(
        "--idle", type=whole(0), metavar="N", help="so many idle sessions, 0: none (2000; quick: 500)"
    )
    parser.add_argument(
        "--storm", type=whole(0), metavar="N", help="clients whose gateway dies, 0: none (2000; quick: 200)"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every figure of every round there")
    parser.add_argument("--systems", nargs="+", choices=list(STARTERS), help="measure only these")
    options = parser.parse_args(words)
    usual: dict[str, float] = {"rounds": 3, "seconds": 3.0, "idle": 2000, "storm": 2000}
    quick: dict[str, float] = {"rounds": 1, "seconds": 1.0, "idle": 500, "storm": 200}
    for name, value in (quick if options.quick else usual).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def plan_of(options: argparse.Namespace) -> Plan:
    """Make a plan of the options."""
    modes = options.modes
    return Plan(
        rounds=options.rounds,
        seconds=options.seconds,
        pairs=tuple(options.pairs) if "relay" in modes else (),
        load_pairs=LOAD_PAIRS if "load" in modes else 0,
        rate=options.rate,
        calls=_calls_of(options) if "setup" in modes else (),
        arrivals_at_once=options.arrivals if "connect" in modes else 0,
        idle=options.idle if "idle" in modes else 0,
        storm=options.storm if "storm" in modes else 0,
    )


def _calls_of(options: argparse.Namespace) -> tuple[Kind, ...]:
    """List the set-ups: new pairs and such that redial with rooms of their own, new ones in a shared room."""
    kinds = []
    for at_once in options.calls:
        if "own" in options.room:
            kinds.append(Kind(at_once))
            if at_once >= REDIALLING_AT_ONCE:
                kinds.append(Kind(at_once, redial=True))
        if "shared" in options.room:
            kinds.append(Kind(at_once, in_a_room=True))
    return tuple(kinds)


async def main(options: argparse.Namespace, command: str) -> int:
    """Measure, and print the tables; returns the exit status.

    Raises:
        StartError, FaultyRun, LoadError, UpgradeRefused, OSError, TimeoutError: no figures, and why.
    """
    plan = plan_of(options)
    words = list(dict.fromkeys(options.systems or USUAL_SYSTEMS))
    left_out = why_no_socketio()
    if options.systems is None and left_out:
        sys.stderr.write(f"bench: socket.io + Redis IS LEFT OUT: {left_out}\n")
        words.remove("socketio")
    results, edges = Results(), dict[str, str]()
    if any(what != "storm" for what in options.modes):
        async with AsyncExitStack() as stack:
            systems: list[System] = [await stack.enter_async_context(STARTERS[word]()) for word in words]
            results = await measure(systems, plan)
        edges = {system.name: system.edge for system in systems}
    if plan.storm:
        losing = {word: STARTERS[word] for word in words if word not in NO_STORM}
        await measure_losses(losing, plan.storm, plan.rounds, results)
    sys.stdout.write(f"{render(results, plan, COMPARED, edges)}\n\n")
    rounds = f"Medians of {plan.rounds} interleaved rounds" if plan.rounds > 1 else "One round"
    sys.stdout.write(f"{rounds}; ratios within each round, with the lowest and the highest.\n")
    sys.stdout.write("A broker has all processors, or half of them, as Tieline's has; Redis uses one.\n")
    for word in words:
        if plan.storm and word in NO_STORM:
            sys.stdout.write(f"Without a storm: {NO_STORM[word]}.\n")
    if "socketio" not in words:
        sys.stdout.write(f"Without socket.io + Redis: {left_out or 'it was not asked for'}.\n")
    sys.stdout.write(f"Machine: {machine.describe()}.\nCommand: `{command}`.\n")
    if options.json is not None:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    return os.EX_OK


def run(words: list[str]) -> int:
    """Run the benchmark; return the exit status."""
    options = parse(words)
    command = shlex.join(("python", "-m", "bench", *words))
    return end_with("bench", lambda: main(options, command), (FaultyRun,))


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
