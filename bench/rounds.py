"""The order of the measurements: every system in every round, one after the other, never two at once."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from bench.systems import System
from tieline.load.calls import measure_calls
from tieline.load.faults import Faults
from tieline.load.figures import CallFigures, RelayFigures
from tieline.load.idle import measure_idle
from tieline.load.processes import cpu_seconds_of
from tieline.load.relay import measure_relay

QUIET_WINDOW_S: Final = 0.5
QUIET_SHARE: Final = 0.06
"""All systems at rest use a smaller share of one core than this: heartbeats and pings."""

QUIET_TIMEOUT_S: Final = 30.0
"""For a system to finish its work after a measurement; then the next measurement begins in any case."""


class FaultyRun(Exception):
    """Messages were lost, repeated, changed or refused: the measurement is worthless."""


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    rounds: int
    seconds: float
    pairs: tuple[int, ...]
    calls_at_once: int
    idle: int
    """Idle sessions; 0: not measured."""


@dataclass
class Results:
    """What was measured, by the system's name; one entry a round."""

    relay: dict[str, dict[int, list[RelayFigures]]] = field(default_factory=dict)
    calls: dict[str, list[CallFigures]] = field(default_factory=dict)
    idle_kib: dict[str, float] = field(default_factory=dict)


async def measure(systems: Sequence[System], plan: Plan) -> Results:
    """Measure all of the plan. Memory comes first, while the processes are fresh.

    Raises:
        FaultyRun: a message was not relayed as it should be.
        LoadError, UpgradeRefused, OSError, TimeoutError: a step of a set-up failed.
        FileNotFoundError: a process has ended.
    """
    results = Results({system.name: {count: [] for count in plan.pairs} for system in systems})
    if plan.idle:
        for system in systems:
            (edge, *_) = system.pids()[system.edge]
            kib, faults = await measure_idle(system.target, plan.idle, edge)
            results.idle_kib[system.name] = kib
            await _after(f"{plan.idle} idle sessions, {kib:.1f} KiB each", system, systems, faults)
    for number in range(1, plan.rounds + 1):
        title = f"round {number} of {plan.rounds}"
        for count in plan.pairs:
            for system in systems:
                figures, faults = await measure_relay(system.target, count, plan.seconds, system.pids)
                results.relay[system.name][count].append(figures)
                rate, p50 = figures.signals_per_second, figures.p50_ms
                what = f"{title}, {count} pairs: {rate:,.0f} signals/s, {p50:.2f} ms"
                await _after(what, system, systems, faults)
        for system in systems:
            if not system.target.echoes:
                calls, faults = await measure_calls(system.target, plan.calls_at_once, plan.seconds)
                results.calls.setdefault(system.name, []).append(calls)
                await _after(f"{title}, {calls.calls_per_second:,.0f} calls/s", system, systems, faults)
    return results


async def _after(what: str, system: System, systems: Sequence[System], faults: Faults) -> None:
    """Print what was measured, raise if it has faults, and wait until the systems are at rest."""
    sys.stderr.write(f"{system.name}: {what}\n")
    if faults:
        raise FaultyRun(f"{system.name}: {what}: {faults}")
    deadline = asyncio.get_running_loop().time() + QUIET_TIMEOUT_S
    used = _used(systems)
    while asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(QUIET_WINDOW_S)
        before, used = used, _used(systems)
        if used - before < QUIET_SHARE * QUIET_WINDOW_S:
            return
    sys.stderr.write(f"{system.name}: still busy {QUIET_TIMEOUT_S:g} s later\n")


def _used(systems: Sequence[System]) -> float:
    return sum(sum(cpu_seconds_of(system.pids()).values()) for system in systems)
