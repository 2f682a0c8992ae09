"""What the mailbox pushes to the sessions of this gateway, to each without gaps.

The mailbox pushes a session's frames in their order, each with its own sequence and that of the one before
it. Where these do not meet something was pushed and did not come: the client then gets nothing more until
what is missing has been read (`catch_up`).
"""

import asyncio
import contextlib
import functools
import logging
from collections.abc import Callable, Collection
from typing import Final, Protocol

from nats.errors import Error as NatsError

from gateway.client.connection import Connection
from gateway.client.deliveries import Backlogs, Deliveries, Missed
from gateway.client.events import is_overtaken
from gateway.client.mail import Mail, Place, Telling, mail, placed
from gateway.client.session import Session, nobody
from gateway.delivery.barriers import Barrier
from gateway.delivery.over import Over, may_matter
from tieline import metrics
from tieline.runtime.broker import Broker, Subscription
from tieline.runtime.message import Message
from tieline.runtime.unreadable import Unreadable
from tieline.wire import jetstream_headers
from tieline.wire.checks import MAX_BYTES
from tieline.wire.heads import is_deliverable
from tieline.wire.ids import ConnectionId
from tieline.wire.subjects import Subjects


class Beside(Protocol):
    """What a client is told besides, in one order with its frames: the changes of its rooms."""

    def tell(self, before: int | None = None) -> None:
        """Tell the client everything that it has not been told; or what is stored before a number."""
        ...

    def reached(self, number: int) -> int:
        """Say how far the client has been told all this when it has had the frame that has this number."""
        ...

    def weave(self, frames: list[bytes], numbers: list[int], has_had: int) -> list[bytes]:
        """Put before each frame, which has a number of its own, what is stored before it.

        `has_had` is the number of the last frame that the client has had before these.
        """
        ...


NOTHING_PENDING: Final = ()

_unreadable: Final = Unreadable(logging.getLogger(__name__))


class Feed:
    """The frames for one connection, and how far it has got. Begins by holding everything back."""

    __slots__ = (
        "_beside",
        "_deliveries",
        "_held",
        "_names_calls",
        "_names_places",
        "_on_gap",
        "_over",
        "_pending",
        "barrier",
        "is_live",
        "last_sequence",
        "stored_as",
    )

    def __init__(
        self,
        deliveries: Deliveries,
        stored_as: str,
        on_gap: Callable[[], None],
        *,
        names_places: bool = False,
        names_calls: bool = False,
    ) -> None:
        """Take also what the client is told of each frame: where it is stored, and of which call it is."""
        self._deliveries = deliveries
        self._names_places = names_places
        self._on_gap = on_gap
        self._names_calls = names_calls
        self._over = Over()
        self._beside: Beside | None = None
        self._pending: Collection[object] = NOTHING_PENDING
        """Empty while there is nothing to be told besides, to anybody."""
        self._held: list[tuple[int, int, bytes]] | None = []
        """What is held back: the sequence of the frame before each, that of each, and the frame itself."""
        self.stored_as = stored_as
        """The subject under which the mailbox stores what it pushes."""
        self.last_sequence = 0
        """The sequence of the last frame that the client was sent, nothing before it missing."""
        self.barrier: Barrier | None = None
        """Everything that is stored behind it is pushed, as far as is known."""
        self.is_live = False
        """Whether the client is let in: it has been released once."""

    def attach(self, beside: Beside, pending: Collection[object]) -> None:
        """Have the client told something besides, before each frame that is newer, while it is pending."""
        self._beside = beside
        self._pending = pending

    def detach(self) -> None:
        """Tell nothing besides any more: what is told besides refers to this."""
        self._beside = None

    def on_message(self, message: Message) -> None:
        """Deliver a frame that was pushed, or keep it back because an older one is missing."""
        try:
            previous, sequence = jetstream_headers.position(message.headers)
        except ValueError as error:
            _unreadable.note("frame", error)
            return
        if previous > self.last_sequence and self._held is None:
            self._on_gap()
        if self._held is not None:
            self._held.append((previous, sequence, mail(message.data, message.headers)))
        else:
            if self._pending and self._beside is not None:
                self._beside.tell(sequence)
            self.last_sequence = sequence
            is_of_call = self._names_calls or may_matter(message.data)
            self._deliver(mail(message.data, message.headers) if is_of_call else message.data, sequence)

    def _deliver(self, frame: bytes, sequence: int) -> None:
        if self._is_late(frame):
            metrics.DELIVERED_LATE.inc()
            return
        if (frame.isascii() and len(frame) <= MAX_BYTES) or is_deliverable(frame):
            self._deliveries.deliver(self._placed(frame, sequence) if self._names_places else frame)
        else:
            _unreadable.note("frame", "no text, or too long")

    def note_over(self, call: str) -> None:
        """Take note that the client has ended a call itself."""
        self._over.add(call)

    def _is_late(self, frame: bytes) -> bool:
        """Whether a frame would begin, or end once more, a call that is over."""
        return isinstance(frame, Mail) and may_matter(frame) and self._over.stops(frame, frame.call)

    def _without_late(self, missed: Missed) -> Missed:
        late = {place for place, frame in enumerate(missed.fresh) if self._is_late(frame)}
        if not late:
            return missed
        for _ in late:
            metrics.DELIVERED_LATE.inc()
        fresh = [frame for place, frame in enumerate(missed.fresh) if place not in late]
        numbers = tuple(number for place, number in enumerate(missed.numbers) if place not in late)
        return missed._replace(fresh=fresh, numbers=numbers)

    def _placed(self, frame: bytes, sequence: int) -> bytes:
        reached = sequence if self._beside is None else self._beside.reached(sequence)
        return placed(frame, Place(sequence, reached))

    @property
    def is_held(self) -> bool:
        """Whether everything is kept back."""
        return self._held is not None

    def write(self, frames: bytes) -> None:
        """Send the client frames that have their heads."""
        self._deliveries.write(frames)

    def hold(self) -> None:
        """Keep back what is pushed until `release`, because something older may be missing."""
        if self._held is None:
            self._held = []

    @property
    def held_count(self) -> int:
        """How many frames are kept back."""
        return len(self._held or ())

    def release(self, missed: Missed, older: int = 0) -> bool:
        """Deliver what was missed, then what was kept back up to a next gap; go on with what is pushed.

        Of what was kept back, the first `older` frames had come before the barrier up to which was read.
        What is missing in front of those is stored no more, and nothing brings it: they are delivered all
        the same. Returns whether that was so.
        """
        held, self._held = self._held or [], None
        is_lost = False
        for call in missed.over:
            self._over.add(call, is_told=True)
        missed = self._without_late(missed)
        if self._names_places:
            numbers = zip(missed.fresh, missed.numbers, strict=True)
            missed = missed._replace(fresh=[self._placed(frame, number) for frame, number in numbers])
        if self._beside is not None and missed.numbers:
            has_had = self.last_sequence if missed.position is None else missed.position
            woven = self._beside.weave(missed.fresh, list(missed.numbers), has_had)
            missed = missed._replace(fresh=woven)
        self._deliveries.replay(missed)
        read_up_to = missed.numbers[-1] if missed.numbers else 0
        self.is_live = True
        self.last_sequence = missed.newest
        for index, (previous, sequence, frame) in enumerate(held):
            if sequence < read_up_to:
                continue  # it was read, too, or has been taken out since: what was read has replaced it
            if previous > self.last_sequence and index < older:
                is_lost = True
            elif previous > self.last_sequence:
                self._held = held[index:]
                self._on_gap()
                break
            if self._beside is not None:
                self._beside.tell(sequence)
            self.last_sequence = max(self.last_sequence, sequence)  # it may have been read, too
            self._deliver(frame, sequence)
        if self._beside is not None:
            self._beside.tell()
        return is_lost


class Feeds:
    """The feeds of one gateway, by connection."""

    def __init__(self, broker: Broker, subjects: Subjects, backlogs: Backlogs) -> None:
        self._broker = broker
        self._subjects = subjects
        self._feeds: dict[ConnectionId, Feed] = {}
        self._subscriptions: dict[ConnectionId, Subscription] = {}
        self._loop = asyncio.get_running_loop()
        self.backlogs = backlogs

    def get(self, session: Session) -> Feed | None:
        """Find the feed of a session that was subscribed and not dropped."""
        return self._feeds.get(session.connection)

    def live(self) -> list[Feed]:
        """List the feeds of the clients that are let in."""
        return [feed for feed in self._feeds.values() if feed.is_live]

    def hold(self) -> None:
        """Keep everything back from every client."""
        for feed in self._feeds.values():
            feed.hold()

    async def subscribe(self, connection: Connection, session: Session, on_gap: Callable[[], None]) -> Feed:
        """Have what is stored for a session pushed to its connection."""
        stored_as = self._subjects.mail(session.user, session.session)
        say = connection.say
        if session.places or session.calls:
            say = Telling(say, names_calls=session.calls).say
        deliveries = Deliveries(
            say,
            self._loop,
            connection.unread_bytes,
            connection.close_as_slow,
            self.backlogs,
            connection.write,
            functools.partial(is_overtaken, session),
        )
        feed = Feed(
            deliveries,
            stored_as,
            on_gap,
            names_places=session.places,
            names_calls=session.calls,
        )
        pushed_as = self._subjects.live(session.user, session.session)
        subscription = await self._broker.subscribe(pushed_as, feed.on_message)
        self._subscriptions[session.connection] = subscription
        self._feeds[session.connection] = feed
        session.on_hung_up = feed.note_over
        return feed

    async def drop(self, session: Session) -> None:
        """Deliver nothing more to a session; nothing if it has no feed."""
        feed = self._feeds.pop(session.connection, None)
        if feed is not None:
            feed.detach()
            session.on_hung_up = nobody
        subscription = self._subscriptions.pop(session.connection, None)
        if subscription is not None:
            with contextlib.suppress(NatsError):  # without a broker there is nothing to unsubscribe from
                await subscription.unsubscribe()
