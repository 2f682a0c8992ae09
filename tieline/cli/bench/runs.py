"""The measurements that the options of `tieline bench` ask for."""

import argparse
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from tieline.cli import ready_file
from tieline.load.arrivals import measure_arrivals
from tieline.load.calls import Kind, measure_calls
from tieline.load.client import Target
from tieline.load.idle import measure_idle
from tieline.load.limited import NOTE, is_limited
from tieline.load.measurement import Measurement
from tieline.load.open_loop import measure_load
from tieline.load.processes import Pids
from tieline.load.relay import measure_relay
from tieline.load.storm import measure_storm

Measure = Callable[[Measurement], Awaitable[None]]

_ASKING_MUCH: Final = ("relay", "load", "setup")
"""Modes in which one user asks for so much that limits change what is found."""


class Run(NamedTuple):
    """One measurement."""

    name: str
    descriptors: int
    """So many connections at once."""
    measure: Measure


def runs_of(options: argparse.Namespace, target: Target) -> list[Run]:
    """List the measurements, one for each value of the option of which several may be given."""
    runs = _BY_MODE[options.mode](options, target)
    if options.mode not in _ASKING_MUCH:
        return runs
    return [run._replace(measure=_told_of_limits(target, run.measure)) for run in runs]


def pids_of(written: Path | None) -> Pids:
    """The processes, as they are now: `tieline dev` restarts a process that ends."""
    return ready_file.read(written).pids if written is not None else {}


def _told_of_limits(target: Target, measure: Measure) -> Measure:
    """Let a measurement say that its figures are those of limits, where they are."""

    async def look_and_measure(measured: Measurement) -> None:
        measured.step("look for limits", 0, 1)
        if await is_limited(target):
            measured.notes.append(NOTE)
        await measure(measured)

    return look_and_measure


def _relay(options: argparse.Namespace, target: Target) -> list[Run]:
    target = replace(target, acks=options.acks)

    def run(pairs: int) -> Run:
        name = f"{pairs} pair{'s' if pairs > 1 else ''}{', with acks' if options.acks else ''}"
        return Run(name, 2 * pairs, lambda measured: measure_relay(target, pairs, options.seconds, measured))

    return [run(pairs) for pairs in options.pairs]


def _load(options: argparse.Namespace, target: Target) -> list[Run]:
    def run(rate: float) -> Run:
        return Run(
            f"{rate:,g} signals/s, {options.pairs} pairs",
            2 * options.pairs,
            lambda measured: measure_load(
                target, options.pairs, rate, options.churn, options.seconds, measured
            ),
        )

    return [run(rate) for rate in options.rate]


def _setup(options: argparse.Namespace, target: Target) -> list[Run]:
    def run(kind: Kind) -> Run:
        at_once, redial, in_a_room = kind
        return Run(
            kind.name,
            sum(2 * pool.callers + 1 for pool in kind.pools(options.seconds)),
            lambda measured: measure_calls(
                target, at_once, options.seconds, measured, redial=redial, in_a_room=in_a_room
            ),
        )

    return [
        run(Kind(at_once, of == "redial", room == "shared"))
        for at_once in options.at_once
        for of in dict.fromkeys(options.of)
        for room in dict.fromkeys(options.room)
    ]


def _connect(options: argparse.Namespace, target: Target) -> list[Run]:
    def run(at_once: int) -> Run:
        return Run(
            f"{at_once} at once",
            options.most,
            lambda measured: measure_arrivals(target, at_once, options.seconds, options.most, measured),
        )

    return [run(at_once) for at_once in options.at_once]


def _idle(options: argparse.Namespace, target: Target) -> list[Run]:
    def run(connections: int) -> Run:
        return Run(
            f"{connections:,} connections",
            connections,
            lambda measured: measure_idle(target, connections, options.seconds, measured),
        )

    return [run(connections) for connections in options.connections]


def _storm(options: argparse.Namespace, target: Target) -> list[Run]:
    async def kill() -> None:
        os.kill(next(iter(pids_of(options.ready_file)["gateway"])), signal.SIGKILL)

    def run(sessions: int) -> Run:
        return Run(
            f"{sessions:,} sessions",
            sessions,
            lambda measured: measure_storm(
                target, sessions, options.spread, measured, kill if options.kill else None
            ),
        )

    return [run(sessions) for sessions in options.sessions]


_BY_MODE: dict[str, Callable[[argparse.Namespace, Target], list[Run]]] = {
    "relay": _relay,
    "load": _load,
    "setup": _setup,
    "connect": _connect,
    "idle": _idle,
    "storm": _storm,
}
