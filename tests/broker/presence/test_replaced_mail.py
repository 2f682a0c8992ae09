"""What is taken out of the mailbox of a real broker, and what stays."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from presence.mailbox import make_mailbox
from presence.replaced_mail import MAX_WAITING, TOGETHER, ReplacedMail
from presence.rules.effects import Replaced
from tests.broker.presence.conftest import SUBJECTS
from tests.support.waiting import until, until_true
from tieline.runtime.broker import Broker
from tieline.runtime.requests import Requests
from tieline.wire import jetstream, jetstream_answers, jetstream_headers
from tieline.wire.digests import digest, message_id
from tieline.wire.ids import SessionId, UserId

BOB, HIS = UserId("bob"), SessionId("bob-s1")
SUBJECT = SUBJECTS.user(BOB, HIS)
SOON_S = 0.01


def offer(number: int) -> bytes:
    return f"offer {number} ".encode() + b"." * 60_000


def replacing(older: int, newer: int) -> Replaced:
    return Replaced(BOB, digest(offer(older)), digest(offer(newer)))


class Mail:
    """The mailbox, with what is taken out of it."""

    def __init__(self, broker: Broker, requests: Requests) -> None:
        self._broker = broker
        self._requests = requests
        self.replaced = ReplacedMail(requests, SUBJECTS, tries=10_000)

    async def store(self, frame: bytes) -> None:
        """Store a frame for Bob."""
        headers = jetstream_headers.named(message_id(BOB, frame))
        answer = await self._requests.ask_once(SUBJECT, frame, 5.0, headers)
        assert jetstream_answers.read_published(answer.data).error is None

    async def kept(self) -> list[bytes]:
        """List what is kept for Bob, by how it begins."""
        ask = jetstream.messages_of(SUBJECT, 1, 1000, 64 * 1024 * 1024)
        *messages, _ = await self._requests.gather(jetstream.direct_get(SUBJECTS.mailbox()), ask, 5.0)
        return [message.data[:9].rstrip(b" .") for message in messages]

    async def bytes_kept(self) -> int:
        """Say how much the stream keeps."""
        info = await self._broker.client.jetstream().stream_info(SUBJECTS.mailbox())
        return info.state.bytes


@pytest.fixture
async def mail(broker: Broker, requests: Requests) -> AsyncIterator[Mail]:
    await make_mailbox(broker, SUBJECTS, "memory", 1, 30)
    async with asyncio.TaskGroup() as tasks:
        mail = Mail(broker, requests)
        running = tasks.create_task(mail.replaced.run(SOON_S, SOON_S))
        yield mail
        running.cancel()


async def test_of_offers_that_replace_each_other_the_last_is_kept(mail: Mail) -> None:
    for number in range(TOGETHER + 8):
        await mail.store(offer(number))
        if number:
            mail.replaced.note(replacing(number - 1, number))
        if number == 3:
            await mail.store(b"hello of Carol")

    async def is_one() -> bool:
        return await mail.kept() == [b"hello of", b"offer %d" % (TOGETHER + 7)]

    await until_true(is_one)
    assert await mail.bytes_kept() < 2 * len(offer(0))


async def test_an_offer_goes_only_when_what_has_replaced_it_is_stored(mail: Mail) -> None:
    for number in (1, 3, 4):
        await mail.store(offer(number))
    mail.replaced.note(replacing(8, 9))  # of which nothing is stored
    mail.replaced.note(replacing(1, 2))
    mail.replaced.note(replacing(3, 4))

    async def has_had_a_turn() -> bool:
        return await mail.kept() == [b"offer 1", b"offer 4"]

    await until_true(has_had_a_turn)
    await mail.store(offer(2))

    async def is_replaced() -> bool:
        return await mail.kept() == [b"offer 4", b"offer 2"]

    await until_true(is_replaced)


async def test_what_replaces_nothing_newer_takes_nothing_out(mail: Mail) -> None:
    await mail.store(offer(1))
    await mail.store(offer(2))
    await mail.store(offer(4))
    mail.replaced.note(replacing(2, 1))  # stored again before it, which comes too late to replace it
    mail.replaced.note(replacing(2, 2))
    mail.replaced.note(replacing(3, 4))  # which is not stored any more
    mail.replaced.note(replacing(1, 4))

    async def is_done() -> bool:
        return await mail.kept() == [b"offer 2", b"offer 4"]

    await until_true(is_done)


async def test_a_retry_of_what_was_taken_out_is_not_stored_again(mail: Mail) -> None:
    await mail.store(offer(1))
    await mail.store(offer(2))
    mail.replaced.note(replacing(1, 2))

    async def is_done() -> bool:
        return await mail.kept() == [b"offer 2"]

    await until_true(is_done)
    await mail.store(offer(1))
    assert await mail.kept() == [b"offer 2"]


async def test_what_is_never_replaced_is_not_looked_for_for_ever(broker: Broker, requests: Requests) -> None:
    await make_mailbox(broker, SUBJECTS, "memory", 1, 30)
    replaced = ReplacedMail(requests, SUBJECTS, tries=2)
    replaced.note(replacing(1, 2))
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(replaced.run(SOON_S, SOON_S))
        await until(lambda: not replaced.waiting)
        running.cancel()


async def test_where_nobody_may_ask_it_is_given_up_for_a_while(broker: Broker, requests: Requests) -> None:
    replaced = ReplacedMail(requests, SUBJECTS)  # there is no mailbox
    replaced.note(replacing(1, 2))
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(replaced.run(SOON_S, SOON_S))
        await until(lambda: not replaced.waiting)
        await make_mailbox(broker, SUBJECTS, "memory", 1, 30)
        mail = Mail(broker, requests)
        for number in (1, 2):
            await mail.store(offer(number))
        replaced.note(replacing(1, 2))

        async def is_replaced() -> bool:
            return await mail.kept() == [b"offer 2"]

        await until_true(is_replaced)
        running.cancel()


async def test_no_more_waits_than_may(mail: Mail) -> None:
    for number in range(MAX_WAITING + 10):
        mail.replaced.note(replacing(number, number + 1))
    assert mail.replaced.waiting == MAX_WAITING
