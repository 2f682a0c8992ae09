"""Send an application's own messages to users, through the mailbox: in order with all else, and once.

A message is stored when the backend is answered. It is called after the order that it comes by, so that the
mailbox keeps it once however often that is asked, and a client drops a repetition.
"""

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import msgspec

from presence.bucket import TIMEOUT_S
from presence.records import Records
from presence.rosters import Rosters
from presence.rules.room import is_held
from presence.side_by_side import some_at_once
from presence.store import StoreUnavailable
from tieline.runtime.message import Message
from tieline.runtime.requests import NoAnswer
from tieline.wire import jetstream_answers, jetstream_headers, replies
from tieline.wire.digests import message_id
from tieline.wire.ids import NO_CALL, Address, CallId
from tieline.wire.internal.backend import Affected, MessageRoom, MessageUser
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.replies import AppMessage
from tieline.wire.subjects import Subjects

AT_ONCE: Final = 64
"""Copies of a message to a room that are being stored at the same time."""

Post = Callable[[Address, bytes], Awaitable[None]]
"""Store a frame for one session of a user, once; raises `StoreUnavailable`."""


class Publishing(Protocol):
    """How a frame is published and answered; `tieline.runtime.requests.Requests` is one."""

    async def ask_once(
        self, subject: str, payload: bytes, timeout: float, headers: bytes = b"", /
    ) -> Message:
        """Publish, and return the answer; raises `NoAnswer`."""
        ...


class MailboxPost:
    """Stores frames in the mailbox, and waits until they are."""

    def __init__(self, requests: Publishing, subjects: Subjects) -> None:
        self._requests = requests
        self._subjects = subjects

    async def __call__(self, to: Address, frame: bytes, call: CallId = NO_CALL) -> None:
        """See `Post`; the frame may be of a call."""
        subject = self._subjects.user(*to)
        headers = jetstream_headers.named(message_id(to.user, frame), call)
        try:
            reply = await self._requests.ask_once(subject, frame, TIMEOUT_S, headers)
        except NoAnswer as error:
            raise StoreUnavailable(subject) from error
        answer = jetstream_answers.read_published(reply.data)
        if answer.error is not None:
            raise StoreUnavailable(subject, answer.error)


class AppMail:
    """Sends messages. Raises what `Store` raises; repeating is always safe."""

    def __init__(self, records: Records, rosters: Rosters, post: Post) -> None:
        self._records = records
        self._rosters = rosters
        self._post = post

    async def to_user(self, order: MessageUser) -> PresenceReply:
        """Send a message to a user, if it is there, or away."""
        record = (await self._records.users((order.user,), confirmed=True)).get(order.user)
        if record is None or not record.is_reachable:
            return Affected(0)
        body = AppMessage(data=msgspec.Raw(order.data))
        await self._post(record.address(order.user), _frame(order.once, body))
        return Affected(1)

    async def to_room(self, order: MessageRoom) -> PresenceReply:
        """Send a message to every member of a room."""
        entries = await self._rosters.read_now(order.room)
        users = await self._records.users_now(entry.user for entry in entries)
        to = [
            users[entry.user].address(entry.user)
            for entry in entries
            if is_held(users.get(entry.user), entry.entry, order.room)
        ]
        frame = _frame(order.once, AppMessage(room=order.room, data=msgspec.Raw(order.data)))

        async def post(address: Address) -> None:
            await self._post(address, frame)

        await some_at_once(post, to, AT_ONCE)
        return Affected(len(to))


def _frame(once: str, body: AppMessage) -> bytes:
    return replies.success(f"message-{once}", "MESSAGE", body)
