"""The loop that consumes expiries, as far as it needs no broker; the rest is in `tests/broker/presence`."""

import asyncio
from typing import NoReturn

import pytest

from presence.timers import Timers
from tests.support.waiting import until
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
