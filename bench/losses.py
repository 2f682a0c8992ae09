"""The death of a gateway, in every system that has a second one: how soon its clients are back on that.

Each system is started for it in each round, loses its first gateway, and is ended: with what is left of it
nothing else is compared. Which system has none to lose, and why, is in `bench.systems`.
"""

import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager

from bench.rounds import STORM, FaultyRun, Results
from bench.systems import System
from tieline.client.gateway_pool import BACKOFF_BASE_S
from tieline.load.figures import Figures
from tieline.load.measurement import Measurement
from tieline.load.processes import Pids
from tieline.load.storm import measure_storm

Starters = Mapping[str, Callable[[], AbstractAsyncContextManager[System]]]


async def _nothing() -> None:
    """Do nothing before the gateway dies."""


async def lose_a_gateway(
    system: System, sessions: int, before: Callable[[], Awaitable[None]] = _nothing
) -> Figures:
    """Let so many clients arrive on the first gateway, kill that after `before`, and time their return.

    CPU time is that of the processes that were there before and live: a gateway that is started in its place
    has nothing to do with the returns.

    Raises:
        LoadError, UpgradeRefused, OSError, TimeoutError: a client could not connect, or none came back.
    """
    dying = next(iter(system.pids()[system.edge]))
    left: Pids = {part: [pid for pid in members if pid != dying] for part, members in system.pids().items()}
    measured = Measurement(lambda: left)

    async def kill() -> None:
        await before()
        os.kill(dying, signal.SIGKILL)

    await measure_storm(system.target, sessions, BACKOFF_BASE_S, measured, kill)
    return measured.figures()


async def measure_losses(starters: Starters, sessions: int, rounds: int, results: Results) -> None:
    """Let each system lose a gateway in each round, one after the other.

    Raises:
        FaultyRun: a session that was promised to be resumed was not.
        StartError, LoadError, UpgradeRefused, OSError, TimeoutError: no figures, and why.
    """
    for number in range(1, rounds + 1):
        for start in starters.values():
            async with start() as system:
                figures = await lose_a_gateway(system, sessions)
            what = f"round {number} of {rounds}, {STORM}: all back after {figures.more['all back, s']:.2f} s"
            sys.stderr.write(f"{system.name}: {what}, p50 {figures.p50_ms:.2f} ms\n")
            if figures.faults or figures.count < sessions:
                raise FaultyRun(
                    f"{system.name}: {what}: {figures.faults}, {sessions - figures.count} not back"
                )
            results.found.setdefault(STORM, {}).setdefault(system.name, []).append(figures)
