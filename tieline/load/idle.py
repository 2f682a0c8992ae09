"""Idle sessions: what each adds to the memory of the process that serves it."""

import asyncio
import uuid
from typing import Final

from tieline.load.client import LoadClient, Target, arrive_all, leave
from tieline.load.faults import Faults
from tieline.load.processes import resident_kib

SETTLE_S: Final = 1.0
"""For subscriptions and closing handshakes that opening has started to be completed."""

FIRST_SESSIONS: Final = 50
"""Opened and closed before: the first sessions of a process load code, which is not memory a connection."""


async def measure_idle(target: Target, sessions: int, pid: int) -> tuple[float, Faults]:
    """Open `sessions` idle sessions on the sender's server, process `pid`; return its KiB a session.

    Raises:
        LoadError, UpgradeRefused, OSError, TimeoutError: a session could not be opened.
        FileNotFoundError: the process has ended.
    """
    faults = await leave(await _open(target, FIRST_SESSIONS))
    await asyncio.sleep(SETTLE_S)
    before = resident_kib(pid)
    clients = await _open(target, sessions)
    await asyncio.sleep(SETTLE_S)
    after = resident_kib(pid)
    faults += await leave(clients)
    return (after - before) / sessions, faults


async def _open(target: Target, sessions: int) -> list[LoadClient]:
    name = f"idle_{uuid.uuid4().hex[:8]}"
    return await arrive_all(target, (f"{name}_{number}" for number in range(sessions)), target.sender_url)
