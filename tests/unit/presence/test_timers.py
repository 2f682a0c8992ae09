"""The loop that consumes expiries, as far as it needs no broker; the rest is in `tests/broker/presence`."""

import asyncio
from typing import NoReturn, cast

import pytest
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from presence.timers import Timers
from tests.support.waiting import PATIENCE_S, until
from tests.unit.presence.presence_process import PresenceProcess
from tieline.runtime.broker import Broker
from tieline.runtime.nats_client import NatsClient


class FaultyClient(NatsClient):
    """A client that has a bug."""

    def jetstream(self, **_options: object) -> NoReturn:
        """Meet the bug."""
        raise RuntimeError("a bug")


async def test_a_bug_of_the_client_does_not_end_the_process(caplog: pytest.LogCaptureFixture) -> None:
    process = PresenceProcess()
    broker = Broker(FaultyClient(), [], [])
    timers = Timers(broker, "KV_t", "$KV.t.", process.gateways, process.changes)
    running = asyncio.create_task(timers.run())

    await until(lambda: "timers pause: a bug" in caplog.messages)

    assert not running.done()
    timers.stop()
    await running


class Hasty:
    """JetStream, as far as `Timers` uses it, that waits as nats-py does with `wait_for` of Python 3.11."""

    def __init__(self) -> None:
        self.came: asyncio.Future[list[Msg]] = asyncio.get_running_loop().create_future()
        self.fetches = 0

    async def pull_subscribe(self, *_: object, **__: object) -> "Hasty":
        """Make the consumer."""
        return self

    async def fetch(self, _batch: int, timeout: float) -> list[Msg]:
        """Wait for markers, and lose a cancellation that comes with them."""
        self.fetches += 1
        try:
            await asyncio.wait((self.came,), timeout=timeout)
        except asyncio.CancelledError:
            if not self.came.done():
                raise
        return self.came.result()

    async def unsubscribe(self) -> None:
        """Give the consumer back."""


class HastyClient(NatsClient):
    """A client whose JetStream is `Hasty`."""

    def __init__(self, hasty: Hasty) -> None:
        super().__init__()
        self._hasty = hasty

    def jetstream(self, **_options: object) -> JetStreamContext:
        """Speak with JetStream."""
        return cast("JetStreamContext", self._hasty)


async def test_one_cancellation_ends_a_fetch_that_ends_just_then() -> None:
    process, hasty = PresenceProcess(), Hasty()
    timers = Timers(Broker(HastyClient(hasty), [], []), "KV_t", "$KV.t.", process.gateways, process.changes)
    running = asyncio.create_task(timers.run())
    await until(lambda: hasty.fetches)

    hasty.came.set_result([])
    running.cancel()
    await asyncio.wait((running,), timeout=PATIENCE_S)

    assert running.cancelled()
    assert hasty.fetches == 1
