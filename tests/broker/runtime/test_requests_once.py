"""Asking once, for one reply or for several."""

import asyncio
import json

import pytest
from nats.js.api import StreamConfig

from tests.broker.runtime.watching import (
    ONE_RETRY_S,
    PATIENCE_S,
    SHORT_S,
    Attempts,
    Inbox,
    listen,
)
from tests.support.waiting import until
from tieline.runtime.broker import Broker, Message
from tieline.runtime.message import NO_RESPONDERS
from tieline.runtime.requests import NoAnswer, Requests

END_OF_BATCH = b"NATS/1.0 204 EOB\r\n\r\n"
"""What JetStream puts behind the messages of a batch."""


async def test_what_is_asked_once_gets_the_whole_reply(requests: Requests, service: Broker) -> None:
    def answer(question: Message) -> None:
        service.send(question.reply, question.data, headers={"Got": question.header(b"Sent")})

    await listen(service, answer)

    reply = await requests.ask_once("t.ask", b"hello", PATIENCE_S, {"Sent": "7"})

    assert (reply.data, reply.header(b"Got"), reply.status) == (b"hello", "7", "")


async def test_what_is_asked_once_is_never_sent_again(
    requests: Requests, service: Broker, attempts: Attempts
) -> None:
    inbox = Inbox()
    await listen(service, inbox.put)

    with pytest.raises(NoAnswer):
        await requests.ask_once("t.ask", b"once", ONE_RETRY_S)

    assert await attempts.next() == b"once"
    async with asyncio.TaskGroup() as asking:
        asking.create_task(requests.ask("t.ask", b"other", PATIENCE_S))
        assert (await inbox.next()).data == b"once"
        question = await inbox.next()
        assert question.data == b"other"
        service.send(question.reply, b"")


async def test_a_request_without_retries_fails_without_listeners(requests: Requests) -> None:
    with pytest.raises(NoAnswer):
        await requests.ask_once("t.nobody", b"", PATIENCE_S)
    with pytest.raises(NoAnswer):
        await requests.gather("t.nobody", b"", PATIENCE_S)


# Asking first, and waiting later.


async def test_questions_are_under_way_together(requests: Requests, service: Broker) -> None:
    inbox = Inbox()
    await listen(service, inbox.put)

    first, second = (requests.begin_once("t.ask", payload, PATIENCE_S) for payload in (b"1", b"2"))

    questions = [await inbox.next(), await inbox.next()]
    for question in reversed(questions):
        service.send(question.reply, b"answer to " + question.data)
    assert (await first.reply()).data == b"answer to 1"
    assert (await second.reply()).data == b"answer to 2"


async def test_what_nobody_waits_for_any_more_is_forgotten(requests: Requests, service: Broker) -> None:
    inbox = Inbox()
    await listen(service, inbox.put)

    async with asyncio.TaskGroup() as asking:
        waiter = asking.create_task(requests.ask_once("t.ask", b"", SHORT_S))
        question = await inbox.next()
        waiter.cancel()
    requests.begin_once("t.ask", b"", SHORT_S)
    await inbox.next()

    service.send(question.reply, b"to nobody")
    await until(lambda: len(requests) == 0)


# Gathering.


async def test_a_gathering_ends_with_the_reply_that_has_a_status(requests: Requests, service: Broker) -> None:
    def answer(question: Message) -> None:
        for number in range(3):
            service.send(question.reply, b"%d" % number, headers={"Number": str(number)})
        service.client.write(question.reply, "", b"", END_OF_BATCH)
        service.send(question.reply, b"too late")

    await listen(service, answer)

    replies = await requests.gather("t.ask", b"", PATIENCE_S)

    assert [reply.data for reply in replies] == [b"0", b"1", b"2", b""]
    assert [reply.status for reply in replies] == ["", "", "", "204"]


async def test_a_gathering_without_its_end_fails_after_its_time(requests: Requests, service: Broker) -> None:
    inbox = Inbox()

    def answer(question: Message) -> None:
        inbox.put(question)
        service.send(question.reply, b"one and no more")

    await listen(service, answer)

    with pytest.raises(NoAnswer):
        await requests.gather("t.ask", b"", SHORT_S)
    assert len(requests) == 0
    service.client.write((await inbox.next()).reply, "", b"", END_OF_BATCH)  # nobody waits for it any more
    await service.flush()


async def test_a_batch_read_from_jetstream_is_gathered_up_to_its_end(
    broker: Broker, requests: Requests
) -> None:
    stream = StreamConfig(name="RECORDS", subjects=["t.record.*"], max_msgs_per_subject=1, allow_direct=True)
    await broker.client.jetstream().add_stream(stream)
    for name in ("a", "b", "c"):
        await requests.ask_once(f"t.record.{name}", name.encode(), PATIENCE_S)
    wanted = {"multi_last": ["t.record.a", "t.record.c", "t.record.nothing"]}

    replies = await requests.gather("$JS.API.DIRECT.GET.RECORDS", json.dumps(wanted).encode(), PATIENCE_S)

    assert [reply.data for reply in replies] == [b"a", b"c", b""]
    assert replies[-1].status == "204"
    missing = json.dumps({"multi_last": ["t.record.nothing"]}).encode()
    (nothing,) = await requests.gather("$JS.API.DIRECT.GET.RECORDS", missing, PATIENCE_S)
    assert nothing.status == "404"


async def test_the_broker_s_status_for_nobody_is_503(broker: Broker) -> None:
    inbox = Inbox()
    await broker.subscribe("t.reply", inbox.put)

    broker.send("t.nobody", b"", "t.reply")

    assert (await inbox.next()).status == NO_RESPONDERS == "503"
