"""A mailbox that ceases to answer, or to keep something, in the middle of being read."""

from typing import Any

import pytest

from gateway.delivery.barriers import Barrier
from gateway.delivery.mailbox import Mailbox
from tieline.runtime.message import Message, block
from tieline.runtime.requests import NoAnswer
from tieline.wire.ids import SessionId, UserId
from tieline.wire.subjects import Subjects

BARRIER = Barrier("tieline.mark.g1", 9)
KNOWN = {"tieline.user.alice.s1": 1, "tieline.user.bob.s2": 2}


def newest_are(newest: dict[str, int]) -> list[Message]:
    """Say of each subject which message is its last."""
    heads = [block({"Nats-Subject": name, "Nats-Sequence": str(at)}) for name, at in newest.items()]
    return [*(Message("", "", b"", head) for head in heads), Message("", "", b"", b"NATS/1.0 204\r\n\r\n")]


class Ceasing:
    """Requests to a stream that says how far it is, and then nothing (on 3.11.2, that came as a group)."""

    async def gather(self, subject: str, payload: bytes, _timeout: float) -> list[Message]:
        if b"multi_last" not in payload:
            raise NoAnswer(subject)
        return newest_are({BARRIER.subject: BARRIER.sequence, **dict.fromkeys(KNOWN, 8)})


class Forgetting:
    """Requests to a stream that keeps the only message of a session no longer, once it has named it."""

    def __init__(self) -> None:
        self._has_named = False

    async def gather(self, _subject: str, payload: bytes, _timeout: float) -> list[Message]:
        if b"multi_last" not in payload:
            return [Message("", "", b"", b"NATS/1.0 404\r\n\r\n")]
        newest = {BARRIER.subject: BARRIER.sequence}
        if not self._has_named:
            newest["tieline.user.alice.s1"] = 8
        self._has_named = True
        return newest_are(newest)


async def test_what_is_kept_no_longer_when_it_is_read_was_not_missed() -> None:
    requests: Any = Forgetting()
    mailbox = Mailbox(requests, Subjects("tieline"))

    missed = await mailbox.missed(UserId("alice"), SessionId("s1"), "", BARRIER)

    assert (missed.fresh, missed.newest) == ([], 0)


async def test_reading_it_fails_with_no_answer_and_not_with_a_group() -> None:
    requests: Any = Ceasing()
    with pytest.raises(NoAnswer):
        await Mailbox(requests, Subjects("tieline")).news(KNOWN, BARRIER)
