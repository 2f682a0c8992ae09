"""A broker that fails at any await of letting a member in that comes back. See `tests.support.faulty`.

Let in in the end, it is told each change that it has not had, and each once.
"""

import functools
import logging

import pytest

from tests.broker.gateway.rooms.scene import ALICE, BOB, CAROL, SUBJECTS, Here, Scene
from tests.support.faulty import BUG, Fault, Faults, FaultyBroker, FaultyRequests, at_every_await, unnamed
from tests.support.nats_server import NatsServer
from tests.support.waiting import until_true
from tieline.runtime.broker import connect
from tieline.runtime.guard import BackgroundTasks, bug_guard
from tieline.runtime.requests import NoAnswer
from tieline.wire.ids import RoomId

FEW_FAULTS = (lambda: NoAnswer("subject"), BUG)

_log = logging.getLogger("test")


async def told(nats: NatsServer, fault: Fault, nth: int) -> Faults:
    """Let a member come back to two rooms, of one of which it has missed what only their past says."""
    broker = await connect(nats.url, "test")
    hall, yard = RoomId(f"hall-{nth}"), RoomId(f"yard-{nth}")
    faults = Faults()
    async with BackgroundTasks() as tasks:
        faulty = FaultyBroker(broker, faults)
        scene = Scene(faulty, tasks, FaultyRequests(faulty, SUBJECTS.replies("test", "1"), faults))
        await scene.start()
        had = await scene.enters(ALICE, hall)
        missed = [
            await scene.enters(BOB, hall),
            await scene.leaves(BOB, hall),
            await scene.enters(BOB, yard),
            await scene.enters(BOB, hall),
        ]
        carol = Here(scene, CAROL, places=True)
        faults.begin(nth, fault)

        async def comes() -> bool:
            with bug_guard(_log, "not let in: a bug"):
                try:
                    await carol.comes(hall, yard, resumed=True, place=str(had))
                except NoAnswer:
                    pass
                else:
                    return True
            await scene.delivery.drop(carol.session)
            return False

        await until_true(comes)
        assert await carol.hears(len(missed)) == [f"room-{number}" for number in missed]
        await broker.close()
    return faults


@pytest.mark.parametrize("fault", FEW_FAULTS, ids=lambda fault: repr(fault())[:40])
async def test_who_comes_back_misses_nothing_whatever_fails(
    fault: Fault, pip_nats: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    await at_every_await(functools.partial(told, pip_nats, fault), fewest=5)
    assert unnamed(caplog) == []
