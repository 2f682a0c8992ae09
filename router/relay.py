"""Publish frames for users: into the mailbox, which republishes them to the gateways of their sessions.

The mailbox's stream captures the users' subjects, and keeps a frame once however often it is published. For
a sender that asked for acks the stream's answer is awaited: a bare publish may be lost in the buffers of a
broker node after the sender has been answered. The stream is made by `presence.mailbox`, and read by
`gateway.delivery`.
"""

import asyncio
from collections.abc import Callable
from typing import Final

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

    async def carry(self, deliveries: tuple[Delivery, ...], own: bytes, *, stored: bool) -> None:
        """Publish frames in their order; with `stored`, each when the mailbox has the one before it.

        A frame whose first attempt was lost is published again, and must not come after the next one.

        Raises:
            BrokerAway: not all are published.
            NotStored: one is not known to be stored, and those after it are not published.
        """
        frames = [(each.user, each.session, each.frame or own) for each in deliveries]
        if not stored:
            for user, session, frame in frames:
                self.send(user, session, frame)
            return
        loop = asyncio.get_running_loop()
        for user, session, frame in frames:
            is_stored: asyncio.Future[bool] = loop.create_future()
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
