"""Read the logs of rooms from the mailbox stream: what was stored, whether or not it was pushed.

A direct get may be answered by a replica that lags a moment behind. So one reads until a barrier
(`gateway.delivery.barriers`) is among what is read: then everything before it is, too.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from gateway.delivery.barriers import Barrier
from gateway.rooms.changes import Change, read
from tieline.runtime.message import Message
from tieline.runtime.requests import NoAnswer, Requests
from tieline.runtime.together import Together
from tieline.runtime.unreadable import UNREADABLE, Unreadable
from tieline.wire import jetstream, jetstream_headers
from tieline.wire.ids import RoomId
from tieline.wire.subjects import Subjects, user_of_change

TIMEOUT_S: Final = 2.0
"""For one read: a leader election takes about one second."""

TRIES: Final = 5
"""Reads until a replica has caught up with its leader, which takes milliseconds."""

PAGE: Final = 512
"""Changes that are read at once of a room that has more than one answer holds: about 150 KB."""

PAGE_BYTES: Final = 512 * 1024
"""The same at most in bytes: users' names may be long."""

TOGETHER: Final = 32
"""Rooms that are read in one answer when they are listened to in the same turn. What it does not hold is read
in parts."""

SLICE: Final = 64
"""Changes that are looked at before others have their turn: less than a millisecond's work."""

_log = logging.getLogger(__name__)

Changes = dict[RoomId, list[Change]]


class LogReader:
    """The logs of one namespace's rooms, for reading. Raises `NoAnswer` when they cannot be read."""

    def __init__(self, requests: Requests, subjects: Subjects) -> None:
        self._requests = requests
        self._subjects = subjects
        self._get = jetstream.direct_get(subjects.mailbox())
        self._together = Together(self._last, TOGETHER)
        self._unreadable = Unreadable(_log)

    async def last(self, room: RoomId, barrier: Barrier) -> list[Change]:
        """Read the last change of each user in a room, as `last_since` does, with those of other rooms."""
        return await self._together.find(barrier, room) or []

    async def _last(self, barrier: Barrier, rooms: Sequence[RoomId]) -> Changes:
        return await self.last_since(rooms, 1, barrier)

    async def last_since(self, rooms: Sequence[RoomId], start: int, barrier: Barrier) -> Changes:
        """Read the last change of each user in these rooms that is stored from `start` on.

        They are in no order, and all that is stored before the barrier is among them.
        """
        patterns = [self._subjects.room_log(room) for room in rooms]
        ask = jetstream.last_messages_since([barrier.subject, *patterns], min(start, barrier.sequence))
        for _ in range(TRIES):
            replies = await self._requests.gather(self._get, ask, TIMEOUT_S)
            if replies[-1].status == jetstream_headers.TOO_MANY_MESSAGES:
                return await self._in_parts(rooms, start, barrier)
            if replies[-1].status not in jetstream_headers.END_OF_MESSAGES:
                raise NoAnswer(f"{self._get}: {replies[-1].headers!r}")
            stored = {jetstream_headers.stored_as(reply.headers): reply for reply in replies[:-1]}
            if any(subject == barrier.subject and at >= barrier.sequence for subject, at in stored):
                return await self._by_room(rooms, replies[:-1])
        raise NoAnswer(f"{self._get}: behind its leader")

    async def _in_parts(self, rooms: Sequence[RoomId], start: int, barrier: Barrier) -> Changes:
        """Read rooms one by one; one that has too many users by itself, change by change."""
        if len(rooms) > 1:
            middle = len(rooms) // 2
            first = await self.last_since(rooms[:middle], start, barrier)
            return first | await self.last_since(rooms[middle:], start, barrier)
        replies: list[Message] = []
        while True:
            ask = jetstream.messages_of(self._subjects.room_log(rooms[0]), start, PAGE, PAGE_BYTES)
            page = await self._requests.gather(self._get, ask, TIMEOUT_S)
            if page[-1].status not in jetstream_headers.END_OF_MESSAGES:
                raise NoAnswer(f"{self._get}: {page[-1].headers!r}")
            replies += page[:-1]
            if not jetstream_headers.pending(page[-1]):
                return await self._by_room(rooms, replies)
            start = jetstream_headers.sequence(page[-2]) + 1

    async def history(self, room: RoomId, last: Iterable[Change], barrier: Barrier) -> list[Change] | None:
        """Read every change of a room that is kept; None: they are many.

        `last` are those of each user that were read up to the barrier. The oldest go first; where the newest
        of them is not found, a replica lags, or nothing of what was read is kept any more.
        """
        ask = jetstream.messages_of(self._subjects.room_log(room), 1, PAGE, PAGE_BYTES)
        for _ in range(TRIES):
            page = await self._requests.gather(self._get, ask, TIMEOUT_S)
            if jetstream_headers.pending(page[-1]):
                return None
            found: list[Change] = []
            for some in _in_slices(page[:-1]):
                found += [change for reply in some if (change := self._read(room, reply)) is not None]
                await asyncio.sleep(0)
            newest = max((change.number for change in last), default=0)
            if any(change.number >= newest for change in found) or not newest:
                return found
            last = (await self.last_since([room], 1, barrier))[room]
        raise NoAnswer(f"{self._get}: behind its leader")

    async def is_change(self, number: int, nonce: str) -> bool:
        """Whether there is a change of some room with this number, and this nonce stored with it."""
        reply = await self._requests.ask_once(self._get, jetstream.message_at(number), TIMEOUT_S)
        if reply.status:
            return False
        subject, _ = jetstream_headers.stored_as(reply.headers)
        is_change = subject.startswith(self._subjects.rooms().removesuffix(">"))
        return is_change and jetstream_headers.nonce_of(reply.headers) == nonce

    def _read(self, room: RoomId, reply: Message) -> Change | None:
        subject, number = jetstream_headers.stored_as(reply.headers)
        try:
            return read(room, user_of_change(subject), number, reply.data, reply.headers)
        except UNREADABLE as error:
            self._unreadable.note("change", error)
            return None

    async def _by_room(self, rooms: Iterable[RoomId], replies: Sequence[Message]) -> Changes:
        names = {self._subjects.room_log(room).removesuffix("*"): room for room in rooms}
        last: dict[str, tuple[RoomId, Change]] = {}
        for some in _in_slices(replies):
            for reply in some:
                subject, _ = jetstream_headers.stored_as(reply.headers)
                room = names.get(subject[: subject.rfind(".") + 1])
                change = None if room is None else self._read(room, reply)  # None: it is the barrier
                if room is not None and change is not None:
                    last[subject] = room, change
            await asyncio.sleep(0)
        changes: Changes = {room: [] for room in rooms}
        for room, change in last.values():
            changes[room].append(change)
        return changes


def _in_slices(replies: Sequence[Message]) -> Iterator[Sequence[Message]]:
    for start in range(0, len(replies), SLICE):
        yield replies[start : start + SLICE]
