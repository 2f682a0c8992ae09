"""A broker that fails at any await of listening to a room, catching up, and looking for what was not heard.

See `tests.support.faulty`. Asked for once more, everything comes right.
"""

import functools
import logging

import pytest
from nats.errors import ConnectionClosedError

from gateway.client.actions import RoomListing
from tests.broker.gateway.rooms.scene import ALICE, BOB, CAROL, SUBJECTS, Here, Scene
from tests.support.faulty import BUG, Fault, Faults, FaultyBroker, FaultyRequests, at_every_await, unnamed
from tests.support.nats_server import NatsServer
from tests.support.waiting import until, until_true
from tieline.runtime.broker import BrokerAway, connect
from tieline.runtime.guard import BackgroundTasks, bug_guard
from tieline.runtime.requests import NoAnswer
from tieline.wire.ids import RoomId, UserId
from tieline.wire.internal.rooms import JoinRoom

FEW_FAULTS = (BrokerAway, lambda: NoAnswer("subject"), ConnectionClosedError, ConnectionResetError, BUG)

_log = logging.getLogger("test")


async def heard(nats: NatsServer, fault: Fault, nth: int) -> Faults:
    """Let a member join and hear of others while something goes wrong."""
    broker, hall = await connect(nats.url, "test"), RoomId(f"hall-{nth}")
    faults = Faults()
    async with BackgroundTasks() as tasks:
        faulty = FaultyBroker(broker, faults)
        scene = Scene(faulty, tasks, FaultyRequests(faulty, SUBJECTS.replies("test", "1"), faults))
        await scene.start()
        alice = Here(scene, ALICE)
        await alice.comes()
        faults.begin(nth, fault)

        async def joins() -> bool:
            with bug_guard(_log, "not joined: a bug"):
                answer = await alice.asks(JoinRoom(ALICE, alice.session.session, hall))
                return isinstance(answer, RoomListing)
            return False

        async def enters(user: UserId) -> bool:
            with bug_guard(_log, "not entered: a bug"):
                await scene.enters(user, hall)
                return True
            return False

        await until_true(joins)
        await until_true(lambda: enters(BOB))
        scene.mailbox.suspect_loss()
        with bug_guard(_log, "not looked: a bug"):
            await scene.rooms.look()
        await until_true(lambda: enters(CAROL))
        told: list[str] = []

        def has_heard() -> bool:
            told.extend(str(message["data"]["userId"]) for message in alice.harness.messages())
            return {"bob", "carol"} <= set(told)

        await until(has_heard)
        room = scene.rooms.known(hall)
        assert room is not None
        await broker.close()
    return faults


@pytest.mark.parametrize("fault", FEW_FAULTS, ids=lambda fault: repr(fault())[:40])
async def test_rooms_outlive_a_broker_that_fails_at_any_await(
    fault: Fault, pip_nats: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    await at_every_await(functools.partial(heard, pip_nats, fault), fewest=9)
    assert unnamed(caplog) == []
