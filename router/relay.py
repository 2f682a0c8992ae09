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
from tieline.runtime.pending import always
from tieline.runtime.requests import NoAnswer, Requests
from tieline.wire import jetstream_answers, jetstream_headers
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

_STORING: Final = "storing"
"""The kind of request that a publish is: each session has a subject of its own."""

_log = logging.getLogger(__name__)


class NotStored(Exception):
    """The mailbox has lost what it had; the next attempt publishes everything."""


class _Part:
    """What is known of one partition of the mailbox."""

    def __init__(self, question: str) -> None:
        self.question = question
        self.ask_at = 0.0
        """When the next frame is awaited for a sender that has not asked for it."""
        self.asked: list[Done] | None = None
        """While such a frame is awaited: whose frames were published behind it."""
        self.suspicious_until = 0.0
        self.at_once_until = 0.0
        """Until then a frame waits for no answer of the mailbox, neither its own nor another one's."""

    def answered(self, outcome: Outcome, now: float) -> None:
        """Tell the outcome of the frame that was awaited, also to those whose frames came behind it."""
        asked, self.asked = self.asked, None
        self.at_once_until = 0.0 if now < self.suspicious_until else self.ask_at
        for done in asked or ():
            done(outcome)


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
        self._parts = [_Part(part.mailbox_question()) for part in subjects.parts()]
        self._stored = Stored()
        self._in_order = InOrder(broker, requests, subjects, self._store)
        broker.when_away(self._stored.forget_all)

    def publish_at_once(self, user: UserId, session: SessionId, frame: bytes, call: CallId = NO_CALL) -> bool:
        """Publish one frame if the mailbox is not asked now; returns whether it is published.

        `call` is what it belongs to: that is stored beside it, here and below.
        Nearly every signal of an established pair, of a sender without acks, takes this way.
        """
        part = self._parts[self._subjects.place_of(user)]
        if self._loop.time() >= part.at_once_until:
            return False
        headers = jetstream_headers.named(message_id(user, frame), call)
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
        part = self._parts[self._subjects.place_of(user)]
        asked = part.asked
        if now < part.suspicious_until:
            self.store(user, session, frame, done, call)
            return
        if asked is None and now >= part.ask_at and self._broker.is_connected:
            part.ask_at = now + self._ask_every_s
            part.asked = [done]
            part.at_once_until = 0.0
            try:
                self.store(user, session, frame, functools.partial(self._answered, part), call)
            except Exception:  # or whose frames come behind it would wait for ever
                part.asked = None
                raise
            return
        headers = jetstream_headers.named(message_id(user, frame), call)
        try:
            self._broker.send(self._subjects.user(user, session), frame, headers=headers)
        except BrokerAway:
            done(Outcome.UNKNOWN)
            return
        if asked is None:
            done(Outcome.STORED)
        else:
            asked.append(done)

    def _answered(self, part: _Part, outcome: Outcome) -> None:
        part.answered(outcome, self._loop.time())

    def store(
        self, user: UserId, session: SessionId, frame: bytes, done: Done, call: CallId = NO_CALL
    ) -> None:
        """Publish one frame, and call `done` with the mailbox's own answer to it."""
        self._store(Parcel(user, session, frame, call), done, "")

    def _store(self, parcel: Parcel, done: Done, before: str) -> None:
        """Publish one frame, unless the last one that the mailbox has is not the one of the name `before`."""
        part = self._parts[self._subjects.place_of(parcel.user)]

        def answered(reply: Message | None) -> None:
            done(Outcome.UNKNOWN if reply is None else self._settle(part, reply))

        name = message_id(parcel.user, parcel.frame)
        following = jetstream_headers.following(name, parcel.call, before) if before else None
        headers = following or jetstream_headers.named(name, parcel.call)
        subject = self._subjects.user(parcel.user, parcel.session)
        self._requests.begin(subject, parcel.frame, answered, STORE_PATIENCE_S, headers, _STORING)

    def _settle(self, part: _Part, reply: Message) -> Outcome:
        """Read the answer of a partition of the mailbox to a publish."""
        error = jetstream_answers.read_published(reply.data).error
        if error is None:
            return Outcome.STORED
        if not error.is_no_room:
            return Outcome.OVERTAKEN if error.is_overtaken else Outcome.UNKNOWN
        now = self._loop.time()
        if now >= part.suspicious_until:
            _log.error("the mailbox has no room", extra={"error": error.description})
        for each in self._parts:  # most often it is the broker's room, which all share
            each.suspicious_until = now + SUSPICIOUS_S
            each.at_once_until = 0.0
        return Outcome.NO_ROOM

    def carried(self, one: UserId, to: UserId) -> tuple[Release, ...]:
        """List what of these two the mailbox has, as far as is known: presence need not name it again.

        Of what is in another partition than the frame for `to`, that frame does not show that it is still
        there, as it does in a retry (`_prove`): that presence names, and it is asked for by its own name.
        """
        releases = self._stored.releases(frozenset((one, to)), self._loop.time())
        if len(self._parts) == 1:
            return releases
        place_of = self._subjects.place_of
        return tuple(each for each in releases if place_of(each[0]) == place_of(to))

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
        there = sorted(set(range(len(parcels))).difference(left))
        retried = [place for place in there if parcels[place].is_own and stored]
        for place in retried:
            await self._prove(parcels[place].user, names[place])
        if retried and len(self._parts) > 1:
            proven = {self._subjects.place_of(parcels[place].user) for place in retried}
            for place in there:  # each partition may lose what it had by itself
                at = self._subjects.place_of(parcels[place].user)
                if at not in proven:
                    proven.add(at)
                    await self._prove(parcels[place].user, names[place])
        if left and len(self._parts) > 1:
            # Two users may be in two partitions: first all that goes to the one, then all to the other.
            first = self._subjects.place_of(parcels[left[0]].user)
            left.sort(key=lambda place: self._subjects.place_of(parcels[place].user) != first)
        done = 0
        while done < len(left):
            if done and not goes_on():
                return Carried(min(left[done:]), Outcome.STORED, tuple(left[:done]))
            for outcome in await self._round([parcels[place] for place in left[done:]], stored=stored):
                place = left[done]
                if outcome is not Outcome.STORED:
                    return Carried(min(left[done:]), outcome, tuple(left[:done]))
                if names[place]:
                    self._stored.note(names[place], self._loop.time(), confirmed=stored)
                done += 1
        return Carried(len(parcels), Outcome.STORED, tuple(left))

    async def _round(self, parcels: Sequence[Parcel], *, stored: bool) -> list[Outcome]:
        """Publish one or several, and say what became of those."""
        if stored:
            return await self._in_order.round(parcels)
        first = parcels[0]
        if self.publish_at_once(first.user, first.session, first.frame, first.call):
            return [Outcome.STORED]
        done: asyncio.Future[Outcome] = self._loop.create_future()
        self.publish(first.user, first.session, first.frame, functools.partial(_set, done), first.call)
        return [await done]

    def note_releases(
        self, one: UserId, other: UserId, releases: tuple[Release, ...], *, stored: bool
    ) -> None:
        """Note that all is carried that these answers of two users have released; see `carried`."""
        if releases:
            self._stored.note_releases(frozenset((one, other)), releases, self._loop.time(), confirmed=stored)

    async def _prove(self, user: UserId, name: str) -> None:
        """Ask the mailbox for the frame of a retry; one that was lost has lost all that came before, too.

        Raises:
            NotStored: it was. Nothing is known any more, and the next attempt publishes everything.
            NoAnswer: the mailbox does not answer.
        """
        if not await self._has(user, name):
            _log.warning("the mailbox has lost what it had")
            self._stored.forget_all()
            raise NotStored

    async def has_room(self) -> bool:
        """Whether the mailbox stores what it is given now, in each of its partitions."""
        for part in self._parts:
            try:
                reply = await self._requests.ask_once(part.question, b"", PROBE_S)
            except NoAnswer:
                return not self._broker.is_connected  # that it is away is said elsewhere
            if self._settle(part, reply) is not Outcome.STORED:
                return False
        return True

    async def was_stored(self, user: UserId, frame: bytes) -> bool:
        """Ask the mailbox whether it was given this frame within its duplicate window, without publishing it.

        Raises:
            NoAnswer: the mailbox does not answer.
        """
        return await self._has(user, message_id(user, frame))

    async def _has(self, user: UserId, name: str) -> bool:
        headers = jetstream_headers.only_asking(name, is_alone=self._broker.is_alone)
        question = self._parts[self._subjects.place_of(user)].question
        reply = await self._requests.ask_once(question, b"", STORE_PATIENCE_S, headers)
        return jetstream_answers.read_published(reply.data).duplicate


def _set(outcome: asyncio.Future[Outcome], value: Outcome) -> None:
    if not outcome.done():  # else who awaited it was cancelled
        outcome.set_result(value)
