"""Read the mailbox: what was published for users, kept in a JetStream stream for about a minute.

A direct get may be answered by a replica that lags a moment behind. To have read everything up to a barrier
(`barriers`), one therefore reads until the barrier is among what is read. What is kept of one session may be
128 MiB; it is read in parts, and what of it is worth keeping is chosen as it comes (`replay`).
"""

import asyncio
import functools
import logging
from collections.abc import Mapping
from typing import Final, NamedTuple

from gateway.client.deliveries import Missed
from gateway.client.mail import mail
from gateway.delivery.barriers import Barrier
from gateway.delivery.replay import Replay
from tieline import metrics
from tieline.runtime.message import Message
from tieline.runtime.requests import NoAnswer, Requests
from tieline.runtime.together import Together
from tieline.runtime.unreadable import Unreadable
from tieline.wire import jetstream, jetstream_headers
from tieline.wire.heads import is_deliverable
from tieline.wire.ids import SessionId, UserId
from tieline.wire.subjects import Subjects

TIMEOUT_S: Final = 2.0
"""For one read: a leader election takes about one second."""

TRIES: Final = 5
"""Reads until a replica has caught up with its leader, which takes milliseconds, or a leader is elected."""

_CHUNK: Final = 128
"""Sessions asked about at once: the answer brings a message of each, which may have 64 KiB."""

_AT_ONCE: Final = 32
"""Sessions whose messages are read at the same time."""

PART_MESSAGES: Final = 128
"""Messages of a session that are read at once: what nearly all have missed is read in one round trip."""

PART_BYTES: Final = 128 * 1024
"""Bytes of them, after which no more come: to look at so much takes the loop less than a millisecond."""

LONG_AT_ONCE: Final = 4
"""Sessions of which more than a part is read at the same time: each may take `MAX_MISSED_BYTES`."""

_log = logging.getLogger(__name__)


class News(NamedTuple):
    """What the mailbox holds for a session beyond what is known."""

    frames: list[bytes]
    newest: int
    """The sequence of the last of them."""
    numbers: tuple[int, ...] = ()
    """The sequences of these frames."""
    over: tuple[str, ...] = ()
    """Calls whose end was left out."""


class Mailbox:
    """The mailbox of one namespace, for reading. Raises `NoAnswer` when it does not answer."""

    def __init__(self, requests: Requests, subjects: Subjects, long: asyncio.Semaphore | None = None) -> None:
        """Take also what bounds the sessions of which more than a part is read at a time."""
        self._requests = requests
        self._subjects = subjects
        self._get = jetstream.direct_get(subjects.mailbox())
        self._together = Together(self._newest, _CHUNK)
        self._long = long or asyncio.Semaphore(LONG_AT_ONCE)
        self._unreadable = Unreadable(_log)

    async def missed(
        self,
        user: UserId,
        session: SessionId,
        last: str,
        barrier: Barrier,
        has_had: int = 0,
        lost_at: int = 0,
    ) -> Missed:
        """Read what a session was sent before a barrier, split after what the client has had (`Replay`).

        That is the message called `last`, if it was stored by the time `lost_at`, in Unix milliseconds; or
        all up to the number `has_had`. Each 0: it is not known.
        Subscribe to the session's subject before the barrier is sent: what is stored later is pushed.
        """
        subject = self._subjects.user(user, session)
        replay = Replay(last, has_had, lost_at)
        newest = await self._together.find(barrier, subject) or 0  # 0: there is nothing to be read
        reached = 0
        for _ in range(TRIES):
            if reached < newest:
                reached = await self._read_into(replay, subject, reached)
            if reached >= newest:
                _note_left_out(subject, replay)
                over, place = tuple(replay.over), replay.position
                return Missed(replay.known, replay.fresh, reached, replay.numbers, place, over=over)
            # A replica may lag; or what was the newest is kept no more, and will never be read.
            newest = (await self._newest(barrier, [subject])).get(subject, 0)
        raise NoAnswer(f"{self._get}: behind its leader, or overrun")

    async def news(self, known: Mapping[str, int], barrier: Barrier) -> dict[str, News]:
        """Read what was stored before a barrier under each subject, beyond the sequence that is known.

        A subject without news is left out.
        """
        subjects = list(known)
        newest: dict[str, int] = {}
        for start in range(0, len(subjects), _CHUNK):
            newest |= await self._newest(barrier, subjects[start : start + _CHUNK])
        slots = asyncio.Semaphore(_AT_ONCE)
        news: dict[str, News] = {}
        failures: BaseExceptionGroup[NoAnswer] | None = None

        async def read(subject: str, beyond: int, last: int) -> None:
            async with slots:
                news[subject] = await self._read_up_to(subject, beyond, last)

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

    async def _newest(self, barrier: Barrier, subjects: list[str]) -> dict[str, int]:
        """Look up the sequence of the last message of each subject, as it was at the barrier or later."""
        ask = jetstream.last_messages_of([barrier.subject, *subjects])
        for _ in range(TRIES):
            replies = await self._read(ask)
            newest = dict(jetstream_headers.stored_as(reply.headers) for reply in replies)
            if newest.pop(barrier.subject, 0) >= barrier.sequence:
                return newest
        raise NoAnswer(f"{self._get}: behind its leader")

    async def _read_up_to(self, subject: str, beyond: int, newest: int) -> News:
        """Read one subject's messages beyond a sequence, up to one that is known to be there."""
        replay = Replay()
        reached = beyond
        for _ in range(TRIES):
            reached = await self._read_into(replay, subject, reached)
            if reached >= newest:
                _note_left_out(subject, replay)
                return News(replay.fresh, reached, replay.numbers, tuple(replay.over))
        raise NoAnswer(f"{self._get}: behind its leader, or overrun")

    async def _read_into(self, replay: Replay, subject: str, beyond: int) -> int:
        """Read all that a replica has of one subject beyond a sequence; returns the sequence of the last."""
        beyond, is_more = await self._read_part(replay, subject, beyond)
        if is_more:
            async with self._long:
                while is_more:
                    beyond, is_more = await self._read_part(replay, subject, beyond)
        return beyond

    async def _read_part(self, replay: Replay, subject: str, beyond: int) -> tuple[int, bool]:
        """Read the next part; returns the sequence of the last message so far, and whether there is more."""
        ask = jetstream.messages_of(subject, beyond + 1, PART_MESSAGES, PART_BYTES)
        *messages, end = await self._read_all(ask)
        for message in messages:
            if is_deliverable(message.data):
                stored_at = functools.partial(jetstream_headers.stored_at, message.headers)
                replay.add(
                    mail(message.data, message.headers), jetstream_headers.sequence(message), stored_at
                )
            else:
                self._unreadable.note("frame", "no text, or too long")
        if not messages:
            return beyond, False
        return jetstream_headers.sequence(messages[-1]), jetstream_headers.pending(end) > 0

    async def _read(self, ask: bytes) -> list[Message]:
        return (await self._read_all(ask))[:-1]

    async def _read_all(self, ask: bytes) -> list[Message]:
        """Read messages, and the reply that ends them."""
        replies = await self._requests.gather(self._get, ask, TIMEOUT_S)
        if replies[-1].status not in jetstream_headers.END_OF_MESSAGES:
            raise NoAnswer(f"{self._get}: {replies[-1].headers!r}")
        return replies


def _note_left_out(subject: str, replay: Replay) -> None:
    """Say who sent so much that not all of it is replayed."""
    if not replay.left_out:
        return
    ((sender, count),) = replay.left_out.most_common(1)
    metrics.LEFT_OUT.inc(replay.left_out.total())
    _log.warning("a session missed too much", extra={"mail": subject, "sender": sender, "left_out": count})
