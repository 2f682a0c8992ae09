"""A broker that goes at every await of every loop of presence ends none of them (`tests.support.faulty`)."""

import asyncio
import functools
import logging
from types import SimpleNamespace
from typing import Final, cast

import pytest
from nats.js import JetStreamContext

from presence.stream_size import measure_sizes
from presence.streams import watch_streams
from presence.timers import Timers
from tests.support.faulty import Fault, Faults, at_every_await, each_fault, unnamed
from tests.support.waiting import until
from tests.unit.presence.presence_process import PresenceProcess
from tests.unit.presence.requests import opening
from tieline.runtime.broker import Broker
from tieline.runtime.guard import keep_going
from tieline.runtime.message import Message
from tieline.runtime.nats_client import NatsClient
from tieline.runtime.ops import Ready
from tieline.runtime.requests import Requests
from tieline.wire.ids import ConnectionId, UserId
from tieline.wire.subjects import Keys

_log = logging.getLogger("test.background")

ALICE, HERS = UserId("alice"), ConnectionId("alice-c1")


class Marker:
    """A marker as nats-py hands it out."""

    def __init__(self, faults: Faults, subject: str, queue: list["Marker"], *, expired: bool = True) -> None:
        self._faults = faults
        self._queue = queue
        self.subject = subject
        self.headers = {"Nats-Marker-Reason": "MaxAge"} if expired else {}
        self.is_of(7)
        self.is_acknowledged = False

    def is_of(self, revision: int) -> None:
        """Have it be what the bucket has at this revision."""
        self.metadata = SimpleNamespace(sequence=SimpleNamespace(stream=revision))

    async def ack(self) -> None:
        """Acknowledge it."""
        self._redeliver_if_lost()
        self.is_acknowledged = True

    async def nak(self, delay: float) -> None:
        """Have it again later."""
        assert delay >= 0
        self._redeliver_if_lost()
        self._queue.append(self)

    async def in_progress(self) -> None:
        """Say that it is being worked on."""
        self._faults.meet()

    def _redeliver_if_lost(self) -> None:
        try:
            self._faults.meet()
        except Exception:
            self._queue.append(self)
            raise


class Consumer:
    """JetStream, as far as `Timers` uses it."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.queue: list[Marker] = []

    async def pull_subscribe(self, *_: object, **__: object) -> "Consumer":
        """Make the consumer."""
        self._faults.meet()
        return self

    async def fetch(self, batch: int, timeout: float) -> list[Marker]:
        """Hand markers out, or wait."""
        assert timeout > 0
        self._faults.meet()
        if not self.queue:
            await asyncio.sleep(0.001)
            raise TimeoutError
        markers, self.queue[:] = self.queue[:batch], self.queue[batch:]
        return markers

    async def unsubscribe(self) -> None:
        """Give the consumer back."""
        self._faults.meet()


class Client(NatsClient):
    """A client whose JetStream is a `Consumer`."""

    def __init__(self, faults: Faults, consumer: Consumer) -> None:
        super().__init__()
        self._faults = faults
        self._consumer = consumer

    def jetstream(self, **_options: object) -> JetStreamContext:
        """Speak with JetStream."""
        self._faults.meet()
        return cast("JetStreamContext", self._consumer)


async def consumed(fault: Fault, nth: int) -> Faults:
    """Let timers be consumed while the nth thing goes wrong."""
    process = PresenceProcess()
    await process.open(opening("alice", secret="alice's"))
    await process.end("alice", resumable=True)
    faults = Faults(nth, fault)
    consumer = Consumer(faults)
    prefix = "$KV.t."
    timer = Keys.away_timer(ALICE, HERS)
    expired = Marker(faults, prefix + timer, consumer.queue)
    expired.is_of((await process.store.read(timer))[timer].revision)
    markers = [
        expired,
        Marker(faults, prefix + "timer.offer.=ZZ.b.c", consumer.queue),
        Marker(faults, prefix + "timer.nonsense", consumer.queue),
        Marker(faults, prefix + "timer.offer.a.b.c", consumer.queue, expired=False),
    ]
    consumer.queue.extend(markers)
    broker = Broker(Client(faults, consumer), [], [])
    timers = Timers(broker, "KV_t", prefix, process.gateways, process.changes, retry_s=0.001)
    running = asyncio.create_task(timers.run())
    await until(lambda: running.done() or (expired.is_acknowledged and markers[3].is_acknowledged))
    assert not running.done()
    user = await process.user("alice")
    assert user is not None
    assert user.session.status == "offline"
    timers.stop()
    await running
    return faults


@each_fault
async def test_timers_outlive_a_broker_that_goes_at_any_await(
    fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    # jetstream, pull_subscribe, fetch, the acknowledgements of what is done
    await at_every_await(functools.partial(consumed, fault), fewest=5)
    assert unnamed(caplog) == []


class Nonsense(Requests):
    """Requests that are answered with nonsense, and of which the nth goes wrong."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    async def ask_once(self, *_: object, **__: object) -> Message:
        """Ask, and get nonsense, or nothing."""
        self._faults.meet()
        await asyncio.sleep(0)
        return Message("", "", b"{}" if self._faults.asked % 2 else b"nonsense", b"")


@each_fault
@pytest.mark.parametrize("nth", range(1, 5))
async def test_measuring_outlives_a_broker_that_goes_at_any_await(nth: int, fault: Fault) -> None:
    faults = Faults(nth, fault)
    requests = Nonsense(faults)

    async def measure() -> None:
        await measure_sizes(requests, {"bucket": "KV_t", "mailbox": "MAILBOX_t"}, 900.0, every_s=0)

    measuring = asyncio.create_task(keep_going(_log, "streams not measured: a bug", measure, 0))
    await until(lambda: faults.asked > nth + 4)
    assert not measuring.done()
    measuring.cancel()


class Streams:
    """Streams that are well, of whose answers one goes wrong."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.looks = self.writes = 0

    async def is_usable(self) -> bool:
        """Answer."""
        self._faults.meet()
        self.looks += 1
        return self.looks != FOUND_MISSING

    async def has_room(self) -> bool:
        """Store."""
        self._faults.meet()
        self.writes += 1
        return True

    async def make(self) -> bool:
        """Make them."""
        self._faults.meet()
        return True


FOUND_MISSING: Final = 3
"""The look at which a stream is not there."""


async def watched(fault: Fault, nth: int) -> Faults:
    """Let the streams be watched while the nth thing goes wrong; the process must be ready in the end."""
    ready, faults = Ready(), Faults(nth, fault)
    streams = Streams(faults)
    watching = asyncio.create_task(watch_streams(streams, streams, streams.make, ready, every_s=0))
    await until(lambda: streams.writes > nth + FOUND_MISSING)
    assert not watching.done()
    assert ready.why_not() == ""
    watching.cancel()
    return faults if nth <= FAR else Faults(nth, fault)


FAR: Final = 12
"""More than two rounds ask for."""


@each_fault
async def test_watching_outlives_a_broker_that_goes_at_any_await(
    fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    await at_every_await(functools.partial(watched, fault), fewest=FAR - 1)
    assert unnamed(caplog) == []
