"""Barriers go through a real mailbox and come back, behind everything that was stored before them."""

import asyncio

import pytest

from gateway.delivery.barriers import Barriers
from presence.mailbox import make_mailbox
from tests.broker.runtime.watching import Inbox, happens, watch
from tests.support.nats_server import NatsServer
from tests.unit.wire.samples import HOSTILE_IDS
from tieline.runtime.broker import Broker, BrokerAway
from tieline.runtime.requests import NoAnswer
from tieline.wire.ids import GatewayId, SessionId, UserId
from tieline.wire.subjects import Subjects

SUBJECTS = Subjects("t")
ALICE, SESSION = UserId("alice"), SessionId("s-1")


async def barriers_of(broker: Broker, gateway: str) -> Barriers:
    await make_mailbox(broker, SUBJECTS, "memory", 1, 30)
    barriers = Barriers(broker, SUBJECTS, GatewayId(gateway))
    await barriers.start()
    return barriers


async def test_a_barrier_says_where_it_is_stored_and_the_next_is_later(broker: Broker) -> None:
    barriers = await barriers_of(broker, "g")

    first, second = await barriers.passed(), await barriers.passed()

    assert first.subject == second.subject == SUBJECTS.mark(GatewayId("g"))
    assert 0 < first.sequence < second.sequence


async def test_what_was_sent_before_a_barrier_was_pushed_before_it_is_back(broker: Broker) -> None:
    barriers = await barriers_of(broker, "g")
    inbox = Inbox()
    await broker.subscribe(SUBJECTS.live(ALICE, SESSION), inbox.put)
    for number in range(100):
        broker.send(SUBJECTS.user(ALICE, SESSION), b"%d" % number)

    barrier = await barriers.passed()

    for number in range(100):
        assert not inbox.is_empty()
        message = await inbox.next()
        assert message.data == b"%d" % number
        assert int(message.header(b"Nats-Sequence")) < barrier.sequence


@pytest.mark.parametrize("gateway", HOSTILE_IDS, ids=ascii)
async def test_a_gateway_s_barriers_come_back_to_it_alone(broker: Broker, gateway: str) -> None:
    barriers = await barriers_of(broker, gateway)
    other = await barriers_of(broker, "other")

    assert (await barriers.passed()).subject != (await other.passed()).subject


async def test_a_barrier_that_is_not_stored_does_not_come_back(broker: Broker) -> None:
    barriers = Barriers(broker, SUBJECTS, GatewayId("g"))
    await barriers.start()

    with pytest.raises(NoAnswer):
        await barriers.passed()


async def test_without_a_broker_no_barrier_is_sent(broker: Broker, pip_nats: NatsServer) -> None:
    barriers = await barriers_of(broker, "g")
    away, _ = watch(broker)
    pip_nats.kill()
    await happens(away)

    with pytest.raises(BrokerAway):
        await barriers.passed()


async def test_barriers_that_are_wanted_at_once_are_one(broker: Broker) -> None:
    barriers = await barriers_of(broker, "g")

    one, other = await asyncio.gather(barriers.passed(), barriers.passed())

    assert one == other
    assert (await barriers.passed()).sequence == one.sequence + 1


async def test_who_waits_no_more_for_a_barrier_takes_it_from_nobody(broker: Broker) -> None:
    barriers = await barriers_of(broker, "g")
    one, other = asyncio.ensure_future(barriers.passed()), asyncio.ensure_future(barriers.passed())
    await asyncio.sleep(0)
    one.cancel()
    assert (await other).sequence > 0
