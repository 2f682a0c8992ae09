"""How a service begins and ends: its ops endpoints, its log line, its connection."""

import asyncio
import logging
import os
import re
import urllib.request
from urllib.error import HTTPError

import pytest

from tests.broker.runtime.watching import Inbox, happens, watch
from tests.support.nats_server import NatsServer
from tests.support.waiting import until
from tieline.runtime.broker import Broker
from tieline.runtime.ops import BROKER_AWAY, STARTING
from tieline.runtime.process import Stopped, joined
from tieline.runtime.settings import ProcessSettings, SettingsError


def replies(instance: str) -> str:
    return f"t.sample.{instance}.reply"


def readyz(caplog: pytest.LogCaptureFixture) -> tuple[int, str]:
    """What /readyz says on the port that the first line of the log names."""
    port = vars(next(record for record in caplog.records if record.name == "sample"))["ops_port"]
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


async def test_a_joined_process_can_ask_and_tells_if_it_is_ready(
    pip_nats: NatsServer, service: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sample")
    questions = Inbox()

    await service.subscribe("t.ask", questions.put)
    await service.flush()
    async with joined("sample", ProcessSettings(nats_url=pip_nats.url), asyncio.Event(), replies) as process:
        assert await asyncio.to_thread(readyz, caplog) == (503, f"{STARTING}\n")
        process.ready.clear(STARTING)
        assert await asyncio.to_thread(readyz, caplog) == (200, "ready\n")

        asking = asyncio.create_task(process.requests.ask("t.ask", b"hello"))
        question = await questions.next()
        service.send(question.reply, b"re: " + question.data)

        assert await asking == b"re: hello"
        assert question.reply.startswith(f"t.sample.{process.instance}.reply.")
        away, back = watch(process.broker)
        pip_nats.kill()
        await happens(away)
        assert process.ready.why_not() == BROKER_AWAY
        pip_nats.start()
        await happens(back)
        assert process.ready.why_not() == ""

    (record,) = [record for record in caplog.records if record.name == "sample"]
    assert record.getMessage() == "sample starts"
    assert vars(record)["instance"] == process.instance
    assert re.fullmatch(rf"s{os.getpid()}-[0-9a-f]{{8}}", process.instance)
    assert not process.broker.is_connected
    with pytest.raises(OSError, match="refused"):
        await asyncio.to_thread(readyz, caplog)


async def test_the_log_may_call_the_id_what_the_service_does(
    pip_nats: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sample")
    settings = ProcessSettings(nats_url=pip_nats.url)

    async with joined("sample", settings, asyncio.Event(), replies, id_name="gateway") as process:
        pass

    assert vars(caplog.records[0])["gateway"] == process.instance


async def test_a_process_that_starts_says_that_the_broker_is_away(
    pip_nats: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sample")
    pip_nats.kill()
    settings, done = ProcessSettings(nats_url=pip_nats.url), asyncio.Event()

    async def run() -> None:
        async with joined("sample", settings, asyncio.Event(), replies) as process:
            assert process.ready.why_not() == STARTING
            done.set()

    async with asyncio.TaskGroup() as running:
        running.create_task(run())
        await until(lambda: any(record.name == "sample" for record in caplog.records))
        assert await asyncio.to_thread(readyz, caplog) == (503, f"{BROKER_AWAY}\n")
        pip_nats.start()
        await happens(done)


async def test_a_process_stopped_before_the_broker_answers_gives_up(pip_nats: NatsServer) -> None:
    pip_nats.kill()
    stopping = asyncio.Event()
    stopping.set()

    with pytest.raises(Stopped):
        async with joined("sample", ProcessSettings(nats_url=pip_nats.url), stopping, replies):
            raise AssertionError("it has no broker")


async def test_a_broker_that_cannot_be_reached_is_a_bad_setting() -> None:
    with pytest.raises(ExceptionGroup) as failed:
        async with joined("sample", ProcessSettings(nats_url="nats://"), asyncio.Event(), replies):
            raise AssertionError("it has no broker")
    assert failed.group_contains(SettingsError)
