"""Publish frames for users: into the mailbox, which republishes them to the gateways of their sessions.

The mailbox's stream captures the users' subjects, and keeps a frame once however often it is published. For
a sender that asked for acks the stream's answer is awaited: a bare publish may be lost in the buffers of a
broker node after the sender has been answered. The stream is made by `presence.mailbox`, and read by
`gateway.delivery`.
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import Final

from router.stored import Stored
from tieline.runtime.broker import Broker
from tieline.runtime.message import Message
from tieline.runtime.requests import Requests
from tieline.wire import internal, jetstream
from tieline.wire.ids import SessionId, UserId
from tieline.wire.internal import Delivery
from tieline.wire.subjects import Subjects

STORE_PATIENCE_S: Final = 4.0
"""For the mailbox to confirm; the frame is resent meanwhile, as a stream takes a second to elect a leader."""


class NotStored(Exception):
    """The mailbox did not confirm; the frame may have been delivered all the same."""


class Relaying:
    """Publishes what a verdict says."""

    def __init__(self, broker: Broker, requests: Requests, subjects: Subjects) -> None:
        self._broker = broker
        self._requests = requests
        self._subjects = subjects
        self._loop = asyncio.get_running_loop()
        self._stored = Stored()
        broker.when_away(self._stored.forget_all)

    def send(self, user: UserId, session: SessionId, frame: bytes) -> None:
        """Publish one frame, without waiting for the mailbox to confirm.

        Raises:
            BrokerAway: not published.
        """
        headers = jetstream.named(internal.message_id(user, frame))
        self._broker.send(self._subjects.user(user, session), frame, headers=headers)

    def store(self, user: UserId, session: SessionId, frame: bytes, done: Callable[[bool], None]) -> None:
        """Publish one frame, and call `done` once: True when it is stored, False when that is not known."""

        def answered(reply: Message | None) -> None:
            done(reply is not None and jetstream.read_published(reply.data).error is None)

        headers = jetstream.named(internal.message_id(user, frame))
        subject = self._subjects.user(user, session)
        self._requests.begin(subject, frame, answered, STORE_PATIENCE_S, headers)

    async def carry(self, deliveries: tuple[Delivery, ...], own: bytes, *, stored: bool) -> int:
        """Publish frames in their order; with `stored`, each when the mailbox has the one before it.

        A frame whose first attempt was lost is published again, and must not come after the next one. Of
        several frames those are left out that the mailbox has already. Returns how many bytes of others than
        the signal's own frame were published.

        Raises:
            BrokerAway: not all are published.
            NotStored: one is not known to be stored, and those after it are not published.
        """
        if len(deliveries) > 1:
            return await self._carry_several(deliveries, own, stored=stored)
        for user, session, frame in _frames(deliveries, own):
            await self._publish(user, session, frame, stored=stored)
        return 0

    async def _carry_several(self, deliveries: tuple[Delivery, ...], own: bytes, *, stored: bool) -> int:
        size = 0
        for user, session, frame in _frames(deliveries, own):
            name = internal.message_id(user, frame)
            if self._stored.has(name, self._loop.time()):
                continue
            await self._publish(user, session, frame, stored=stored)
            self._stored.note(name, self._loop.time(), confirmed=stored)
            if frame is not own:
                size += len(frame)
        return size

    async def _publish(self, user: UserId, session: SessionId, frame: bytes, *, stored: bool) -> None:
        if not stored:
            self.send(user, session, frame)
            return
        is_stored: asyncio.Future[bool] = self._loop.create_future()
        self.store(user, session, frame, is_stored.set_result)
        if not await is_stored:
            raise NotStored

    async def was_stored(self, user: UserId, frame: bytes) -> bool:
        """Ask the mailbox whether it was given this frame within its duplicate window, without publishing it.

        Raises:
            NoAnswer: the mailbox does not answer.
        """
        headers = jetstream.only_asking(internal.message_id(user, frame))
        subject = self._subjects.mailbox_question()
        reply = await self._requests.ask_once(subject, b"", STORE_PATIENCE_S, headers)
        return jetstream.read_published(reply.data).duplicate


def _frames(deliveries: tuple[Delivery, ...], own: bytes) -> Iterator[tuple[UserId, SessionId, bytes]]:
    """List what is to be published, with the signal's own frame in its place."""
    return ((each.user, each.session, each.frame or own) for each in deliveries)
