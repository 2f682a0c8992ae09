"""Tell the stream of events what has happened: the facts that records keep until it has them.

The bucket is the outbox. A fact is in the very write that makes it true, and goes on in the record, from one
write to the next, until it is told. A durable consumer, shared by all presence processes, hands each write of
a record to one of them, and to another one if that one dies before it has published what the record keeps,
and acknowledged it. So a fact is told although a process dies at any moment, and the stream, which knows the
names of what it has had, keeps it once (`presence.event_stream`). Nobody who calls waits for any of this.

Whoever writes a record next must know whether its facts are told: those of every revision up to the
consumer's floor are. What refused offers are worth telling is no record's: `presence.refusals`.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig

from presence.event_stream import ONCE_S
from presence.records import negotiation_in, user_in
from presence.rules import facts
from presence.store import Record, StoreUnavailable
from tieline import metrics
from tieline.runtime.broker import Broker, BrokerAway, Msg
from tieline.runtime.cancelling import cancellable
from tieline.runtime.guard import bug_guard
from tieline.runtime.requests import NoAnswer, Requests
from tieline.wire import jetstream, jetstream_answers
from tieline.wire.cloud_events import CloudEvent
from tieline.wire.ids import UserId
from tieline.wire.permissions import FACTS
from tieline.wire.subjects import Keys, identifier, users_of_pair

ACK_WAIT_S: Final = 20.0
"""After so long without a word a record is handed to another process; one whose events are not stored is
handed out again sooner than that, by the word of the process that has it."""

FETCH_WAIT_S: Final = 5.0
"""How long one fetch waits for a record to change."""

RETRY_S: Final = 1.0
"""Between attempts when the stream, or the broker, does not answer."""

AT_ONCE: Final = 128
"""Records that one process tells of side by side: with a round trip of a millisecond a hundred thousand a
second would be told, if nothing else took time."""

FLOOR_EVERY_S: Final = 2.0
"""Between two questions how far all is told. Until then a record keeps its facts, and a few bytes each."""

FIRST_FLOOR_S: Final = 5.0
"""How long a process that starts waits to know that; without it, it may tell an old fact again."""

OLD_MS: Final = int(ONCE_S * 1000 / 2)
"""A fact that is older than that is taken to be told where it is not known and was told before: told again,
it might not be recognized."""

_ALL_MS: Final = 1 << 62
"""Later than any fact."""

_NAMED: Final = 65_536
"""Names of events that this process remembers to have told: as many as change hands within minutes."""

_log = logging.getLogger(__name__)


class FactTeller:
    """The loop that tells. `stream` is the bucket's stream, `prefix` its subject prefix."""

    def __init__(
        self,
        broker: Broker,
        requests: Requests,
        stream: str,
        prefix: str,
        namespace: str,
        publish: Callable[[CloudEvent], Awaitable[None]],
        make: Callable[[], Awaitable[object]],
        retry_s: float = RETRY_S,
    ) -> None:
        """Take also how an event is published, and how the stream is made anew if it is not there."""
        self._broker = broker
        self._requests = requests
        self._stream = stream
        self._prefix = prefix
        self._namespace = namespace
        self._publish = publish
        self._make = make
        self._retry_s = retry_s
        self._info = jetstream.consumer_info(stream, FACTS)
        self._floor = 0
        self._is_sure = False
        self._told: dict[str, None] = {}
        broker.when_away(self._doubt)

    def _doubt(self) -> None:
        """Be unsure of how far all is told: a broker that comes back empty counts its revisions anew."""
        self._is_sure = False

    def told_until(self, revision: int, now: int) -> int:
        """Say until when the facts of a record of this revision are told, in Unix milliseconds."""
        if revision > self._floor:
            return 0
        return _ALL_MS if self._is_sure else now - OLD_MS

    async def knows(self, patience_s: float = FIRST_FLOOR_S) -> None:
        """Wait until it is known how far all is told, for so long at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while not self._is_sure:
                    await self._look()
                    if not self._is_sure:
                        await asyncio.sleep(self._retry_s / 10)

    async def watch(self, every_s: float = FLOOR_EVERY_S) -> None:
        """Ask again and again how far all is told, until cancelled."""
        while True:
            await asyncio.sleep(every_s)
            await self._look()

    async def _look(self) -> None:
        try:
            reply = await self._requests.ask_once(self._info, b"", RETRY_S)
        except NoAnswer:
            self._is_sure = False
            return
        floor = jetstream_answers.read_floor(reply.data)
        if floor is not None:
            self._floor, self._is_sure = floor, True

    async def run(self) -> None:
        """Tell until cancelled."""
        while True:
            with bug_guard(_log, "events pause: a bug"):  # nats-py's, after which it is asked anew
                try:
                    await self._consume()
                except (NatsError, OSError) as error:  # a TimeoutError is one
                    _log.warning("events pause", extra={"error": repr(error)})
            await asyncio.sleep(self._retry_s)

    async def _consume(self) -> None:
        context = self._broker.client.jetstream()
        config = ConsumerConfig(
            name=FACTS,
            durable_name=FACTS,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT_S,
            max_ack_pending=10_000,
            filter_subjects=[self._prefix + key for key in (Keys.users(), Keys.pairs())],
        )
        await context.add_consumer(self._stream, config)
        subscription = await context.pull_subscribe_bind(FACTS, self._stream)
        failure: Exception | None = None
        try:
            async with asyncio.TaskGroup() as telling:
                try:
                    await self._tell_what_comes(subscription, telling)
                except Exception as error:  # raised in the group, it would end what is under way
                    failure = error
        finally:
            with contextlib.suppress(NatsError):  # without a broker there is nothing to unsubscribe from
                await subscription.unsubscribe()
        if failure is not None:
            raise failure

    async def _tell_what_comes(
        self, subscription: JetStreamContext.PullSubscription, telling: asyncio.TaskGroup
    ) -> None:
        """Tell of records as tasks of a group, and fetch as many as there are places."""
        under_way: set[asyncio.Task[None]] = set()
        while True:
            if len(under_way) == AT_ONCE:
                await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                continue
            try:
                records = await cancellable(
                    subscription.fetch(AT_ONCE - len(under_way), timeout=FETCH_WAIT_S)
                )
            except TimeoutError:  # nothing has changed
                continue
            for record in records:
                task = telling.create_task(self._tell(record))
                under_way.add(task)
                task.add_done_callback(under_way.discard)

    async def _tell(self, record: Msg) -> None:
        """Publish what a record keeps, in order; one that meets a bug is handed to another process."""
        with bug_guard(_log, "events of a record not told: a bug", key=record.subject):
            is_told = await self._tell_all(self._events_of(record))
            with contextlib.suppress(NatsError):  # without a broker the record is handed out again, later
                if is_told:
                    await record.ack()
                else:
                    await record.nak(delay=self._retry_s)

    def _events_of(self, record: Msg) -> Iterable[CloudEvent]:
        key = record.subject[len(self._prefix) :]
        found = {key: Record(record.data, record.metadata.sequence.stream)}
        try:
            if key.startswith("user."):
                user, _ = user_in(found, key)
                name = UserId(identifier(key.removeprefix("user.")))
                return () if user is None else facts.events_of_user(self._namespace, name, user)
            negotiation, _ = negotiation_in(found, key)
            one, other = users_of_pair(key)
        except ValueError:  # a key that none of ours has written
            return ()
        if negotiation is None:
            return ()
        return facts.events_of_calls(self._namespace, one, other, negotiation)

    async def _tell_all(self, events: Iterable[CloudEvent]) -> bool:
        """Publish events, each when the one before it is stored; returns whether all are."""
        for event in events:
            if event.id in self._told:
                continue
            try:
                await self._publish(event)
            except (StoreUnavailable, BrokerAway) as error:
                metrics.EVENTS_TOLD.labels("failed").inc()
                _log.warning("event not told yet", extra={"type": event.type, "error": repr(error)})
                await self._make()
                return False
            metrics.EVENTS_TOLD.labels("told").inc()
            self._told[event.id] = None
            if len(self._told) > _NAMED:
                del self._told[next(iter(self._told))]
        return True
