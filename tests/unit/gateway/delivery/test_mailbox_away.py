"""A mailbox that ceases to answer in the middle of being read (on Python 3.11.2, its end came as a group)."""

from typing import Any

import pytest

from gateway.delivery.barriers import Barrier
from gateway.delivery.mailbox import Mailbox
from tieline.runtime.message import Message, block
from tieline.runtime.requests import NoAnswer
from tieline.wire.subjects import Subjects

BARRIER = Barrier("tieline.mark.g1", 9)
KNOWN = {"tieline.user.alice.s1": 1, "tieline.user.bob.s2": 2}


class Ceasing:
    """Requests to a stream that says how far it is, and then nothing."""

    async def gather(self, subject: str, payload: bytes, _timeout: float) -> list[Message]:
        if b"multi_last" not in payload:
            raise NoAnswer(subject)
        newest = {BARRIER.subject: BARRIER.sequence, **dict.fromkeys(KNOWN, 8)}
        heads = [block({"Nats-Subject": name, "Nats-Sequence": str(at)}) for name, at in newest.items()]
        return [
            *(Message("", "", b"", head) for head in heads),
            Message("", "", b"", b"NATS/1.0 204\r\n\r\n"),
        ]


async def test_reading_it_fails_with_no_answer_and_not_with_a_group() -> None:
    requests: Any = Ceasing()
    with pytest.raises(NoAnswer):
        await Mailbox(requests, Subjects("tieline")).news(KNOWN, BARRIER)
