"""Each process of `tieline dev` dies under load: nothing is lost, repeated or reordered; no session ends."""

import functools
import signal
from typing import Literal

import pytest

from tests.support.dev_processes import DevProcesses
from tests.support.load import MESSAGES, Load, nothing_is_amiss, running
from tests.support.waiting import until

PAIRS = 6
PAUSE_S = 3.0
"""How long the broker stands still."""

AHEAD = 4
"""Messages that each client sends ahead of their acks, where that may put them out of order."""

ROUNDS = 3


async def kill(load: Load, processes: DevProcesses, kind: str, which: int) -> None:
    """Kill a process while everybody talks, and wait until it is back. Messages were sent meanwhile."""
    await load.progress(MESSAGES)
    sent = load.report().sent
    pid = processes.send(signal.SIGKILL, kind, which)
    await processes.replaced(load, kind, which, pid)
    assert load.report().sent > sent


def are_refused(load: Load, before: int) -> bool:
    """Whether there were as many refusals since as there are clients."""
    return load.counts["asked again"] >= before + len(load.clients)


async def test_both_gateways_are_killed_in_turn(processes: DevProcesses) -> None:
    async with running(processes.urls, PAIRS) as load:
        for which in (0, 1):
            await load.spread()
            replayed = processes.replayed(1 - which)
            await kill(load, processes, "gateway", which)
            await load.progress(MESSAGES)
            assert len(load.users_on(processes.urls[1 - which])) == len(load.clients)
            assert processes.replayed(1 - which) > replayed
        await nothing_is_amiss(load)
        assert load.counts["asked again"] == 0


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("kind", ["router", "presence"])
async def test_a_process_that_no_client_is_connected_to_is_killed(
    processes: DevProcesses, kind: Literal["router", "presence"], which: int
) -> None:
    async with running(processes.urls, PAIRS) as load:
        await kill(load, processes, kind, which)
        await nothing_is_amiss(load)
        assert load.counts == {}  # no client has noticed


@pytest.mark.parametrize("kind", ["router", "presence"])
async def test_a_process_hangs_then_is_killed_with_what_it_was_asked(
    processes: DevProcesses, kind: Literal["router", "presence"]
) -> None:
    asking = "gateway" if kind == "router" else "router"
    async with running(processes.urls, PAIRS) as load:
        await load.progress(MESSAGES)
        asked_again = processes.asked_again(asking)
        pid = processes.send(signal.SIGSTOP, kind)
        await until(lambda: processes.asked_again(asking) > asked_again)
        processes.send(signal.SIGKILL, kind)
        await processes.replaced(load, kind, 0, pid)
        await nothing_is_amiss(load)
        assert load.counts == {}  # no client has noticed


async def test_every_router_and_every_presence_is_killed_at_once(processes: DevProcesses) -> None:
    async with running(processes.urls, PAIRS) as load:
        await load.progress(MESSAGES)
        killed = {
            (kind, which): processes.send(signal.SIGKILL, kind, which)
            for kind in ("router", "presence")
            for which in (0, 1)
        }
        for (kind, which), pid in killed.items():
            await processes.replaced(load, kind, which, pid)
        await nothing_is_amiss(load)


@pytest.mark.parametrize("which", [0, 1])
async def test_a_gateway_is_told_to_stop(processes: DevProcesses, which: int) -> None:
    async with running(processes.urls, PAIRS) as load:
        await load.progress(MESSAGES)
        here = load.users_on(processes.urls[which])
        assert here
        pid = processes.send(signal.SIGTERM, "gateway", which)
        await processes.replaced(load, "gateway", which, pid)
        assert all("RECONNECT" in client.heard_cmds for client in here)
        await nothing_is_amiss(load)
        assert load.counts["asked again"] == 0
        assert load.counts["moved"] + load.counts["the server closed with 1012"] >= len(here)


async def test_clients_move_to_the_other_gateway_before_leaving_the_first(
    processes: DevProcesses,
) -> None:
    async with running(processes.urls, PAIRS) as load:
        for _ in range(4):
            await load.progress(MESSAGES // 2)
            for client in load.clients:
                client.move()
        await nothing_is_amiss(load)
        assert load.counts["moved"] == load.counts["resumed"] == 4 * len(load.clients)


async def test_the_broker_is_killed(processes: DevProcesses) -> None:
    async with running(processes.urls, PAIRS) as load:
        await load.progress(MESSAGES)
        pid = processes.send(signal.SIGKILL, "nats")
        await processes.replaced(load, "nats", 0, pid)
        await nothing_is_amiss(load)
        assert load.counts["resumed"] == 0  # no socket was closed


async def test_the_broker_stands_still(processes: DevProcesses) -> None:
    async with running(processes.urls, PAIRS) as load:
        await load.progress(MESSAGES)
        pid = processes.send(signal.SIGSTOP, "nats")
        try:
            await load.silence(PAUSE_S)
        finally:
            processes.send(signal.SIGCONT, "nats")
        await nothing_is_amiss(load)
        assert processes.pid("nats") == pid
        assert load.counts["resumed"] == 0


async def test_a_broker_that_is_away_for_long_keeps_the_order(processes: DevProcesses) -> None:
    """Everybody is told INTERNAL, and sends again what the others of its messages were sent behind."""
    async with running(processes.urls, PAIRS, windows=(AHEAD,)) as load:
        for _ in range(ROUNDS):
            await load.progress(MESSAGES)
            failed = load.counts["asked again"]
            pid = processes.send(signal.SIGSTOP, "nats")
            await load.until(functools.partial(are_refused, load, failed), "all refused something")
            processes.send(signal.SIGKILL, "nats")
            await processes.replaced(load, "nats", 0, pid)
        await nothing_is_amiss(load)


async def test_a_gateway_is_killed_while_the_broker_restarts(processes: DevProcesses) -> None:
    async with running(processes.urls, PAIRS) as load:
        await load.progress(MESSAGES)
        here = load.users_on(processes.urls[0])
        killed = {kind: processes.send(signal.SIGKILL, kind) for kind in ("nats", "gateway")}
        for kind, pid in killed.items():
            await processes.replaced(load, kind, 0, pid)
        await nothing_is_amiss(load)
        assert load.counts["resumed"] >= len(here)
