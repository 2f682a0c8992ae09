"""Asking until somebody answers."""

import asyncio
import re

import pytest

from tests.broker.runtime.watching import (
    ONE_RETRY_S,
    PATIENCE_S,
    SHORT_S,
    Attempts,
    Inbox,
    answering,
    listen,
)
from tests.support.metrics import value_of
from tieline.runtime.broker import Broker, Message
from tieline.runtime.metrics import REQUEST_RETRIES
from tieline.runtime.patience import patience_of
from tieline.runtime.requests import NoAnswer, Requests


async def test_a_request_gets_its_answer(requests: Requests, service: Broker) -> None:
    await listen(service, answering(service, lambda question: b"re: " + question.data))

    assert await requests.ask("t.ask", b"hello") == b"re: hello"


async def test_each_of_many_requests_gets_its_own_answer(requests: Requests, service: Broker) -> None:
    await listen(service, answering(service, lambda question: b"re: " + question.data))

    async with asyncio.TaskGroup() as asking:
        answers = [asking.create_task(requests.ask("t.ask", b"%d" % number)) for number in range(200)]

    assert [answer.result() for answer in answers] == [b"re: %d" % number for number in range(200)]


async def test_an_answer_without_content_is_an_answer(requests: Requests, service: Broker) -> None:
    await listen(service, answering(service, lambda _: b""))

    assert await requests.ask("t.ask", b"hello") == b""


async def test_a_request_is_resent_until_a_process_listens(
    requests: Requests, service: Broker, attempts: Attempts
) -> None:
    retries = value_of(REQUEST_RETRIES)

    async with asyncio.TaskGroup() as asking:
        answer = asking.create_task(requests.ask("t.ask", b"hello", PATIENCE_S))
        assert [await attempts.next() for _ in range(3)] == [b"hello"] * 3
        assert not answer.done()
        await listen(service, answering(service, lambda _: b"at last"))

    assert answer.result() == b"at last"
    assert value_of(REQUEST_RETRIES) >= retries + 2


async def test_a_request_without_listeners_fails_after_its_patience(requests: Requests) -> None:
    with pytest.raises(NoAnswer, match=r"t\.ask"):
        await requests.ask("t.ask", b"hello", 3 * SHORT_S)


async def test_an_unanswered_request_is_resent_as_it_was_and_fails(
    requests: Requests, service: Broker
) -> None:
    inbox = Inbox()
    await listen(service, inbox.put)
    payload = bytes(range(256))

    with pytest.raises(NoAnswer):
        await requests.ask("t.ask", payload, ONE_RETRY_S)

    first, second = await inbox.next(), await inbox.next()
    assert first.data == second.data == payload
    assert first.reply == second.reply


async def test_a_request_is_not_resent_once_it_is_not_wanted(requests: Requests, service: Broker) -> None:
    inbox = Inbox()
    await listen(service, inbox.put)
    wanted = iter((True, False))

    with pytest.raises(NoAnswer):
        await requests.ask("t.ask", b"hello", 2 * ONE_RETRY_S, lambda: next(wanted))

    await inbox.next()
    assert list(wanted) == []


async def test_the_second_attempt_is_answered_if_the_first_was_lost(
    requests: Requests, service: Broker
) -> None:
    inbox = Inbox()
    await listen(service, inbox.put)

    async with asyncio.TaskGroup() as asking:
        answer = asking.create_task(requests.ask("t.ask", b"hello", PATIENCE_S))
        await inbox.next()
        service.send((await inbox.next()).reply, b"second time lucky")

    assert answer.result() == b"second time lucky"


async def test_a_late_listener_that_loses_the_request_is_soon_asked(
    requests: Requests, service: Broker, attempts: Attempts
) -> None:
    inbox = Inbox()

    async with asyncio.TaskGroup() as asking:
        answer = asking.create_task(requests.ask("t.ask", b"hello", PATIENCE_S))
        for _ in range(8):  # nobody listens, for longer than any first retry takes
            await attempts.next()
        await listen(service, inbox.put)
        await inbox.next()
        service.send((await inbox.next()).reply, b"second time lucky")

    assert answer.result() == b"second time lucky"


async def test_an_answer_to_an_earlier_attempt_counts(requests: Requests, service: Broker) -> None:
    inbox, answers = Inbox(), list[bytes]()
    await listen(service, inbox.put)

    def done(reply: Message | None) -> None:
        assert reply is not None
        answers.append(reply.data)

    requests.begin("t.ask", b"hello", done, PATIENCE_S)
    question, again = await inbox.next(), await inbox.next()
    service.send(question.reply, b"first")
    service.send(again.reply, b"second")
    service.send(again.reply, b"third")

    async with asyncio.TaskGroup() as asking:  # whose answer comes behind all of these
        other = asking.create_task(requests.ask("t.ask", b"other", PATIENCE_S))
        service.send((await inbox.next()).reply, b"re: other")
    assert other.result() == b"re: other"
    assert answers == [b"first"]


async def test_without_an_answer_the_one_who_asked_is_told_once(requests: Requests) -> None:
    told: asyncio.Queue[Message | None] = asyncio.Queue()

    requests.begin("t.ask", b"hello", told.put_nowait, SHORT_S)

    async with asyncio.timeout(PATIENCE_S):
        assert await told.get() is None
    with pytest.raises(NoAnswer):
        await requests.ask("t.ask", b"another", SHORT_S)
    assert told.empty()


async def test_an_answer_that_comes_after_the_patience_is_ignored(
    requests: Requests, service: Broker
) -> None:
    inbox = Inbox()
    await listen(service, inbox.put)
    with pytest.raises(NoAnswer):
        await requests.ask("t.ask", b"hello", SHORT_S)

    service.send((await inbox.next()).reply, b"too late")
    async with asyncio.TaskGroup() as asking:
        other = asking.create_task(requests.ask("t.ask", b"other", PATIENCE_S))
        service.send((await inbox.next()).reply, b"re: other")

    assert other.result() == b"re: other"


async def test_a_caller_that_went_away_disturbs_no_other(
    requests: Requests, service: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = Inbox()
    await listen(service, inbox.put)

    async with asyncio.TaskGroup() as asking:
        gone = asking.create_task(requests.ask("t.ask", b"gone", PATIENCE_S))
        question = await inbox.next()
        gone.cancel()
        service.send(question.reply, b"re: gone")
        other = asking.create_task(requests.ask("t.ask", b"other", PATIENCE_S))
        service.send((await inbox.next()).reply, b"re: other")

    assert other.result() == b"re: other"
    assert not caplog.records


async def test_two_processes_that_ask_the_same_get_their_own_answers(
    requests: Requests, broker: Broker, service: Broker
) -> None:
    others = Requests(broker, "t.router.r-2.reply")
    await others.start()
    await listen(service, answering(service, lambda question: question.reply.encode()))

    mine, theirs = await requests.ask("t.ask", b"x"), await others.ask("t.ask", b"x")

    assert re.fullmatch(rb"t\.router\.r-1\.reply\.[0-9a-f]{16}", mine)
    assert re.fullmatch(rb"t\.router\.r-2\.reply\.[0-9a-f]{16}", theirs)


async def test_where_one_answer_goes_says_nothing_of_the_next(requests: Requests, service: Broker) -> None:
    await listen(service, answering(service, lambda question: question.reply.encode()))

    async with asyncio.TaskGroup() as asking:
        answers = [asking.create_task(requests.ask("t.ask", b"x")) for _ in range(2_000)]

    assert len({answer.result() for answer in answers}) == 2_000


async def test_each_attempt_says_how_long_it_is_still_waited_for(broker: Broker, requests: Requests) -> None:
    inbox = Inbox()
    await broker.subscribe("t.slow", inbox.put)
    with pytest.raises(NoAnswer):
        await requests.ask("t.slow", b"", ONE_RETRY_S)

    first, second = [patience_of(await inbox.next()) for _ in range(2)]

    assert ONE_RETRY_S >= first > second > 0


async def test_an_answer_that_comes_too_late_is_told(requests: Requests, service: Broker) -> None:
    inbox, late = Inbox(), Inbox()
    requests.hear_late(late.put)
    await listen(service, inbox.put)
    assert await told_late(requests, service, inbox) == b"first"

    assert (await late.next()).data == b"second"


async def told_late(requests: Requests, service: Broker, inbox: Inbox) -> bytes:
    """Ask, and answer twice; returns the answer that counts."""
    async with asyncio.TaskGroup() as asking:
        answer = asking.create_task(requests.ask("t.ask", b"hello"))
        question = await inbox.next()
        for said in (b"first", b"second"):
            service.send(question.reply, said)
    return answer.result()


# Of a process that is slow, and lives.

USUAL_S = 0.25
"""What an answer takes: much less than the least that is waited."""

LONGER_S = 0.7
"""Longer than that, and less than four usual answers."""


async def test_a_slow_answer_is_waited_for_where_answers_are_slow(
    requests: Requests, service: Broker
) -> None:
    inbox, loop = Inbox(), asyncio.get_running_loop()

    def answer(question: Message) -> None:
        inbox.put(question)
        after_s = float(question.data)
        loop.call_later(after_s, service.send, question.reply, question.data)

    await listen(service, answer)
    async with (
        asyncio.TaskGroup() as asking
    ):  # all at once: what the first ones take tells the last one to wait
        for after_s in [USUAL_S] * 20 + [LONGER_S]:
            asking.create_task(requests.ask("t.ask", b"%f" % after_s, PATIENCE_S))

    for _ in range(21):
        await inbox.next()
    assert inbox.is_empty()


async def test_slow_answers_of_one_kind_say_nothing_of_another(requests: Requests, service: Broker) -> None:
    hung, slow, loop = Inbox(), Inbox(), asyncio.get_running_loop()

    def answer(question: Message) -> None:
        slow.put(question)
        loop.call_later(USUAL_S, service.send, question.reply, b"")

    await listen(service, answer)
    await service.subscribe("t.hung", hung.put)
    await service.flush()
    async with asyncio.TaskGroup() as asking:
        for _ in range(20):
            asking.create_task(requests.ask("t.ask", b"", PATIENCE_S))

    with pytest.raises(NoAnswer):
        await requests.ask("t.hung", b"", 2 * LONGER_S)  # 0.5 s, and not four usual answers of the others

    first, second = [patience_of(await hung.next()) for _ in range(2)]
    assert first - second < LONGER_S
