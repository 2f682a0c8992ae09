"""What becomes of expiries while the broker is away: they come later, and no process ends."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from presence.bucket import Bucket, make_bucket
from presence.rules.negotiated import WaitingOffer
from presence.store import StoreUnavailable
from tests.broker.presence.conftest import SUBJECTS
from tests.broker.presence.presence_with_timers import SOON_S, Presence
from tests.support.nats_server import NatsServer
from tests.support.waiting import until, until_true
from tests.unit.presence.requests import opening
from tests.unit.presence.rules.frames import NOW
from tieline.runtime.broker import Broker
from tieline.runtime.requests import Requests
from tieline.wire.digests import digest
from tieline.wire.ids import ConnectionId, SessionId, UserId
from tieline.wire.internal.sessions import EndSession
from tieline.wire.internal.signals import Check, Relay
from tieline.wire.subjects import Keys

ALICE, HERS = UserId("alice"), ConnectionId("alice-c1")
BOB = UserId("bob")


@pytest.fixture
async def presence(broker: Broker, requests: Requests) -> AsyncIterator[Presence]:
    """A presence process that consumes expiries of a bucket that outlives its broker."""
    await make_bucket(broker, SUBJECTS.namespace, "file", 1)
    process = Presence(broker, Bucket(broker, requests, SUBJECTS.namespace))
    yield process
    await process.stop()


async def stopped(server: NatsServer, broker: Broker) -> None:
    """Stop the broker, and wait until that is known."""
    await asyncio.to_thread(server.stop)
    await until(lambda: not broker.is_connected)


async def paused(caplog: pytest.LogCaptureFixture) -> None:
    """Wait until timers cannot be consumed."""
    await until(lambda: "timers pause" in caplog.messages)


def bugs(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the timers took for a bug."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.exc_info and record.name.startswith("presence.")
    ]


async def test_what_expires_while_the_broker_is_away_comes_later(
    presence: Presence, pip_nats: NatsServer, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    await until_true(presence.consumer)
    await presence.ask(opening("alice", secret="alice's"))
    await presence.ask(EndSession(ALICE, HERS, resumable=True))
    await stopped(pip_nats, broker)
    await paused(caplog)
    await asyncio.to_thread(pip_nats.start)
    await until(lambda: broker.is_connected)

    await presence.has_expired(Keys.away_timer(ALICE, HERS))

    assert await presence.status(ALICE) == "offline"
    assert bugs(caplog) == []
    assert not presence.running.done()


async def test_timers_are_consumed_once_the_broker_is_there(
    broker: Broker, requests: Requests, pip_nats: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    await make_bucket(broker, SUBJECTS.namespace, "file", 1)
    await stopped(pip_nats, broker)
    process = Presence(broker, Bucket(broker, requests, SUBJECTS.namespace))
    await paused(caplog)
    await asyncio.to_thread(pip_nats.start)

    await until(lambda: broker.is_connected)
    await until_true(process.consumer)
    assert bugs(caplog) == []
    await process.stop()


async def test_an_expiry_that_the_broker_does_not_outlive_is_no_bug(
    presence: Presence, pip_nats: NatsServer, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    await until_true(presence.consumer)
    presence.store.before[Keys.user(ALICE)] = lambda: stopped(pip_nats, broker)
    presence.store.faults[Keys.user(ALICE)] = StoreUnavailable("with its broker")
    await presence.bucket.put(Keys.away_timer(ALICE, HERS), b"", SOON_S)

    await paused(caplog)

    assert "expiry failed" in caplog.messages
    assert bugs(caplog) == []
    assert not presence.running.done()


async def test_a_broker_that_goes_over_and_over_ends_nothing(
    presence: Presence, pip_nats: NatsServer, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    await until_true(presence.consumer)
    for user in (ALICE, BOB):
        await presence.ask(opening(user, "hall"))
    for again in range(3):
        for number in range(60):
            frame = b"offer %d of %d" % (number, again)
            offer = Check(ALICE, SessionId("alice-s1"), BOB, "WEBRTC_OFFER", digest(frame), b"")
            assert isinstance(await presence.ask(offer), Relay)
        await stopped(pip_nats, broker)
        await paused(caplog)
        assert bugs(caplog) == []
        caplog.clear()
        await asyncio.to_thread(pip_nats.start)
        await until(lambda: broker.is_connected)
        assert not presence.running.done()

    frame = b"offer 59 of 2"
    generation = WaitingOffer(ALICE, digest(frame), NOW).generation
    await presence.has_expired(Keys.offer_timer(ALICE, BOB, generation))

    assert bugs(caplog) == []
    assert not presence.running.done()
