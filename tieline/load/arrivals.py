"""Arrivals: users who come, each with a token made for it just before, and stay until the end."""

import itertools
from typing import Final

from tieline.load.client import LoadClient, Target, arrive, leave
from tieline.load.measurement import Measurement, Subject, clock
from tieline.load.pairs import new_name
from tieline.load.side_by_side import side_by_side

ARRIVALS_PER_COST: Final = 1000
"""CPU seconds are given for so many arrivals."""

FIRST_ARRIVALS: Final = 50
"""Before counting: the first sessions of a process load code."""

PARTING_AT_ONCE: Final = 64
"""Connections closed at once at the end: more would have to wait for each other's closing handshakes."""


async def measure_arrivals(
    target: Target, at_once: int, seconds: float, most: int, measured: Measurement
) -> None:
    """Keep `at_once` arrivals under way for `seconds`, or until `most` users are there.

    An arrival takes from the beginning of the TCP handshake until the WELCOME.

    Raises:
        LoadError, UpgradeRefused, OSError, TimeoutError: one did not arrive.
        FileNotFoundError: one of the processes has ended.
    """
    asked: dict[str, float | str] = {"at once": at_once, "most": most}
    measured.describe(Subject("connect", asked, "arrivals", ARRIVALS_PER_COST))
    name = new_name()
    numbers = itertools.count()
    clients: list[LoadClient] = []

    async def keep_arriving(last: int, deadline: float) -> None:
        while clock() < deadline:
            number = next(numbers)
            if number >= last:
                return
            user = f"{name}_{number}"
            headers = target.headers(user)
            began = clock()
            client = await arrive(target, user, target.urls[number % len(target.urls)], headers)
            now = clock()
            measured.latencies.add(now, now - began)
            clients.append(client)

    first = min(FIRST_ARRIVALS, most)
    await side_by_side(keep_arriving(first, float("inf")) for _ in range(at_once))
    numbers = itertools.count(first)
    measured.start(seconds)
    deadline = clock() + seconds
    await side_by_side(keep_arriving(first + most, deadline) for _ in range(at_once))
    measured.stop()
    await part(clients, measured)


async def part(clients: list[LoadClient], measured: Measurement) -> None:
    """Close all connections, a part of them at a time."""
    for start in range(0, len(clients), PARTING_AT_ONCE):
        measured.faults += await leave(clients[start : start + PARTING_AT_ONCE])
        measured.step("close connections", start, len(clients))
