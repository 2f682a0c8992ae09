"""Publish frames for users: into the mailbox, which republishes them to the gateways of their sessions.

The mailbox's stream captures the users' subjects, and keeps a frame once however often it is published. For
a sender that asked for acks the stream's answer to each frame is awaited: a bare publish may be lost in the
buffers of a broker node after the sender has been answered. Of the others' frames one every few milliseconds
is awaited as well, and every one after the mailbox had no room, so that these senders hear it, too.
The stream is made by `presence.mailbox`, and read by `gateway.delivery`.
"""

import asyncio
import functools
import logging
from collections.abc import Callable, Sequence
from typing import Final

from router.in_order import InOrder
from router.parcels import Carried, Done, Outcome, Parcel
from router.stored import Release, Stored
from tieline.runtime.broker import Broker, BrokerAway
from tieline.runtime.message import Message
from tieline.runtime.requests import NoAnswer, Requests, always
from tieline.wire import jetstream
from tieline.wire.digests import message_id
from tieline.wire.ids import NO_CALL, CallId, SessionId, UserId
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
    """The mailbox has lost what it had; the next attempt publishes everything."""


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
        self._in_order = InOrder(broker, requests, subjects, self._store)
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
        self._store(Parcel(user, session, frame, call), done, "")

    def _store(self, parcel: Parcel, done: Done, before: str) -> None:
        """Publish one frame, unless the last one that the mailbox has is not the one of the name `before`."""

        def answered(reply: Message | None) -> None:
            done(Outcome.UNKNOWN if reply is None else self._settle(reply))

        name = message_id(parcel.user, parcel.frame)
        following = jetstream.following(name, parcel.call, before) if before else None
        headers = following or jetstream.named(name, parcel.call)
        subject = self._subjects.user(parcel.user, parcel.session)
        self._requests.begin(subject, parcel.frame, answered, STORE_PATIENCE_S, headers)

    def _settle(self, reply: Message) -> Outcome:
        """Read the mailbox's answer to a publish."""
        error = jetstream.read_published(reply.data).error
        if error is None:
            return Outcome.STORED
        if not error.is_no_room:
            return Outcome.OVERTAKEN if error.is_overtaken else Outcome.UNKNOWN
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
        parcels: Sequence[Parcel],
        *,
        stored: bool,
        is_repeated: bool = False,
        goes_on: Callable[[], bool] = always,
    ) -> Carried:
        """Publish frames in their order; with `stored`, none unless the mailbox has the one before it.

        A frame whose first attempt was lost is published again, and must not come after the next one. The
        first that is not published, or not known to be, ends it. Where a signal brings others along, or
        `is_repeated` (some were left out already), those are left out that the mailbox has. Before each
        further round `goes_on` says whether the others are still wanted.

        Raises:
            NotStored: the mailbox has lost what it had.
            NoAnswer: the mailbox does not say whether it still has what it had.
        """
        names = [""] * len(parcels)
        if is_repeated or not all(each.is_own for each in parcels):
            names = [message_id(each.user, each.frame) for each in parcels]
        now = self._loop.time()
        left = [place for place, name in enumerate(names) if not (name and self._stored.has(name, now))]
        for place in sorted(set(range(len(parcels))).difference(left)):
            if parcels[place].is_own and stored:
                await self._prove(parcels[place].user, parcels[place].frame)
        done = 0
        while done < len(left):
            if done and not goes_on():
                return Carried(left[done], Outcome.STORED, tuple(left[:done]))
            for outcome in await self._round([parcels[place] for place in left[done:]], stored=stored):
                place = left[done]
                if outcome is not Outcome.STORED:
                    return Carried(place, outcome, tuple(left[:done]))
                if names[place]:
                    self._stored.note(names[place], self._loop.time(), confirmed=stored)
                done += 1
        return Carried(len(parcels), Outcome.STORED, tuple(left))

    async def _round(self, parcels: Sequence[Parcel], *, stored: bool) -> list[Outcome]:
        """Publish one or several, and say what became of those."""
        if stored:
            return await self._in_order.round(parcels)
        done: asyncio.Future[Outcome] = self._loop.create_future()
        first = parcels[0]
        self.publish(first.user, first.session, first.frame, functools.partial(_set, done), first.call)
        return [await done]

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
