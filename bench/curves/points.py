"""One point of a curve: a system of that size is started, measured and ended."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from bench.bucket import fill, kill_and_wait
from bench.cluster import tieline_on_three
from bench.crowd import crowd
from bench.curves.results import Found, How
from bench.people import Person
from bench.prices import Scene
from bench.rounds import FaultyRun, until_quiet
from bench.systems import Size, System, tieline
from tieline.load.calls import CALLS_PER_COST, measure_calls
from tieline.load.figures import Figures
from tieline.load.idle import FIRST_SESSIONS, SETTLE_S
from tieline.load.measurement import Measurement
from tieline.load.open_loop import measure_load
from tieline.load.processes import cpu_seconds_of, resident_kib
from tieline.load.relay import SIGNALS_PER_COST, measure_relay

PAIRS: Final = 50
CALLS_AT_ONCE: Final = 4
IDLE: Final = 1000
"""Connections that are weighed where they are not what the curve is about."""

WARM_UP_S: Final = 1.0
"""Before the first figure of a system: its first messages load code."""

QUIET_TIMEOUT_S: Final = 5.0
"""For the end of the warm-up's sessions; beside many connections a system is never quiet."""

TIMES: Final = 160
"""How often each thing is asked for in a room, at least: until it has cost half a second of CPU."""

KIB_PER_MIB: Final = 1024

AT_REST: Final = "CPU ms a second at rest"
SIGNALS: Final = "CPU s per 100,000 signals"
SETUPS: Final = "CPU s per 1,000 set-ups"
SETUP_MS: Final = "a set-up's p50, ms"
KIB: Final = "KiB a connection, all processes"
GATEWAY_KIB: Final = "KiB a connection, gateways"
JOINS: Final = "CPU s per 1,000 JOINs with LEAVE"
LISTS: Final = "CPU s per 1,000 MEMBERS"
BROKER_MIB: Final = "MiB of the broker"
HAS_RECORDS: Final = "killed node has its records after s"
LETS_IN: Final = "a newcomer is in after s"


async def _checked(measured: Measurement, measuring: Awaitable[None]) -> Figures:
    """Measure.

    Raises:
        FaultyRun: a message was not relayed as it should be.
    """
    await measuring
    figures = measured.figures()
    if figures.faults:
        raise FaultyRun(str(figures.faults))
    return figures


async def _signals(system: System, how: How) -> Figures:
    """Send at a rate, so that what a signal costs does not depend on how many there are at once."""
    measured = Measurement(system.pids)
    return await _checked(measured, measure_load(system.target, PAIRS, how.rate, 0, how.seconds, measured))


async def _setups(system: System, how: How) -> Figures:
    measured = Measurement(system.pids)
    return await _checked(measured, measure_calls(system.target, CALLS_AT_ONCE, how.seconds, measured))


async def _at_rest(system: System, how: How) -> float:
    """Return the CPU seconds that the system uses in a second in which nobody asks for anything.

    They are no part of what a signal or a set-up costs, and grow with the number of processes.
    """
    before = sum(cpu_seconds_of(system.pids()).values())
    await asyncio.sleep(how.seconds)
    return (sum(cpu_seconds_of(system.pids()).values()) - before) / how.seconds


def _cost(figures: Figures, units: int, at_rest: float) -> float:
    """Return the CPU seconds of so many units, beyond what the system uses at rest."""
    return max(0.0, figures.system_cpu - at_rest * units / figures.per_second)


async def _warm_up(system: System) -> None:
    await measure_relay(system.target, PAIRS, WARM_UP_S, Measurement())
    await until_quiet([system], QUIET_TIMEOUT_S)


async def _both(system: System, how: How) -> Found:
    """Measure signals and set-ups."""
    await _warm_up(system)
    rest = await _at_rest(system, how)
    signals, setups = await _signals(system, how), await _setups(system, how)
    return {
        SIGNALS: _cost(signals, SIGNALS_PER_COST, rest),
        SETUPS: _cost(setups, CALLS_PER_COST, rest),
        SETUP_MS: setups.p50_ms,
        AT_REST: rest * 1000,
    }


async def gateways(count: int, how: How) -> Found:
    """Let one more gateway share the same load."""
    async with tieline(size=Size(gateways=count)) as system:
        return await _both(system, how)


async def routers(count: int, how: How) -> Found:
    """Let one more router share the same load."""
    async with tieline(size=Size(routers=count)) as system:
        return await _both(system, how)


async def presences(count: int, how: How) -> Found:
    """Let one more presence process share the same load."""
    async with tieline(size=Size(presences=count)) as system:
        return await _both(system, how)


async def connections(count: int, how: How) -> Found:
    """Weigh idle connections, and let pairs talk beside them."""
    async with tieline() as system:  # whose memory nobody has used before
        async with crowd(
            system.target, FIRST_SESSIONS
        ):  # the first ones load code, which is no memory of theirs
            pass
        await asyncio.sleep(SETTLE_S)
        before = _kib(system)
        async with crowd(system.target, count):
            await asyncio.sleep(SETTLE_S)
            grown = {part: kib - before[part] for part, kib in _kib(system).items()}
            await _warm_up(system)
            rest = await _at_rest(system, how)
            signals = await _signals(system, how)
    return {
        KIB: sum(grown.values()) / count,
        GATEWAY_KIB: grown[system.edge] / count,
        SIGNALS: _cost(signals, SIGNALS_PER_COST, rest),
        AT_REST: rest * 1000,
    }


def _kib(system: System) -> dict[str, float]:
    return {part: sum(map(resident_kib, members)) for part, members in system.pids().items()}


async def rooms(count: int, _how: How) -> Found:
    """Let some come to a room of so many and go, and ask who is there."""
    settings = {"TIELINE_ROOM_MAX_MEMBERS": str(2 * count + 100)}
    async with tieline(settings=settings) as system, Scene(system, count) as scene:
        crowded = {"room": scene.crowded}

        async def come_and_go(one: Person, _other: Person) -> None:
            await one.ask("JOIN", crowded)
            await one.ask("LEAVE", crowded)

        async def look(one: Person, _other: Person) -> None:
            await one.ask("MEMBERS", crowded)

        joins = await scene.cost(come_and_go, TIMES)
        for one, _other in scene.pairs:
            await one.ask("JOIN", crowded)
        return {JOINS: joins, LISTS: await scene.cost(look, TIMES)}


async def bucket(count: int, how: How) -> Found:
    """Set calls up beside so many records of others, and kill the node that has them."""
    async with tieline() as system:
        await fill(system.nats_url, count)
        await _warm_up(system)
        rest = await _at_rest(system, how)
        setups = await _setups(system, how)
        (pid,) = system.pids()["broker"]
        mib = resident_kib(pid) / KIB_PER_MIB
        has_records, lets_in = await kill_and_wait(system, count)
    return {
        SETUPS: _cost(setups, CALLS_PER_COST, rest),
        SETUP_MS: setups.p50_ms,
        BROKER_MIB: mib,
        HAS_RECORDS: has_records,
        LETS_IN: lets_in,
    }


async def nodes(count: int, how: How) -> Found:
    """Let one node or three store everything."""
    async with tieline() if count == 1 else tieline_on_three() as system:
        return await _both(system, how)


async def partitions(count: int, how: How) -> Found:
    """Let one node keep everything in so many partitions; and what an idle connection weighs then."""
    async with tieline(settings={"TIELINE_PARTITIONS": str(count)}) as system:
        async with crowd(system.target, FIRST_SESSIONS):
            pass
        await asyncio.sleep(SETTLE_S)
        before = _kib(system)
        async with crowd(system.target, IDLE):
            await asyncio.sleep(SETTLE_S)
            grown = sum(kib - before[part] for part, kib in _kib(system).items())
        return {**await _both(system, how), KIB: grown / IDLE}


MEASURED: Final[Mapping[str, Callable[[int, How], Awaitable[Found]]]] = {
    "gateways": gateways,
    "routers": routers,
    "presences": presences,
    "connections": connections,
    "rooms": rooms,
    "bucket": bucket,
    "nodes": nodes,
    "partitions": partitions,
}
"""By the word of the curve."""
