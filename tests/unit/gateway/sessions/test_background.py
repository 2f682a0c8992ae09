"""A presence or a mailbox that fails at any moment of what a gateway does beside its clients' messages.

See `tests.support.faulty`.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable

import pytest

from gateway.client.session import Session
from gateway.sessions.departures import Drain
from gateway.sessions.lease import Lease
from gateway.sessions.reconciliation import Reconciliation
from tests.support.faulty import Fault, Faults, FaultyPresence, at_every_await, each_fault, unnamed
from tests.support.waiting import until
from tests.unit.gateway.sessions.delivery import FakeDelivery
from tests.unit.gateway.sessions.scene import GATEWAY, Scene
from tieline.runtime.guard import BackgroundTasks
from tieline.wire.ids import ConnectionId
from tieline.wire.internal.sessions import FindReplaced, KeepLease, LeaseKept, Register, Replaced

SHORT_S = 0.001
FAR = 8
"""Renewals, and then some."""


class FaultyDelivery(FakeDelivery):
    """A delivery, of whose answers one goes wrong."""

    def __init__(self, faults: Faults) -> None:
        super().__init__()
        self._faults = faults

    async def settled(self) -> None:
        """Settle, or not."""
        self._faults.meet()
        await super().settled()

    async def drop(self, session: Session) -> None:
        """Drop, or not."""
        self._faults.meet()
        await super().drop(session)


def scene_with(tasks: asyncio.TaskGroup, faults: Faults) -> Scene:
    return Scene(tasks, presence=FaultyPresence(faults), delivery=FaultyDelivery(faults))


async def renewed(fault: Fault, nth: int) -> Faults:
    """Take and keep a lease while a renewal goes wrong: it is renewed after that all the same."""
    faults, lost = Faults(nth, fault), list[bool]()
    presence = FaultyPresence(faults)
    presence.reply(KeepLease, LeaseKept("run 1"))
    lease = Lease(presence, GATEWAY, SHORT_S, lambda: lost.append(True))
    await lease.take()
    keeping = asyncio.ensure_future(lease.keep())
    await until(lambda: keeping.done() or len(presence.asked) > nth + 1)
    assert not keeping.done()
    assert lost == []
    keeping.cancel()
    return faults if nth < FAR else Faults(nth, fault)


async def reconciled(fault: Fault, nth: int) -> Faults:
    """Look for replaced connections while a question goes wrong: the next return finds them at the latest."""
    faults = Faults(nth, fault)
    async with BackgroundTasks() as tasks:
        scene = scene_with(tasks, faults)
        alice = scene.here("alice")
        scene.presence.reply(FindReplaced, Replaced((ConnectionId("c-alice"),)))
        reconciling = Reconciliation(scene.presence, scene.connections, lambda: True, tasks)
        for _ in range(2):
            reconciling.start()
            await scene.settles()
        assert alice.close_code == 4500
        scene.answers_close(alice)
    return faults


async def departed(fault: Fault, nth: int) -> Faults:
    """Let several go at once while something goes wrong: presence is told of each in the end."""
    faults = Faults(nth, fault)
    async with BackgroundTasks() as tasks:
        scene = scene_with(tasks, faults)
        clients = [scene.here(name) for name in ("alice", "bob", "carol")]
        for client in clients:
            scene.leaves(client)
        await until(lambda: {end.connection for end in scene.ends()} == {"c-alice", "c-bob", "c-carol"})
    return faults


async def registered(fault: Fault, nth: int) -> Faults:
    """Register all again while something goes wrong: the others are registered all the same."""
    faults = Faults(nth, fault)
    async with BackgroundTasks() as tasks:
        scene = scene_with(tasks, faults)
        clients = [scene.here(name) for name in ("alice", "bob", "carol")]
        scene.registrations.on_lease_lost()
        await scene.settles()
        assert len(scene.presence.asked_for(Register)) >= len(clients) - 1
        assert [client.close_code for client in clients] == [None] * 3
        for client in clients:
            scene.leaves(client)
        await until(lambda: len(scene.ends()) >= len(clients))
    return faults


async def drained(fault: Fault, nth: int) -> Faults:
    """Drain a gateway while something goes wrong: every client is sent away, and the drain ends.

    Whose end presence is not told in one attempt, the lease ends.
    """
    faults = Faults(nth, fault)
    async with BackgroundTasks() as tasks:
        scene = scene_with(tasks, faults)
        clients = [scene.here(name) for name in ("alice", "bob")]
        draining = asyncio.ensure_future(scene.departures.drain(Drain(0, 0)))

        def are_sent_away() -> bool:
            scene.presence.answer_begun()
            return draining.done() or all(client.close_code == 1012 for client in clients)

        await until(are_sent_away)
        assert [client.close_code for client in clients] == [1012, 1012]
        for client in clients:
            scene.answers_close(client)
        await draining
    return faults


ROUNDS = {
    "a lease": (renewed, FAR - 1),
    "reconciliation": (reconciled, 1),
    "departures": (departed, 3),
    "registrations": (registered, 3),
    "a drain": (drained, 4),
}
"""What a gateway goes through, and the fewest things that each asks for."""


@each_fault
@pytest.mark.parametrize(("get_through", "fewest"), ROUNDS.values(), ids=ROUNDS)
async def test_it_outlives_whatever_it_meets(
    get_through: Callable[[Fault, int], Awaitable[Faults]],
    fewest: int,
    fault: Fault,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await at_every_await(functools.partial(get_through, fault), fewest)
    assert unnamed(caplog) == []
