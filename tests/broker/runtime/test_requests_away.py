"""Asking while the broker is away."""

import asyncio

import pytest

from tests.broker.runtime.watching import (
    PATIENCE_S,
    Attempts,
    answering,
    happens,
    listen,
    watch,
)
from tests.support.nats_server import NatsServer
from tieline.runtime.broker import Broker, BrokerAway
from tieline.runtime.requests import NoAnswer, Requests


async def test_a_request_made_without_a_broker_is_answered_later(
    pip_nats: NatsServer, broker: Broker, requests: Requests, service: Broker, attempts: Attempts
) -> None:
    await listen(service, answering(service, lambda question: b"re: " + question.data))
    away, _ = watch(broker)
    pip_nats.kill()
    await happens(away)

    async with asyncio.TaskGroup() as asking:
        answer = asking.create_task(requests.ask("t.ask", b"hello", PATIENCE_S))
        assert [await attempts.next(), await attempts.next()] == [b"hello"] * 2
        pip_nats.start()

    assert answer.result() == b"re: hello"


async def test_a_request_fails_if_the_broker_stays_away(
    pip_nats: NatsServer, broker: Broker, requests: Requests
) -> None:
    away, _ = watch(broker)
    pip_nats.kill()
    await happens(away)

    with pytest.raises(NoAnswer):
        await requests.ask("t.ask", b"hello", 0.3)


async def test_a_request_without_retries_fails_at_once_if_it_is_away(
    pip_nats: NatsServer, broker: Broker, requests: Requests
) -> None:
    away, _ = watch(broker)
    pip_nats.kill()
    await happens(away)

    unsent = requests.begin_once("t.ask", b"hello", PATIENCE_S)
    with pytest.raises(NoAnswer):
        await unsent.reply()
    with pytest.raises(NoAnswer) as once:
        await requests.ask_once("t.ask", b"hello", PATIENCE_S)
    with pytest.raises(NoAnswer):
        await requests.gather("t.ask", b"hello", PATIENCE_S)
    assert isinstance(once.value.__cause__, BrokerAway)
