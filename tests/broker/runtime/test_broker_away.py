"""A broker that goes away and comes back, or hangs."""

import asyncio

import pytest
import uvloop

from tests.broker.runtime.watching import Inbox, happens, watch
from tests.support.metrics import value_of
from tests.support.nats_server import NatsServer
from tieline.runtime.broker import Broker, BrokerAway, connect
from tieline.runtime.metrics import NATS_CONNECTED, NATS_RECONNECTS


async def test_subscriptions_live_again_when_a_killed_broker_is_back(
    pip_nats: NatsServer, broker: Broker
) -> None:
    inbox = Inbox()
    await broker.subscribe("a.b", inbox.put)
    await broker.flush()
    away, back = watch(broker)
    reconnects = value_of(NATS_RECONNECTS)

    pip_nats.kill()
    await happens(away)
    assert value_of(NATS_CONNECTED) == 0
    pip_nats.start()
    await happens(back)

    broker.send("a.b", b"again")
    assert (await inbox.next()).data == b"again"
    assert broker.is_connected
    assert value_of(NATS_CONNECTED) == 1
    assert value_of(NATS_RECONNECTS) == reconnects + 1


async def test_every_listener_is_called_each_time(pip_nats: NatsServer, broker: Broker) -> None:
    calls: list[str] = []
    broker.when_away(lambda: calls.append("away 1"))
    broker.when_away(lambda: calls.append("away 2"))
    broker.when_back(lambda: calls.append("back 1"))
    broker.when_back(lambda: calls.append("back 2"))

    for _ in range(2):
        away, back = watch(broker)
        pip_nats.kill()
        await happens(away)
        pip_nats.start()
        await happens(back)

    assert calls == ["away 1", "away 2", "back 1", "back 2"] * 2


async def test_nothing_is_sent_or_kept_while_the_broker_is_away(pip_nats: NatsServer, broker: Broker) -> None:
    inbox = Inbox()
    await broker.subscribe("a.b", inbox.put)
    await broker.flush()
    away, back = watch(broker)

    pip_nats.kill()
    await happens(away)
    assert not broker.is_connected
    with pytest.raises(BrokerAway):
        broker.send("a.b", b"lost")
    with pytest.raises(BrokerAway):
        await broker.flush()
    pip_nats.start()
    await happens(back)

    broker.send("a.b", b"fresh")
    assert (await inbox.next()).data == b"fresh"


async def test_a_subscription_made_without_a_broker_works_later(pip_nats: NatsServer, broker: Broker) -> None:
    away, back = watch(broker)
    pip_nats.kill()
    await happens(away)

    inbox = Inbox()
    await broker.subscribe("a.b", inbox.put)
    pip_nats.start()
    await happens(back)

    broker.send("a.b", b"once")
    broker.send("a.b", b"twice")
    assert [(await inbox.next()).data, (await inbox.next()).data] == [b"once", b"twice"]


async def test_what_a_hung_broker_did_not_take_is_not_sent_stale(
    pip_nats: NatsServer, broker: Broker
) -> None:
    inbox = Inbox()
    await broker.subscribe("a.b", inbox.put)
    await broker.flush()
    leaving = await connect(pip_nats.url, "leaving")
    away, back = watch(broker)

    pip_nats.freeze()
    for _ in range(100):
        broker.send("elsewhere", b"x" * 65_536)  # more than the sockets between them hold
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(leaving.close())
        with pytest.raises(BrokerAway):
            await broker.flush()
    broker.send("a.b", b"stale")
    pip_nats.kill()
    await happens(away)
    pip_nats.start()
    await happens(back)

    broker.send("a.b", b"fresh")
    assert (await inbox.next()).data == b"fresh"


async def test_draining_and_closing_need_no_broker(pip_nats: NatsServer, broker: Broker) -> None:
    subscription = await broker.subscribe("a.b", Inbox().put)
    await broker.flush()
    away, _ = watch(broker)
    pip_nats.kill()
    await happens(away)

    await broker.drain(subscription)
    await broker.close()

    assert not broker.is_connected


def test_a_process_ends_in_order_without_a_broker(
    pip_nats: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    """On uvloop, as the processes, which lets nothing be written to a connection that was lost."""

    async def lose_the_broker_and_end() -> None:
        broker = await connect(pip_nats.url, "ending")
        away, _ = watch(broker)
        subscription = await broker.subscribe("a.b", Inbox().put)
        await broker.flush()
        pip_nats.kill()
        await happens(away)
        await broker.drain(subscription)
        await broker.close()

    uvloop.run(lose_the_broker_and_end())

    assert caplog.messages[-1] == "hung up on a broker that was gone"


async def test_draining_what_is_closed_is_told_in_the_log(
    pip_nats: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    broker = await connect(pip_nats.url, "closed")
    subscription = await broker.subscribe("a.b", Inbox().put)
    await broker.close()

    await broker.drain(subscription)

    assert caplog.messages == ["not drained: what was asked of us is asked again"]


async def test_closing_on_purpose_is_no_broker_away(
    pip_nats: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    broker = await connect(pip_nats.url, "closing")
    away, _ = watch(broker)

    await broker.close()

    assert not away.is_set()
    assert not caplog.messages
    assert value_of(NATS_CONNECTED) == 0
    with pytest.raises(BrokerAway):
        broker.send("a.b", b"x")


async def test_what_was_sent_before_closing_arrives(pip_nats: NatsServer, service: Broker) -> None:
    inbox = Inbox()
    await service.subscribe("a.b", inbox.put)
    await service.flush()
    broker = await connect(pip_nats.url, "closing")

    broker.send("a.b", b"last words")
    await broker.close()

    assert (await inbox.next()).data == b"last words"
