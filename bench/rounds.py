"""The order of the measurements: every system in every round, one after the other, never two at once."""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from bench.systems import System
from tieline.load.arrivals import measure_arrivals
from tieline.load.calls import Kind, measure_calls
from tieline.load.client import Target
from tieline.load.figures import Figures
from tieline.load.idle import measure_idle
from tieline.load.measurement import Measurement
from tieline.load.open_loop import measure_load
from tieline.load.processes import cpu_seconds_of
from tieline.load.relay import measure_relay

QUIET_WINDOW_S: Final = 0.5
QUIET_SHARE: Final = 0.06
"""All systems at rest use a smaller share of one core than this: heartbeats and pings."""

QUIET_TIMEOUT_S: Final = 30.0
"""For a system to finish its work after a measurement; then the next measurement begins in any case."""

IDLE_WINDOW_S: Final = 1.0
"""For which idle sessions are looked at: what is compared is their memory, which was taken before."""

WARM_UP_PAIRS: Final = 50
WARM_UP_S: Final = 3.0
"""Before the rounds: an engine that compiles while it runs, as Node's, is slow for its first seconds."""

LOAD: Final = "load"
CONNECT: Final = "connect"
IDLE: Final = "idle"
STORM: Final = "storm"

MOST_ARRIVALS: Final = 10_000
"""Users who come and stay while arrivals are measured: each has a descriptor at both ends."""


class FaultyRun(Exception):
    """Messages were lost, repeated, changed or refused: the measurement is worthless."""


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    rounds: int
    seconds: float
    pairs: tuple[int, ...] = ()
    """Of the closed loop, one measurement each."""
    load_pairs: int = 0
    """Of the open loop; 0: not measured."""
    rate: float = 0
    """Of the open loop, signals a second."""
    calls: tuple[Kind, ...] = ()
    """Call set-ups, one measurement each."""
    arrivals_at_once: int = 0
    """0: not measured."""
    idle: int = 0
    """Idle sessions; 0: not measured."""
    storm: int = 0
    """Clients of a gateway that dies (`bench.losses`); 0: not measured."""


class What(NamedTuple):
    """One measurement that every system is put to in each round."""

    name: str
    measure: Callable[[Target, Measurement], Coroutine[None, None, None]]
    needs_relay: bool = False
    """Whether an echo cannot do it."""


@dataclass
class Results:
    """What was measured: by the measurement's name, by the system's name, one entry a round."""

    found: dict[str, dict[str, list[Figures]]] = field(default_factory=dict)


def measurements(plan: Plan) -> list[What]:
    """List what each round measures, in this order."""
    listed = [_relay(pairs, plan.seconds) for pairs in plan.pairs]
    if plan.load_pairs:
        listed.append(_load(plan.load_pairs, plan.rate, plan.seconds))
    listed += [_setup(kind, plan.seconds) for kind in plan.calls]
    if plan.arrivals_at_once:
        listed.append(_connect(plan.arrivals_at_once, plan.seconds))
    return listed


def _relay(pairs: int, seconds: float) -> What:
    async def measure(target: Target, measured: Measurement) -> None:
        await measure_relay(target, pairs, seconds, measured)

    return What(relay_name(pairs), measure)


def _load(pairs: int, rate: float, seconds: float) -> What:
    async def measure(target: Target, measured: Measurement) -> None:
        await measure_load(target, pairs, rate, 0, seconds, measured)

    return What(LOAD, measure)


def _setup(kind: Kind, seconds: float) -> What:
    at_once, redial, in_a_room = kind

    async def measure(target: Target, measured: Measurement) -> None:
        await measure_calls(target, at_once, seconds, measured, redial=redial, in_a_room=in_a_room)

    return What(kind.name, measure, needs_relay=True)


def _connect(at_once: int, seconds: float) -> What:
    async def measure(target: Target, measured: Measurement) -> None:
        await measure_arrivals(target, at_once, seconds, MOST_ARRIVALS, measured)

    return What(CONNECT, measure, needs_relay=True)


def _idle(sessions: int) -> What:
    async def measure(target: Target, measured: Measurement) -> None:
        await measure_idle(target, sessions, IDLE_WINDOW_S, measured)

    return What(IDLE, measure)


def relay_name(pairs: int) -> str:
    """Name the closed loop of so many pairs."""
    return "1 pair" if pairs == 1 else f"{pairs} pairs"


async def measure(systems: Sequence[System], plan: Plan) -> Results:
    """Measure all of the plan. Memory comes first, while the processes are fresh.

    Raises:
        FaultyRun: a message was not relayed as it should be.
        LoadError, UpgradeRefused, OSError, TimeoutError: a step of a set-up failed.
        FileNotFoundError: a process has ended.
    """
    results = Results()
    if plan.idle:
        for system in systems:
            await _measure(_idle(plan.idle), system, systems, results, "before all rounds")
    for system in systems:
        await measure_relay(system.target, WARM_UP_PAIRS, max(WARM_UP_S, plan.seconds), Measurement())
    for number in range(1, plan.rounds + 1):
        for what in measurements(plan):
            for system in systems:
                if not (what.needs_relay and system.target.echoes):
                    await _measure(what, system, systems, results, f"round {number} of {plan.rounds}")
    return results


async def _measure(
    what: What, system: System, systems: Sequence[System], results: Results, when: str
) -> None:
    measured = Measurement(system.pids)
    await what.measure(system.target, measured)
    figures = measured.figures()
    results.found.setdefault(what.name, {}).setdefault(system.name, []).append(figures)
    await _after(f"{when}, {what.name}: {in_words(figures)}", system, systems, figures)


def in_words(figures: Figures) -> str:
    """Describe one measurement, for those who watch."""
    if figures.kib:
        return ", ".join(f"{part} {kib:.1f} KiB" for part, kib in figures.kib.items()) + " each"
    return f"{figures.per_second:,.0f} {figures.unit}/s, p50 {figures.p50_ms:.2f} ms"


async def _after(what: str, system: System, systems: Sequence[System], figures: Figures) -> None:
    """Print what was measured, raise if it has faults, and wait until the systems are at rest."""
    sys.stderr.write(f"{system.name}: {what}\n")
    for line in figures.notes:
        sys.stderr.write(f"  {line}\n")
    if figures.faults:
        raise FaultyRun(f"{system.name}: {what}: {figures.faults}")
    if not await until_quiet(systems, QUIET_TIMEOUT_S):
        sys.stderr.write(f"{system.name}: still busy {QUIET_TIMEOUT_S:g} s later\n")


async def until_quiet(systems: Sequence[System], timeout_s: float) -> bool:
    """Wait until the systems have done what there was to do, so long at most; returns whether they have."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    used = _used(systems)
    while asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(QUIET_WINDOW_S)
        before, used = used, _used(systems)
        if used - before < QUIET_SHARE * QUIET_WINDOW_S:
            return True
    return False


def _used(systems: Sequence[System]) -> float:
    return sum(sum(cpu_seconds_of(system.pids()).values()) for system in systems)
