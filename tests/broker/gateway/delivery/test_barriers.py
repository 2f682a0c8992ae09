"""Marks go through a real mailbox and come back, behind everything that was stored before them."""

from collections.abc import AsyncIterator

import pytest

from gateway.delivery.barriers import Marks
from presence.mailbox import make_mailbox
from tests.broker.runtime.watching import Inbox, happens, watch
from tests.support.nats_server import NatsServer
from tests.unit.wire.samples import HOSTILE_IDS
from tieline.runtime.broker import Broker, BrokerAway, connect
from tieline.runtime.requests import NoAnswer
from tieline.wire.ids import GatewayId, SessionId, UserId
from tieline.wire.subjects import Subjects

SUBJECTS = Subjects("t")
ALICE, SESSION = UserId("alice"), SessionId("s-1")


@pytest.fixture
async def broker(pip_nats: NatsServer) -> AsyncIterator[Broker]:
    connected = await connect(pip_nats.url, "test")
    yield connected
    await connected.close()


async def marks_of(broker: Broker, gateway: str) -> Marks:
    await make_mailbox(broker, SUBJECTS, "memory", 1, 30)
    marks = Marks(broker, SUBJECTS, GatewayId(gateway))
    await marks.start()
    return marks


async def test_a_mark_says_where_it_is_kept_and_the_next_one_is_further_on(broker: Broker) -> None:
    marks = await marks_of(broker, "g")

    first, second = await marks.passed(), await marks.passed()

    assert first.subject == second.subject == SUBJECTS.mark(GatewayId("g"))
    assert 0 < first.sequence < second.sequence


async def test_what_was_sent_before_a_mark_has_been_pushed_when_it_is_back(broker: Broker) -> None:
    marks = await marks_of(broker, "g")
    inbox = Inbox()
    await broker.subscribe(SUBJECTS.live(ALICE, SESSION), inbox.put)
    for number in range(100):
        broker.send(SUBJECTS.user(ALICE, SESSION), b"%d" % number)

    mark = await marks.passed()

    for number in range(100):
        assert not inbox.is_empty()
        message = await inbox.next()
        assert message.data == b"%d" % number
        assert int(message.header(b"Nats-Sequence")) < mark.sequence


@pytest.mark.parametrize("gateway", HOSTILE_IDS, ids=ascii)
async def test_a_gateway_s_marks_come_back_to_it_alone(broker: Broker, gateway: str) -> None:
    marks = await marks_of(broker, gateway)
    other = await marks_of(broker, "other")

    assert (await marks.passed()).subject != (await other.passed()).subject


async def test_a_mark_that_nobody_keeps_does_not_come_back(broker: Broker) -> None:
    marks = Marks(broker, SUBJECTS, GatewayId("g"))
    await marks.start()

    with pytest.raises(NoAnswer):
        await marks.passed()


async def test_without_a_broker_no_mark_is_sent(broker: Broker, pip_nats: NatsServer) -> None:
    marks = await marks_of(broker, "g")
    away, _ = watch(broker)
    pip_nats.kill()
    await happens(away)

    with pytest.raises(BrokerAway):
        await marks.passed()
