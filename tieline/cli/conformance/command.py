"""`tieline conformance -- DRIVER...`: play all scenarios with a client, and say which promises it broke."""

import argparse
import asyncio
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from tieline.cli.conformance.driver import ProcessChannel
from tieline.cli.conformance.promises import PROMISES
from tieline.cli.conformance.stage import DEFAULT_PATIENCE_S, Outcome, play
from tieline.cli.conformance.talking import SCENARIOS
from tieline.cli.exits import EXIT_FAILED, EXIT_OK, printable, refuse, until_told_to_end
from tieline.cli.options import seconds, whole

AT_ONCE: Final = 5
"""Scenarios mostly wait, and each has a driver to start."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what is asked for."""
    parser.add_argument(
        "--only",
        metavar="NAME",
        action="append",
        choices=SCENARIOS,
        help="this scenario alone; may be given several times",
    )
    parser.add_argument("--list", action="store_true", help="say what happens in each scenario, and end")
    parser.add_argument(
        "--patience",
        metavar="S",
        type=seconds,
        default=DEFAULT_PATIENCE_S,
        help=f"how long a client may take for one thing (default: {DEFAULT_PATIENCE_S:g})",
    )
    parser.add_argument(
        "--at-once",
        metavar="N",
        type=whole(),
        default=AT_ONCE,
        help=f"how many scenarios are played at the same time (default: {AT_ONCE})",
    )
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")
    parser.add_argument(
        "driver", metavar="DRIVER", nargs="*", help="the command that starts the client's driver, behind `--`"
    )


def run(options: argparse.Namespace) -> int:
    """Play; returns the exit status: 0 if the client kept every promise that was tried."""
    if options.list:
        sys.stdout.write("".join(f"{name}: {scenario.__doc__}\n" for name, scenario in SCENARIOS.items()))
        return EXIT_OK
    if not options.driver:
        return refuse("conformance", "which driver? tieline conformance -- COMMAND (docs/conformance.md)")
    names = options.only or list(SCENARIOS)
    driver = options.driver

    def play_all() -> int:
        outcomes = asyncio.run(_play(names, driver, options.patience, options.at_once))
        sys.stdout.write(_as_json(outcomes) if options.json else _as_text(outcomes, driver))
        return (
            EXIT_OK if all(not each.broken and not each.failed for each in outcomes.values()) else EXIT_FAILED
        )

    return until_told_to_end(play_all)


async def _play(
    names: Sequence[str], driver: Sequence[str], patience_s: float, at_once: int
) -> dict[str, Outcome]:
    turns = asyncio.Semaphore(at_once)

    async def play_one(name: str) -> Outcome:
        async with turns:
            return await play(SCENARIOS[name], lambda: ProcessChannel.start(driver), patience_s)

    async with asyncio.TaskGroup() as tasks:
        playing = {name: tasks.create_task(play_one(name)) for name in names}
    return {name: task.result() for name, task in playing.items()}


def _as_text(outcomes: Mapping[str, Outcome], driver: Sequence[str]) -> str:
    failures = {outcome.failed for outcome in outcomes.values()}
    if len(outcomes) > 1 and len(failures) == 1 and (failed := failures.pop()):  # it is about the driver
        return f"failed  all {len(outcomes)} scenarios: {printable(failed)}\n"
    lines = []
    for name, outcome in outcomes.items():
        word = (
            "BROKEN"
            if outcome.broken
            else "failed"
            if outcome.failed
            else "-"
            if outcome.not_tried
            else "kept"
        )
        lines.append(f"{word:6}  {name}: {SCENARIOS[name].__doc__}")
        for broken in outcome.broken:
            promise = PROMISES[broken.promise]
            lines.append(f"          The protocol says: {promise.words} ({promise.place}).")
            lines.append(f"          But {printable(broken.seen)}.")
        lines += [f"          {printable(text)}" for text in (outcome.failed, outcome.not_tried) if text]
    again = [name for name, outcome in outcomes.items() if outcome.broken or outcome.failed]
    kept = sum(not (each.broken or each.failed or each.not_tried) for each in outcomes.values())
    untried = len(outcomes) - kept - len(again)
    said = f"; nothing could be said of {untried}" if untried else ""
    lines.append(f"{kept} of {len(outcomes)} scenarios kept, {len(again)} not{said}")
    if again:
        only = " ".join(f"--only {name}" for name in again)
        lines.append(f"once more: tieline conformance {only} -- {shlex.join(driver)}")
    return "".join(f"{line}\n" for line in lines)


def _as_json(outcomes: Mapping[str, Outcome]) -> str:
    found = [
        {
            "scenario": name,
            "broken": [
                {
                    "promise": each.promise,
                    "words": PROMISES[each.promise].words,
                    "place": PROMISES[each.promise].place,
                    "seen": each.seen,
                }
                for each in outcome.broken
            ],
            "notTried": outcome.not_tried,
            "failed": outcome.failed,
        }
        for name, outcome in outcomes.items()
    ]
    return json.dumps(found, ensure_ascii=False, indent=1) + "\n"
