"""Read the mailbox: what was published for users, kept in a JetStream stream for about a minute.

A direct get may be answered by a replica that lags a moment behind. To have read everything up to a barrier
(`barriers`), one therefore reads until the barrier is among what is read.
"""

import asyncio
from collections.abc import Mapping
from typing import Final, NamedTuple

from gateway.client.deliveries import Missed
from gateway.delivery.barriers import Barrier
from tieline.runtime.message import Message
from tieline.runtime.requests import NoAnswer, Requests
from tieline.wire import envelope, jetstream
from tieline.wire.ids import SessionId, UserId
from tieline.wire.limits import MAX_MISSED
from tieline.wire.subjects import Subjects

TIMEOUT_S: Final = 2.0
"""For one read: a leader election takes about one second."""

TRIES: Final = 5
"""Reads until a replica has caught up with its leader, which takes milliseconds, or a leader is elected."""

_CHUNK: Final = 128
"""Sessions asked about at once: the answer brings a message of each, which may have 64 KiB."""

_AT_ONCE: Final = 32
"""Sessions whose messages are read at the same time."""


class News(NamedTuple):
    """What the mailbox holds for a session beyond what is known."""

    frames: list[bytes]
    newest: int
    """The sequence of the last of them."""
    numbers: tuple[int, ...] = ()
    """The sequences of all of them."""


class Mailbox:
    """The mailbox of one namespace, for reading. Raises `NoAnswer` when it does not answer."""

    def __init__(self, requests: Requests, subjects: Subjects) -> None:
        self._requests = requests
        self._subjects = subjects
        self._get = jetstream.direct_get(subjects.mailbox())

    async def missed(self, user: UserId, session: SessionId, last: str, barrier: Barrier) -> Missed:
        """Read what a session was sent before a barrier, split after the last message called `last`.

        Subscribe to the session's subject before the barrier is sent: what is stored later is pushed.
        """
        subject = self._subjects.user(user, session)
        ask = jetstream.messages_of(subject, 1, MAX_MISSED + 1)
        for _ in range(TRIES):  # both in one round trip; two replicas may answer, and the slower one lag
            newest, replies = await asyncio.gather(self._newest([subject], barrier), self._read(ask))
            reached = jetstream.sequence(replies[-1]) if replies else 0
            if reached >= newest.get(subject, 0):
                return split(
                    [reply.data for reply in replies], last, reached, tuple(map(jetstream.sequence, replies))
                )
        raise NoAnswer(f"{self._get}: behind its leader, or overrun")

    async def news(self, known: Mapping[str, int], barrier: Barrier) -> dict[str, News]:
        """Read what was stored before a barrier under each subject, beyond the sequence that is known.

        A subject without news is left out.
        """
        subjects = list(known)
        newest: dict[str, int] = {}
        for start in range(0, len(subjects), _CHUNK):
            newest |= await self._newest(subjects[start : start + _CHUNK], barrier)
        slots = asyncio.Semaphore(_AT_ONCE)
        news: dict[str, News] = {}
        failures: BaseExceptionGroup[NoAnswer] | None = None

        async def read(subject: str, beyond: int, last: int) -> None:
            async with slots:
                replies = await self._read_up_to(subject, beyond + 1, last)
            numbers = tuple(map(jetstream.sequence, replies))
            news[subject] = News([reply.data for reply in replies], numbers[-1], numbers)

        try:
            async with asyncio.TaskGroup() as reading:
                for subject, last in newest.items():
                    have = known[subject]
                    if last < have:  # the stream was lost, and begins anew
                        reading.create_task(read(subject, 0, last))
                    elif last > have:
                        reading.create_task(read(subject, have, last))
        except* NoAnswer as several:
            failures = several
        # Not where it is caught: before Python 3.11.4, what is raised in there comes out as a group.
        if failures is not None:
            raise NoAnswer(self._get) from failures
        return news

    async def _newest(self, subjects: list[str], barrier: Barrier) -> dict[str, int]:
        """Look up the sequence of the last message of each subject, as it was at the barrier or later."""
        ask = jetstream.last_messages_of([barrier.subject, *subjects])
        for _ in range(TRIES):
            replies = await self._read(ask)
            newest = dict(jetstream.stored_as(reply.headers) for reply in replies)
            if newest.pop(barrier.subject, 0) >= barrier.sequence:
                return newest
        raise NoAnswer(f"{self._get}: behind its leader")

    async def _read_up_to(self, subject: str, start: int, newest: int) -> list[Message]:
        """Read one subject's messages, up to one that is known to be there."""
        ask = jetstream.messages_of(subject, start, MAX_MISSED + 1)
        for _ in range(TRIES):
            replies = await self._read(ask)
            if replies and jetstream.sequence(replies[-1]) >= newest:
                return replies
        raise NoAnswer(f"{self._get}: behind its leader, or overrun")

    async def _read(self, ask: bytes) -> list[Message]:
        replies = await self._requests.gather(self._get, ask, TIMEOUT_S)
        if replies[-1].status not in jetstream.END_OF_MESSAGES:
            raise NoAnswer(f"{self._get}: {replies[-1].headers!r}")
        return replies[:-1]


def split(frames: list[bytes], last: str, newest: int, numbers: tuple[int, ...] = ()) -> Missed:
    """Split what was stored after the last message called `last`; without one, the client has had nothing."""
    for index in range(len(frames) - 1, -1, -1) if last else ():
        if envelope.request_id_of(frames[index]) == last:
            position = numbers[index] if numbers else None
            fresh = frames[index + 1 :]
            return Missed(frames[: index + 1], fresh, True, newest, numbers[index + 1 :], position)
    return Missed([], frames, len(frames) <= MAX_MISSED, newest, numbers)


def split_at(missed: Missed, position: int) -> Missed:
    """Split once more: what is stored up to a position the client has had."""
    count = sum(number <= position for number in missed.numbers)
    fresh = missed.fresh[count:]
    return Missed(
        [*missed.known, *missed.fresh[:count]],
        fresh,
        len(fresh) <= MAX_MISSED,
        missed.newest,
        missed.numbers[count:],
        position,
    )
