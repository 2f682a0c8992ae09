"""Write the log of each room: one entry a change, told once, whoever is a member.

The log lies in the mailbox stream, so its entries stand in one order with everything that is sent to users.
The stream pushes them on to the gateways that have members of the room, which tell each member
(`gateway.rooms`). What an entry says is in `tieline.wire.internal.rooms.RoomChange`; when one is written is
decided by `presence.effects`. Beside it stands a nonce, so that nobody can foresee what the events that tell
of it will be called.
"""

import hashlib
import secrets
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, Protocol

from presence.bucket import TIMEOUT_S
from presence.side_by_side import side_by_side
from presence.store import StoreUnavailable
from tieline.runtime.requests import NoAnswer, Requests
from tieline.wire import jetstream, jetstream_answers, jetstream_headers
from tieline.wire.ids import RoomId, UserId
from tieline.wire.internal import codec
from tieline.wire.internal.rooms import RoomChange
from tieline.wire.subjects import Subjects

NONCE_BYTES: Final = 8
"""Whoever wants to foresee an event's name has one guess a change, out of so many."""


class Added(NamedTuple):
    """Where a change stands in the log of its room."""

    number: int
    is_new: bool
    """It was not there before: False says that whoever wrote the record has told of it, too."""


class RoomLog(Protocol):
    """Where the changes of rooms are written."""

    async def add(self, room: RoomId, user: UserId, change: RoomChange) -> Added:
        """Write a change, once however often that is asked for.

        Raises:
            StoreUnavailable: it may or may not be written.
        """
        ...

    async def has(self, room: RoomId, user: UserId) -> bool:
        """Whether the log still has a change of a user, by the leader's word.

        Raises:
            StoreUnavailable: no answer.
        """
        ...


class MailboxLog:
    """The log in the mailbox stream. `adapt` makes the stream keep it, if it does not.

    Each partition of the mailbox has the whole log, so that every user is told of a room in one order with
    its mail. What is written to one of them only is still pending in the user's record, and written again.
    """

    def __init__(self, requests: Requests, subjects: Subjects, adapt: Callable[[], Awaitable[None]]) -> None:
        self._requests = requests
        self._place_of = subjects.place_of
        self._parts = subjects.parts()
        self._adapt = adapt

    async def add(self, room: RoomId, user: UserId, change: RoomChange) -> Added:
        """See `RoomLog.add`. The number is that in the partition of the user."""
        payload = codec.encode(change)
        added = await side_by_side(*(self._add(part.room(room, user), payload) for part in self._parts))
        return Added(added[self._place_of(user)].number, any(each.is_new for each in added))

    async def _add(self, subject: str, payload: bytes) -> Added:
        name = hashlib.blake2b(subject.encode() + b" " + payload, digest_size=16).hexdigest()
        try:
            return await self._publish(subject, payload, name)
        except NoAnswer:
            # A process of an older version may have made the stream anew, as it knows it.
            await self._adapt()
        try:
            return await self._publish(subject, payload, name)
        except NoAnswer as error:
            raise StoreUnavailable(subject) from error

    async def has(self, room: RoomId, user: UserId) -> bool:
        """See `RoomLog.has`; each partition has to have it."""
        return all(await side_by_side(*(self._has(part, room, user) for part in self._parts)))

    async def _has(self, part: Subjects, room: RoomId, user: UserId) -> bool:
        subject = part.room(room, user)
        ask = jetstream.kept_of(subject)
        try:
            reply = await self._requests.ask_once(jetstream.stream_info(part.mailbox()), ask, TIMEOUT_S)
        except NoAnswer as error:
            raise StoreUnavailable(subject) from error
        stream = jetstream_answers.read_stream(reply.data)
        if stream.state is None:
            raise StoreUnavailable(subject, stream.error)
        return subject in (stream.state.subjects or ())

    async def _publish(self, subject: str, payload: bytes, name: str) -> Added:
        headers = jetstream_headers.named_anew(name, secrets.token_hex(NONCE_BYTES))
        reply = await self._requests.ask_once(subject, payload, TIMEOUT_S, headers)
        answer = jetstream_answers.read_published(reply.data)
        if answer.error is not None:
            raise StoreUnavailable(subject, answer.error)
        return Added(answer.seq, not answer.duplicate)
