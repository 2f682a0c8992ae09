"""`python -m bench.storm`: kill a gateway with thousands of clients, and time their return to another one.

All clients of one gateway can resume (`tieline.load.storm`). Meanwhile other pairs go on sending on the
gateway that lives. Ends with 1 if a session was not resumed, or a message has a fault.
"""

import argparse
import asyncio
import sys
from typing import Final

from bench import machine
from bench.command import end_with
from bench.losses import lose_a_gateway
from bench.systems import tieline
from tieline.cli.exits import EXIT_FAILED, EXIT_OK
from tieline.cli.options import option_parser, whole
from tieline.load.client import Target
from tieline.load.faults import Faults
from tieline.load.figures import Figures
from tieline.load.measurement import Measurement
from tieline.load.relay import measure_relay

TALK_S: Final = 8.0
"""For which the pairs send: before the storm, and through it."""

CALM_S: Final = 1.0
"""From the start of the second measurement until the gateway is killed."""


class Awaited(Measurement):
    """A measurement for whose start one can wait."""

    def __init__(self) -> None:
        super().__init__()
        self.has_started = asyncio.Event()

    def start(self, seconds: float = 0.0) -> None:
        """Begin to count, as every measurement does."""
        super().start(seconds)
        self.has_started.set()


async def storm(options: argparse.Namespace) -> tuple[str, bool]:
    """Run it; returns the lines to be printed, and whether there were no faults."""
    async with tieline() as system:
        assert system.target.receiver_url is not None
        living = system.target.receiver_url
        talking = Target(living, living, system.target.secret)
        calm, stormy = Measurement(), Awaited()
        async with asyncio.TaskGroup() as group:

            async def talk() -> None:
                if options.pairs:
                    await measure_relay(talking, options.pairs, TALK_S, calm)
                    group.create_task(measure_relay(talking, options.pairs, TALK_S, stormy))
                    await stormy.has_started.wait()
                    await asyncio.sleep(CALM_S)

            figures = await lose_a_gateway(system, options.sessions, talk)
    assert figures.latency_ms is not None
    lines = [
        f"{figures.count} sessions: all back after {figures.more['all back, s']:.2f} s, each p50"
        f" {figures.p50_ms:.0f} ms, p99 {figures.p99_ms:.0f} ms after its first attempt;"
        f" {figures.more['failed attempts']:g} attempts failed, {figures.faults.not_resumed} not resumed."
    ]
    faults = figures.faults
    if options.pairs:
        before, through = calm.figures(), stormy.figures()
        faults = Faults()
        faults += figures.faults
        faults += through.faults
        lines.append(
            f"{options.pairs} pairs that sent meanwhile: {_describe(before)} before, {_describe(through)}"
            f" through it; faults: {through.faults or 'none'}."
        )
    return "\n".join(lines), not faults


def _describe(figures: Figures) -> str:
    ways = f"p50 {figures.p50_ms:.2f} ms, p99 {figures.p99_ms:.2f} ms"
    return f"{figures.per_second:,.0f} signals/s, {ways}"


def parse(words: list[str]) -> argparse.Namespace:
    """Read the options."""
    parser = option_parser("python -m bench.storm", __doc__)
    parser.add_argument(
        "--sessions", type=whole(), metavar="N", default=2000, help="on the gateway that dies (%(default)s)"
    )
    parser.add_argument(
        "--pairs", type=whole(0), metavar="N", default=10, help="that send meanwhile; 0: none (%(default)s)"
    )
    return parser.parse_args(words)


async def main(options: argparse.Namespace) -> int:
    """Measure, and print the figures; returns the exit status."""
    said, is_well = await storm(options)
    sys.stdout.write(f"{said}\nMachine: {machine.describe()}.\n")
    return EXIT_OK if is_well else EXIT_FAILED


def run(words: list[str]) -> int:
    """Run the benchmark; returns the exit status."""
    options = parse(words)
    return end_with("bench.storm", lambda: main(options))


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
