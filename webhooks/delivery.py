"""Tell one endpoint what happens, one delivery after the other, for as long as this worker serves it.

What comes next, and when, is decided in `webhooks.queue`. What is done is written down after each delivery,
by compare-and-set: whoever finds that somebody else has written serves the endpoint no longer. So a delivery
may be made twice, when a worker dies in between, and none is left out.
"""

import asyncio
import functools
import logging
import random
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol, TypeVar

import msgspec

from tieline import metrics
from tieline.event_stream import LAG_S, MOST_LOST, ROUND_S, EventStream, News, NoStream, Read
from tieline.webhook_bucket import Bucket, Conflict, Unavailable
from tieline.wire import webhooks
from tieline.wire.cloud_events import StoredEvent
from tieline.wire.subjects import token
from tieline.wire.webhooks import DeadLetter, Endpoint, Keys, Progress
from webhooks.queue import Queue, Wait
from webhooks.sender import Sends

RETRY_S: Final = 1.0
"""Between attempts when the bucket or the stream does not answer."""

NOTED_EVERY_MS: Final = 60_000
"""Between two writes of how far an endpoint has been read for to which nothing was told meanwhile."""

SKEW_MS: Final = 60_000
"""How far this clock may be ahead of that of the process which makes the stream of events."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


async def always() -> bool:
    """Say yes: of an endpoint that only this process knows there is no other one."""
    return True


class Chance(Protocol):
    """A source of chance."""

    def random(self) -> float:
        """Return a number from 0 to 1."""
        ...


class Delivery:
    """One endpoint, as far as this worker serves it."""

    def __init__(
        self,
        endpoint: Endpoint,
        bucket: Bucket,
        stream: EventStream,
        news: News,
        sender: Sends,
        clock: Callable[[], int],
        batch: int,
        retry_for_ms: int,
        chance: Chance | None = None,
        round_s: float = ROUND_S,
    ) -> None:
        """Take also the clock, in Unix milliseconds, and how many events one delivery has at most."""
        self.endpoint = endpoint
        self._bucket = bucket
        self._stream = stream
        self._news = news
        self._sender = sender
        self._clock = clock
        self._batch = batch
        self._retry_for_ms = retry_for_ms
        self._chance = chance or random.Random()  # noqa: S311  # it spreads attempts, and hides nothing
        self._round_s = round_s
        self._key = Keys.progress(endpoint.id)
        self._name = secrets.token_hex(8)
        self._revision = 0
        self._stopping = asyncio.Event()
        self._noted = self._noted_at = 0
        """How far it has read as that is written down, and when it was."""
        self._begins_behind: int | None = None
        self._unmade_at = 0
        """When there was no stream yet; 0: there always was."""
        self.begun = asyncio.Event()
        """Whatever happens from now on will be told."""
        self.queue: Queue | None = None

    @property
    def oldest_s(self) -> float:
        """For how many seconds the oldest event has waited to be told; 0: none waits."""
        oldest_at = None if self.queue is None else self.queue.oldest_at
        return 0.0 if oldest_at is None else max(0, self._clock() - oldest_at) / 1000

    def stop(self) -> None:
        """Have `run` return when the delivery that is under way has ended."""
        self._stopping.set()

    async def run(self, is_current: Callable[[], Awaitable[bool]] = always) -> None:
        """Tell until stopped, or nothing if the endpoint is another one by now, which `is_current` finds out.

        Raises:
            Conflict: somebody else serves the endpoint.
            Unavailable: it was stopped while the bucket or the stream did not answer. What it has told since
                it wrote that down last is told once more.
        """
        queue = self.queue = await self._patiently(lambda: self._restored(is_current))
        self.begun.set()
        if queue is None:
            return
        while not self._stopping.is_set():
            await self._patiently(lambda: self._fill(queue))
            due = queue.due(self._clock())
            if isinstance(due, Wait):
                await self._wait(queue, due)
            else:
                await self._deliver(queue, due)

    async def _patiently(self, do: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await do()
            except Unavailable as error:
                if self._stopping.is_set():
                    raise
                _log.warning("webhook waits", extra={"endpoint": self.endpoint.id, "error": str(error)})
                await asyncio.sleep(RETRY_S)

    async def _restored(self, is_current: Callable[[], Awaitable[bool]]) -> Queue | None:
        """Go on where the endpoint has got to; one that is new begins with what happened since it was made.

        Where an older one of this id has got to is not its business. Whether this is the newer of the two is
        asked behind the reading of that: who is overtaken then finds it when it writes.
        """
        stored = await self._bucket.read_one(self._key)
        if not await is_current():
            return None
        progress = webhooks.read_progress(stored.value)
        self._revision = stored.revision
        if progress is None or progress.made != self.endpoint.made:
            progress = Progress(self.endpoint.since or await self._beginning())
        queue = Queue(progress, self._batch, self._retry_for_ms)
        found = await self._read(progress.waiting)
        for read in found:
            if read.event is not None:
                queue.add(read.event)
        self._lose(len(progress.waiting) - len(found))
        await self._save(queue)
        return queue

    async def _read(self, waiting: Sequence[int]) -> list[Read]:
        """Read what waits. Where the stream is gone nothing can be told, and nothing new comes into it."""
        try:
            return await self._stream.read_those(waiting)
        except Unavailable:
            try:
                await self._stream.span()
            except NoStream:
                self.begun.set()
            raise

    async def _beginning(self) -> int:
        """Return the place behind which a new endpoint begins: the same, however often it is asked for.

        What is not written down at once must not make it begin later. Of a stream that was not there yet, and
        whose first place is therefore the time since, all is new.
        """
        if self._begins_behind is None:
            try:
                span = await self._stream.span()
            except NoStream:
                self._unmade_at = self._unmade_at or self._clock()
                self.begun.set()
                raise
            is_new = self._unmade_at and span.first > 1000 * (self._unmade_at - SKEW_MS)
            self._begins_behind = span.first - 1 if is_new else span.last
        return self._begins_behind

    def _lose(self, count: int) -> None:
        if count > 0:
            count = count if count < MOST_LOST else 1
            metrics.WEBHOOK_EVENTS.labels("lost").inc(count)
            _log.error(
                "events gone before they were told", extra={"endpoint": self.endpoint.id, "events": count}
            )

    async def _fill(self, queue: Queue) -> None:
        """Read on, as far as there is room."""
        while queue.room and not self._stopping.is_set():
            read = await self._stream.read(queue.read, queue.room)
            if not read:
                break
            self._lose(read[0].sequence - queue.read - 1)
            for each in read:
                if each.event is not None and self._is_wanted(each.kind, each.only_for):
                    queue.add(each.event)
                else:
                    queue.skip(each.sequence)
            await self._note(queue)
        await self._note(queue)
        if not queue.room:
            await self._bury(queue.crowded_out())

    async def _note(self, queue: Queue) -> None:
        """Write down now and then how far it has read: what it passed by is else read again, or lost."""
        if queue.read > self._noted and self._clock() - self._noted_at >= NOTED_EVERY_MS:
            await self._save(queue)

    def _is_wanted(self, kind: str, only_for: str) -> bool:
        if only_for:
            return only_for == token(self.endpoint.id)
        return self.endpoint.wants(kind)

    async def _wait(self, queue: Queue, wait: Wait) -> None:
        """Wait for something new, for the time of what failed, or to be stopped."""
        patience_s = self._round_s
        if wait.until is not None:
            patience_s = min(patience_s, max(0, wait.until - self._clock()) / 1000)
        async with asyncio.TaskGroup() as waiting:
            news = waiting.create_task(self._heard(queue, patience_s))
            stopped = waiting.create_task(self._stopping.wait())
            await asyncio.wait((news, stopped), return_when=asyncio.FIRST_COMPLETED)
            news.cancel()
            stopped.cancel()

    async def _heard(self, queue: Queue, patience_s: float) -> None:
        if not queue.room:
            await asyncio.sleep(patience_s)
        elif self._news.last > queue.read:  # it is stored, and the replica that was asked lags
            await asyncio.sleep(LAG_S)
        else:
            await self._news.after(queue.read, patience_s)

    async def _deliver(self, queue: Queue, events: tuple[StoredEvent, ...]) -> None:
        begun = self._clock()
        sent = await self._sender.send(self.endpoint, events)
        now = self._clock()
        metrics.WEBHOOK_DELIVERIES.labels(sent.outcome).inc()
        metrics.WEBHOOK_SECONDS.observe(max(0, now - begun) / 1000)
        if sent.failed is None:
            queue.taken(events)
            metrics.WEBHOOK_EVENTS.labels("taken").inc(len(events))
        else:
            said = {"endpoint": self.endpoint.id, "outcome": sent.outcome, "what": sent.what}
            _log.warning("webhook not taken", extra={**said, "events": len(events)})
            await self._bury(queue.failed(events, sent.failed, now, self._chance.random()))
        await self._patiently(lambda: self._save(queue))

    async def _bury(self, dead: list[StoredEvent]) -> None:
        """Keep what died, until somebody looks at it or it is too old; what there is no room for is lost.

        A worker that has stood still takes that for the time in which nothing was taken, while another one
        told the endpoint.
        """
        if dead:
            await self._patiently(self._still_serves)
        for event in dead:
            said = event.sequence, self._clock(), msgspec.Raw(event.body)
            letter = DeadLetter(self.endpoint.id, *said, self.endpoint.made)
            key, value = Keys.dead(self.endpoint.id, event.sequence), webhooks.encode(letter)
            is_kept = await self._patiently(functools.partial(self._bucket.bury, key, value))
            metrics.WEBHOOK_EVENTS.labels("dead" if is_kept else "lost").inc()
            _log.error(
                "event not taken in all its time: a dead letter"
                if is_kept
                else "event not taken in all its time, and there is no room for more dead letters",
                extra={"endpoint": self.endpoint.id, "sequence": event.sequence, "subject": event.subject},
            )

    async def _still_serves(self) -> None:
        """Look whether somebody else serves the endpoint."""
        if (await self._bucket.read_one(self._key)).revision != self._revision:
            raise Conflict(self._key)

    async def _save(self, queue: Queue) -> None:
        """Write down how far the endpoint has got. A write whose answer was lost is recognized."""
        progress = msgspec.structs.replace(queue.progress(), by=self._name, made=self.endpoint.made)
        value = webhooks.encode(progress)
        try:
            self._revision = await self._bucket.write(self._key, value, self._revision)
        except Conflict:
            stored = await self._bucket.read_one(self._key)
            if stored.value != value:
                raise
            self._revision = stored.revision
        self._noted, self._noted_at = queue.read, self._clock()
