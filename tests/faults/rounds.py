"""`python -m tests.faults.rounds`: kill a random process of a `tieline dev` under load, round after round.

Prints how long clients were kept waiting, by process, and what became of the messages; ends with 1 if any was
lost, repeated or out of order, or a session was lost.
"""

import argparse
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import uvloop

from tests.support.delivery_report import DeliveryReport
from tests.support.dev_processes import DevProcesses, running_dev
from tests.support.load import Load, running
from tieline.cli.exits import until_told_to_end
from tieline.cli.options import option_parser, whole


class Fault(NamedTuple):
    """One way in which a process may fail."""

    name: str
    kind: str
    processes: int
    """How many processes of that kind there are."""
    signal: signal.Signals


FAULTS: Final = (
    Fault("gateway, kill -9", "gateway", 2, signal.SIGKILL),
    Fault("gateway, SIGTERM", "gateway", 2, signal.SIGTERM),
    Fault("router, kill -9", "router", 2, signal.SIGKILL),
    Fault("presence, kill -9", "presence", 2, signal.SIGKILL),
    Fault("NATS, kill -9", "nats", 1, signal.SIGKILL),
)


def parse(words: list[str]) -> argparse.Namespace:
    """Read the options."""
    parser = option_parser("python -m tests.faults.rounds", __doc__)
    parser.add_argument(
        "--rounds", metavar="N", type=whole(), default=100, help="a fault in each (%(default)s)"
    )
    parser.add_argument("--pairs", metavar="N", type=whole(), default=8, help="that talk (%(default)s)")
    parser.add_argument(
        "--messages", metavar="N", type=whole(), default=50, help="everybody's, a round (%(default)s)"
    )
    parser.add_argument("--seed", metavar="N", type=whole(0), help="to have the same faults again")
    options = parser.parse_args(words)
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(10_000)
    return options


async def rounds(
    options: argparse.Namespace, processes: DevProcesses, tell: Callable[[str], None]
) -> DeliveryReport:
    """Run all rounds; tells each, and the table at the end."""
    chance = random.Random(options.seed)
    pauses: dict[str, list[float]] = defaultdict(list)
    began = time.monotonic()
    async with running(processes.urls, options.pairs, chance=chance) as load:
        await load.progress(options.messages)
        for nth in range(1, options.rounds + 1):
            fault = chance.choice(FAULTS)
            which = chance.randrange(fault.processes)
            pause_s = await one(load, processes, fault, which, options.messages)
            pauses[fault.name].append(pause_s)
            tell(f"{nth:4} {fault.name} {which}: {pause_s:.2f} s; {faults(load.report())}")
        report = await load.settle()
    tell("")
    tell(f"seed {options.seed}, {options.rounds} rounds in {time.monotonic() - began:.0f} s: {report}")
    tell(f"connections: {dict(load.counts)}")
    tell("")
    tell(table(pauses))
    return report


async def one(load: Load, processes: DevProcesses, fault: Fault, which: int, messages: int) -> float:
    """Make a process fail, wait until it is back and everybody has talked on; returns the longest pause."""
    load.begin_pauses()
    pid = processes.send(fault.signal, fault.kind, which)
    await processes.replaced(load, fault.kind, which, pid)
    await load.progress(messages)
    pause_s = load.longest_pause_s
    await load.spread()
    return pause_s


def faults(report: DeliveryReport) -> str:
    """Say what must not be, and is."""
    return ", ".join(f"{count} {name}" for name, count in report.faults.items()) or "nothing amiss"


def table(pauses: dict[str, list[float]]) -> str:
    """Set out the pauses: each the longest that any client waited for an ack or a message in a round."""
    lines = ["| what died | rounds | min s | median s | max s |", "|---|---|---|---|---|"]
    for name, longest in sorted(pauses.items()):
        figures = f"{min(longest):.2f} | {statistics.median(longest):.2f} | {max(longest):.2f}"
        lines.append(f"| {name} | {len(longest)} | {figures} |")
    return "\n".join(lines)


def main(words: list[str]) -> int:
    """Run, and say with the exit status whether anything was lost."""
    options = parse(words)

    def tell(line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    with tempfile.TemporaryDirectory() as folder, running_dev(Path(folder)) as dev:
        try:
            report = uvloop.run(rounds(options, DevProcesses(dev), tell))
        except BaseException:
            kept = Path(tempfile.gettempdir(), f"tieline-rounds-{options.seed}.log")
            kept.write_text(dev.log)
            tell(f"seed {options.seed}; the log is {kept}")
            raise
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(until_told_to_end(lambda: main(sys.argv[1:])))
