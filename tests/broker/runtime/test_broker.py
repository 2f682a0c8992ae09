"""A broker that is there: what is sent arrives, and what cannot be sent is said so."""

import logging

import pytest

from tests.broker.runtime.watching import Inbox
from tieline.runtime.broker import MAX_PENDING_SEND_BYTES, Broker, BrokerAway, Message


async def test_what_is_sent_arrives_byte_for_byte_and_in_order(broker: Broker, service: Broker) -> None:
    inbox = Inbox()
    await service.subscribe("a.*", inbox.put)
    await service.flush()
    payloads = [b"", bytes(range(256)), b"\r\nPUB a.c 1\r\nx\r\n", b"x" * 65_536]

    for payload in payloads:
        broker.send("a.b", payload)

    assert [(await inbox.next()).data for _ in payloads] == payloads


async def test_a_message_carries_its_reply_subject_and_headers(broker: Broker, service: Broker) -> None:
    inbox = Inbox()
    await service.subscribe("a.b", inbox.put)
    await service.flush()

    broker.send("a.b", b"x", "where.to", {"Nats-Msg-Id": "7"})

    message = await inbox.next()
    assert (message.subject, message.reply, message.status) == ("a.b", "where.to", "")
    assert (message.header(b"Nats-Msg-Id"), message.header(b"Msg-Id")) == ("7", "")


async def test_an_answer_to_who_asked_for_none_is_not_sent(broker: Broker, service: Broker) -> None:
    inbox = Inbox()
    await service.subscribe("a.b", inbox.put)
    await service.flush()

    broker.send("", b"an answer")
    broker.send("a.b", b"x")

    assert (await inbox.next()).data == b"x"
    await broker.flush()
    assert broker.is_connected


async def test_after_a_flush_a_new_subscription_misses_nothing(broker: Broker, service: Broker) -> None:
    for number in range(100):
        inbox = Inbox()
        await service.subscribe(f"a.{number}", inbox.put)
        await service.flush()

        broker.send(f"a.{number}", b"at once")

        assert (await inbox.next()).data == b"at once"


async def test_of_a_queue_group_one_alone_gets_each_message(broker: Broker, service: Broker) -> None:
    group, alone = Inbox(), Inbox()
    for connection in (broker, service):
        await connection.subscribe("a.b", group.put, queue="group")
        await connection.flush()
    await service.subscribe("a.b", alone.put)
    await service.flush()

    for number in range(20):
        broker.send("a.b", str(number).encode())

    got = [(await group.next()).data for _ in range(20)]
    assert sorted(got) == sorted(str(number).encode() for number in range(20))
    assert [(await alone.next()).data for _ in range(20)] == [str(number).encode() for number in range(20)]
    await broker.flush()
    await service.flush()
    assert group.is_empty()


async def test_a_drained_subscription_gets_what_came_and_no_more(broker: Broker, service: Broker) -> None:
    drained, other = Inbox(), Inbox()
    subscription = await service.subscribe("a.b", drained.put)
    await service.subscribe("a.b", other.put)
    await service.flush()
    broker.send("a.b", b"before")
    await broker.flush()

    await service.drain(subscription)
    broker.send("a.b", b"after")

    assert [(await other.next()).data, (await other.next()).data] == [b"before", b"after"]
    assert (await drained.next()).data == b"before"
    assert drained.is_empty()


async def test_more_than_may_wait_to_be_written_is_not_taken(broker: Broker) -> None:
    payload = b"x" * 65_536
    for _ in range(MAX_PENDING_SEND_BYTES // len(payload)):  # nothing here lets the connection write
        broker.send("a.b", payload)

    with pytest.raises(BrokerAway):
        broker.send("a.b", payload)

    await broker.flush()
    broker.send("a.b", payload)


async def test_a_message_the_broker_would_not_take_is_not_sent(broker: Broker) -> None:
    with pytest.raises(BrokerAway):
        broker.send("a.b", b"x" * (broker.client.max_payload + 1))

    await broker.flush()
    assert broker.is_connected


async def test_a_flush_callback_sends_behind_what_was_sent_before(
    broker: Broker, service: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = Inbox()
    await service.subscribe("a.b", inbox.put)
    await service.flush()

    def stumble() -> None:
        raise LookupError("a bug of ours")

    broker.on_flush(stumble)
    broker.on_flush(lambda: broker.send("a.b", b"last"))
    broker.send("a.b", b"first")

    assert [(await inbox.next()).data, (await inbox.next()).data] == [b"first", b"last"]
    assert [record.getMessage() for record in caplog.records] == ["broker error"]


async def test_a_callback_that_fails_is_logged_and_called_again(
    broker: Broker, service: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = Inbox()

    def stumble(message: Message) -> None:
        inbox.put(message)
        if message.data == b"1":
            raise LookupError("a bug of ours")

    await service.subscribe("a.b", stumble)
    await service.flush()
    broker.send("a.b", b"1")
    broker.send("a.b", b"2")

    assert [(await inbox.next()).data, (await inbox.next()).data] == [b"1", b"2"]
    (record,) = [record for record in caplog.records if record.getMessage() == "broker error"]
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], LookupError)
