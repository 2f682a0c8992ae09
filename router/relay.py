"""Publish frames for users: into the mailbox, which republishes them to the gateways of their sessions.

The mailbox's stream captures the users' subjects, and keeps a frame once however often it is published. For
a sender that asked for acks the stream's answer to each frame is awaited: a bare publish may be lost in the
buffers of a broker node after the sender has been answered. Of the others' frames one every few milliseconds
is awaited as well, and every one after the mailbox had no room, so that these senders hear it, too.
The stream is made by `presence.mailbox`, and read by `gateway.delivery`.
"""

import asyncio
import enum
import functools
import logging
from collections.abc import Callable
from typing import Final

from router.stored import Release, Stored
from tieline.runtime.broker import Broker, BrokerAway
from tieline.runtime.message import Message
from tieline.runtime.requests import NoAnswer, Requests
from tieline.wire import jetstream
from tieline.wire.digests import message_id
from tieline.wire.ids import NO_CALL, CallId, SessionId, UserId
from tieline.wire.internal.signals import Delivery
from tieline.wire.subjects import Subjects

STORE_PATIENCE_S: Final = 4.0
"""For the mailbox to confirm; the frame is resent meanwhile, as a stream takes a second to elect a leader."""

ASK_EVERY_S: Final = 0.05
"""Between two frames that are awaited for no sender that asks for acks. To await each costs a tenth of what a
signal costs all processes together; so it costs a hundredth of that. A mailbox that loses its room is noticed
so much later at most, and what a busy router publishes meanwhile for such senders is lost without a word."""

SUSPICIOUS_S: Final = 60.0
"""After the mailbox had no room every frame is awaited for so long: it may have room for some, and not for
others."""

PROBE_S: Final = 2.0
"""For the answer to a probe."""

_log = logging.getLogger(__name__)


class NotStored(Exception):
    """The mailbox did not confirm; the frame may have been delivered all the same."""


class NoRoom(NotStored):
    """The mailbox says that it cannot store."""


class Outcome(enum.Enum):
    """What became of a frame."""

    STORED = enum.auto()
    """It is stored, or published without a reason to think that it is not."""
    NO_ROOM = enum.auto()
    UNKNOWN = enum.auto()
    """No answer: it may be stored, or not."""


Done = Callable[[Outcome], None]
"""Called once, with what became of a frame."""


class Relaying:
    """Publishes what a verdict says."""

    def __init__(
        self, broker: Broker, requests: Requests, subjects: Subjects, ask_every_s: float = ASK_EVERY_S
    ) -> None:
        self._ask_every_s = ask_every_s
        self._broker = broker
        self._requests = requests
        self._subjects = subjects
        self._loop = asyncio.get_running_loop()
        self._ask_at = 0.0
        """When the next frame is awaited for a sender that has not asked for it."""
        self._asked: list[Done] | None = None
        """While such a frame is awaited: whose frames were published behind it."""
        self._suspicious_until = 0.0
        self._at_once_until = 0.0
        """Until then a frame waits for no answer of the mailbox, neither its own nor another one's."""
        self._stored = Stored()
        broker.when_away(self._stored.forget_all)

    def publish_at_once(self, user: UserId, session: SessionId, frame: bytes, call: CallId = NO_CALL) -> bool:
        """Publish one frame if the mailbox is not asked now; returns whether it is published.

        `call` is what it belongs to: that is stored beside it, here and below.
        Nearly every signal of an established pair, of a sender without acks, takes this way.
        """
        if self._loop.time() >= self._at_once_until:
            return False
        headers = jetstream.named(message_id(user, frame), call)
        try:
            self._broker.send(self._subjects.user(user, session), frame, headers=headers)
        except BrokerAway:
            return False
        return True

    def publish(
        self, user: UserId, session: SessionId, frame: bytes, done: Done, call: CallId = NO_CALL
    ) -> None:
        """Publish one frame, and call `done`: at once, or with the mailbox's answer if it is asked now."""
        now = self._loop.time()
        asked = self._asked
        if now < self._suspicious_until:
            self.store(user, session, frame, done, call)
            return
        if asked is None and now >= self._ask_at and self._broker.is_connected:
            self._ask_at = now + self._ask_every_s
            self._asked = [done]
            self._at_once_until = 0.0
            try:
                self.store(user, session, frame, self._answered, call)
            except Exception:  # or whose frames come behind it would wait for ever
                self._asked = None
                raise
            return
        headers = jetstream.named(message_id(user, frame), call)
        try:
            self._broker.send(self._subjects.user(user, session), frame, headers=headers)
        except BrokerAway:
            done(Outcome.UNKNOWN)
            return
        if asked is None:
            done(Outcome.STORED)
        else:
            asked.append(done)

    def _answered(self, outcome: Outcome) -> None:
        """Tell the outcome of the frame that was awaited, also to those whose frames came behind it."""
        asked, self._asked = self._asked, None
        self._at_once_until = 0.0 if self._loop.time() < self._suspicious_until else self._ask_at
        for done in asked or ():
            done(outcome)

    def store(
        self, user: UserId, session: SessionId, frame: bytes, done: Done, call: CallId = NO_CALL
    ) -> None:
        """Publish one frame, and call `done` with the mailbox's own answer to it."""

        def answered(reply: Message | None) -> None:
            done(Outcome.UNKNOWN if reply is None else self._settle(reply))

        headers = jetstream.named(message_id(user, frame), call)
        subject = self._subjects.user(user, session)
        self._requests.begin(subject, frame, answered, STORE_PATIENCE_S, headers)

    def _settle(self, reply: Message) -> Outcome:
        """Read the mailbox's answer to a publish."""
        error = jetstream.read_published(reply.data).error
        if error is None:
            return Outcome.STORED
        if not error.is_no_room:
            return Outcome.UNKNOWN
        now = self._loop.time()
        if now >= self._suspicious_until:
            _log.error("the mailbox has no room", extra={"error": error.description})
        self._suspicious_until = now + SUSPICIOUS_S
        self._at_once_until = 0.0
        return Outcome.NO_ROOM

    def carried(self, one: UserId, other: UserId) -> tuple[Release, ...]:
        """List what of these two the mailbox has, as far as is known: presence need not name it again."""
        return self._stored.releases(frozenset((one, other)), self._loop.time())

    async def carry(
        self,
        deliveries: tuple[Delivery, ...],
        own: bytes,
        *,
        stored: bool,
        carried: tuple[Release, ...] = (),
        call: CallId = NO_CALL,
    ) -> int:
        """Publish frames in their order; with `stored`, each when the mailbox has the one before it.

        `call` is that of all which do not say another one.

        A frame whose first attempt was lost is published again, and must not come after the next one. Of
        several frames those are left out that the mailbox has already. `carried` is what presence has left
        out. Returns how many bytes of others than the signal's own frame were published.

        Raises:
            NoRoom: the mailbox cannot store one of them, and those after it are not published.
            NotStored: one is not known to be stored, and those after it are not published.
            NoAnswer: the mailbox does not say whether it still has what it had.
        """
        several = len(deliveries) > 1 or bool(carried)
        size = 0
        for each in deliveries:
            frame = each.frame or own
            name = message_id(each.user, frame) if several else ""
            if several and self._stored.has(name, self._loop.time()):
                if frame is own and stored:
                    await self._prove(each.user, own)
                continue
            await self._publish(each, frame, each.call or call, stored=stored)
            if several:
                self._stored.note(name, self._loop.time(), confirmed=stored)
            if frame is not own:
                size += len(frame)
        return size

    def note_releases(
        self, one: UserId, other: UserId, releases: tuple[Release, ...], *, stored: bool
    ) -> None:
        """Note that all is carried that these answers of two users have released; see `carried`."""
        if releases:
            self._stored.note_releases(frozenset((one, other)), releases, self._loop.time(), confirmed=stored)

    async def _prove(self, user: UserId, own: bytes) -> None:
        """Ask the mailbox for the frame of a retry; one that was lost has lost all that came before, too.

        Raises:
            NotStored: it was. Nothing is known any more, and the next attempt publishes everything.
            NoAnswer: the mailbox does not answer.
        """
        if not await self.was_stored(user, own):
            _log.warning("the mailbox has lost what it had")
            self._stored.forget_all()
            raise NotStored

    async def _publish(self, to: Delivery, frame: bytes, call: CallId, *, stored: bool) -> None:
        publish = self.store if stored else self.publish
        done: asyncio.Future[Outcome] = self._loop.create_future()
        publish(to.user, to.session, frame, functools.partial(_set, done), call)
        outcome = await done
        if outcome is Outcome.NO_ROOM:
            raise NoRoom
        if outcome is Outcome.UNKNOWN:
            raise NotStored

    async def has_room(self) -> bool:
        """Whether the mailbox stores what it is given now."""
        try:
            reply = await self._requests.ask_once(self._subjects.mailbox_question(), b"", PROBE_S)
        except NoAnswer:
            return not self._broker.is_connected  # that it is away is said elsewhere
        return self._settle(reply) is Outcome.STORED

    async def was_stored(self, user: UserId, frame: bytes) -> bool:
        """Ask the mailbox whether it was given this frame within its duplicate window, without publishing it.

        Raises:
            NoAnswer: the mailbox does not answer.
        """
        headers = jetstream.only_asking(message_id(user, frame), is_alone=self._broker.is_alone)
        subject = self._subjects.mailbox_question()
        reply = await self._requests.ask_once(subject, b"", STORE_PATIENCE_S, headers)
        return jetstream.read_published(reply.data).duplicate


def _set(outcome: asyncio.Future[Outcome], value: Outcome) -> None:
    if not outcome.done():  # else who awaited it was cancelled
        outcome.set_result(value)
