"""A broker that fails at any await of a router: a signal sent again is carried, and no other is harmed.

See `tests.support.faulty`. The router asks a presence of the test's own.
"""

import asyncio
import functools
from collections.abc import Iterator

import pytest
from nats.errors import ConnectionClosedError

from presence.mailbox import make_mailbox
from router.grants import Grants
from router.service import RouterService
from tests.broker.runtime.watching import Inbox
from tests.support.faulty import BUG, Fault, Faults, FaultyBroker, FaultyRequests, at_every_await, unnamed
from tests.support.nats_server import NatsServer
from tests.support.waiting import until_true
from tests.unit.wire import samples
from tieline.runtime.broker import BrokerAway, connect
from tieline.runtime.guard import BackgroundTasks
from tieline.runtime.message import Message
from tieline.runtime.ops import Ready
from tieline.runtime.requests import NoAnswer
from tieline.runtime.watch import hold_while_unwell
from tieline.wire.ids import GatewayId, SessionId, UserId
from tieline.wire.internal import codec
from tieline.wire.internal.signals import Accepted, Delivery, Relay, Signal
from tieline.wire.subjects import Subjects

ALICE, BOB, HERS, HIS = UserId("alice"), UserId("bob"), SessionId("hers"), SessionId("his")
GATEWAY = GatewayId("g")
FRAMES = [
    samples.frame(samples.signal_message("WEBRTC_ANSWER") | {"requestId": name})
    for name in ("first", "second")
]

PATIENCE_S = 0.1
"""For an answer, before a signal is sent again."""

RAISED: tuple[Fault, ...] = (
    BrokerAway,
    lambda: NoAnswer("subject"),
    ConnectionClosedError,
    ConnectionResetError,
    BUG,
)


async def carried(
    nats: NatsServer, fault: Fault, numbers: Iterator[int], nth: int, *, stored: bool
) -> Faults:
    """Let signals be carried while something goes wrong; each is sent again until it is answered."""
    subjects = Subjects(f"t{next(numbers)}")
    broker, gateway = await connect(nats.url, "router"), await connect(nats.url, "gateway")
    await make_mailbox(gateway, subjects, "memory", 1, 30)
    faults, answers, frames = Faults(), Inbox(), Inbox()

    def judge(message: Message) -> None:
        released = Delivery(BOB, HIS, b"released")
        gateway.send(message.reply, codec.encode(Relay("relayed", (Delivery(BOB, HIS, None), released))))

    faulty = FaultyBroker(broker, faults)
    requests = FaultyRequests(faulty, subjects.replies("router", "r"), faults)
    await requests.start()
    async with BackgroundTasks() as tasks:
        service = RouterService(faulty, requests, subjects, Grants(), tasks)
        subscription = await service.start()
        await gateway.subscribe(subjects.presence("check"), judge)
        await gateway.subscribe(subjects.live(BOB, HIS), frames.put)  # what is stored, in that order
        await gateway.subscribe(f"{subjects.gateway(GATEWAY, 'reply')}.1", answers.put)
        await gateway.flush()
        await broker.flush()
        ready = Ready()
        watching = tasks.create_task(hold_while_unwell(ready, "no room", service.has_room, every_s=0.01))
        faults.begin(nth, fault)

        async def is_answered(frame: bytes) -> bool:
            pack = [Signal(ALICE, HERS, BOB, frame, stored)]
            gateway.send(
                subjects.signal("WEBRTC_ANSWER"),
                codec.encode(pack),
                f"{subjects.gateway(GATEWAY, 'reply')}.1",
            )
            try:
                async with asyncio.timeout(PATIENCE_S):
                    answer = codec.decode_answers((await answers.next()).data)
            except TimeoutError:
                return False
            return isinstance(answer[0][1], Accepted)

        for frame in FRAMES:
            await until_true(functools.partial(is_answered, frame))
        came: list[bytes] = []
        while len(set(came)) < 3:
            came.append((await frames.next()).data)
        assert list(dict.fromkeys(came)) == [FRAMES[0], b"released", FRAMES[1]]
        watching.cancel()
        await broker.drain(subscription)
    await broker.close()
    await gateway.close()
    return faults if nth <= FAR else Faults(nth, fault)


FAR = 10
"""What two signals ask for; the probe of the mailbox asks for more and more."""


@pytest.mark.parametrize("fault", RAISED, ids=lambda fault: repr(fault())[:40])
@pytest.mark.parametrize("stored", [True, False])
async def test_a_router_outlives_a_broker_that_fails_at_any_await(
    fault: Fault, stored: bool, pip_nats: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    carrying = functools.partial(carried, pip_nats, fault, iter(range(100)), stored=stored)
    await at_every_await(carrying, fewest=FAR - 1)
    assert unnamed(caplog) == []
