"""An answer that cannot be read is none: the request is sent again, or given up in time."""

import itertools

import msgspec
import pytest

from tests.broker.runtime.watching import SHORT_S, answering, listen
from tests.support.metrics import value_of
from tieline.runtime import metrics
from tieline.runtime.answers import Asking
from tieline.runtime.broker import Broker
from tieline.runtime.requests import NoAnswer, Requests

UNREADABLE = metrics.UNREADABLE_MESSAGES.labels("answer")

read = msgspec.msgpack.Decoder(str).decode


@pytest.mark.parametrize("nonsense", [b"", b"\xc1", b"\xa1\xff", msgspec.msgpack.encode(7)])
async def test_an_answer_that_cannot_be_read_is_asked_for_again(
    requests: Requests, service: Broker, nonsense: bytes
) -> None:
    before = value_of(UNREADABLE)
    answers = itertools.chain([nonsense], itertools.repeat(msgspec.msgpack.encode("yes")))
    await listen(service, answering(service, lambda _: next(answers)))
    assert await Asking(requests).ask("t.ask", b"?", read) == "yes"
    assert value_of(UNREADABLE) == before + 1


async def test_nonsense_alone_is_no_answer(requests: Requests, service: Broker) -> None:
    await listen(service, answering(service, lambda _: b"\xc1"))
    with pytest.raises(NoAnswer):
        await Asking(requests).ask("t.ask", b"?", read, 3 * SHORT_S)
    assert not len(requests)


async def test_what_is_wanted_no_more_is_not_sent(requests: Requests, service: Broker) -> None:
    asked: list[bytes] = []

    def answer(question: bytes) -> bytes:
        asked.append(question)
        return b"\xc1"

    await listen(service, answering(service, lambda question: answer(question.data)))
    with pytest.raises(NoAnswer):
        await Asking(requests).ask("t.ask", b"?", read, 3 * SHORT_S, lambda: False)
    assert not asked
