"""Idle sessions: what each adds to the memory of the processes that serve it, and what it costs to have."""

import asyncio
import uuid
from collections.abc import Mapping
from typing import Final

from tieline.load.arrivals import part
from tieline.load.client import LoadClient, Target, arrive_all
from tieline.load.measurement import Measurement, Subject
from tieline.load.processes import Pids, resident_kib

SETTLE_S: Final = 1.0
"""For subscriptions and closing handshakes that opening has started to be completed."""

FIRST_SESSIONS: Final = 50
"""Opened and closed before: the first sessions of a process load code, which is not memory a connection."""

SESSIONS_PER_COST: Final = 1000
"""CPU seconds are given for so many sessions that are there for the time that was asked for."""


LEAST_KIB: Final = 4.0
"""A connection takes more memory than this: one that adds less has what an earlier one has left."""

REUSED: Final = (
    "these connections took memory that the processes had for earlier ones: start the system anew,"
    " and measure one number of connections"
)


async def measure_idle(target: Target, sessions: int, seconds: float, measured: Measurement) -> None:
    """Open `sessions` idle sessions on all gateways, and look for `seconds` at what they cost.

    Raises:
        LoadError, UpgradeRefused, OSError, TimeoutError: a session could not be opened.
        FileNotFoundError: one of the processes has ended.
    """
    asked: dict[str, float | str] = {"connections": sessions}
    measured.describe(Subject("idle", asked, "connections", SESSIONS_PER_COST, counts_time=True))
    await part(await _open(target, FIRST_SESSIONS, measured), measured)
    await asyncio.sleep(SETTLE_S)
    before = _kib(measured.pids())
    clients = await _open(target, sessions, measured)
    await asyncio.sleep(SETTLE_S)
    after = _kib(measured.pids())
    measured.kib.update({name: (after[name] - before[name]) / sessions for name in after})
    if is_reused(measured.kib):
        measured.notes.append(REUSED)
    measured.count = sessions
    measured.start(seconds)
    await asyncio.sleep(seconds)
    measured.stop()
    await part(clients, measured)


def is_reused(kib: Mapping[str, float]) -> bool:
    """Whether connections that added so much, by the part of the system, took what earlier ones have left."""
    return bool(kib) and sum(kib.values()) < LEAST_KIB


def _kib(pids: Pids) -> dict[str, float]:
    return {name: sum(map(resident_kib, members)) for name, members in pids.items()}


async def _open(target: Target, sessions: int, measured: Measurement) -> list[LoadClient]:
    name = f"idle_{uuid.uuid4().hex[:8]}"
    return await arrive_all(
        target,
        (f"{name}_{number}" for number in range(sessions)),
        target.urls,
        lambda count: measured.step("open connections", count, sessions),
    )
