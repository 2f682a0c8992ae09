"""Tell the stream of events what has happened: the facts that records keep until it has them.

The bucket is the outbox. A fact is in the very write that makes it true, and goes on in the record, from one
write to the next, until it is told. The process that has written a record tells its facts soon afterwards,
when the answer has left; what it does not tell, because it dies, stands still or gets no answer, is told by
whichever process `presence.fact_consumer` hands the record to. The stream, which knows the names of what it
has had, keeps each once (`presence.event_stream`). Nobody who calls waits for any of this.

Events of one record are told one after the other, each when the one before it is stored, so that they stand
in their order whatever is lost; those of other records are told meanwhile. What refused offers are worth
telling is no record's: `presence.refusals`.
"""

import asyncio
import contextlib
import functools
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, TypeVar

from presence.rules import facts
from presence.rules.fact import CallFact, MemberFact
from presence.rules.negotiated import Negotiation
from presence.rules.user import User
from presence.targets import Clock
from tieline import metrics
from tieline.runtime.guard import bug_guard
from tieline.runtime.tally import Tally
from tieline.wire.cloud_events import CloudEvent
from tieline.wire.ids import UserId
from tieline.wire.subjects import identifier, users_of_pair

SOON_S: Final = 0.01
"""After a record is written its facts are told: the answer leaves first, and what is written to one record
within that time is told together."""

LATE_MS: Final = 20_000
"""After so long since a record was written, or asked for, this process has stood still, and another one has
told its facts: told once more, much later, they might not be recognized (`presence.event_stream.ONCE_S`)."""

REST_S: Final = 1.0
"""When the stream has not answered, what is written is not told so long, and is left to the consumer."""

_NAMED: Final = 65_536
"""Names of events that this process remembers to have told: as many as change hands within minutes."""

_TOLD: Final = 16_384
"""Records of which it remembers that it told them: as many as change within the few seconds until all
processes know that they are told (`presence.fact_consumer`)."""

Publish = Callable[[CloudEvent, Callable[[str | None], None]], None]
"""Has an event stored, and calls back once: with None when it is, or with what failed."""

Settled = Callable[[bool | None], None]
"""Is called once with whether all that a record keeps is told; None: that has met a bug here."""

ValueT = TypeVar("ValueT")

Facts = tuple[MemberFact, ...] | tuple[CallFact, ...]

_log = logging.getLogger(__name__)


def _nothing(_is_told: bool | None) -> None:
    """Do nothing, where nobody waits."""


class _Written(NamedTuple):
    record: User | Negotiation
    revision: int
    since: int


class _Telling:
    """The events of one record that are not stored yet; the first one is under way."""

    __slots__ = ("events", "facts", "revision", "settled", "since")

    def __init__(
        self, events: deque[CloudEvent], facts: Facts, revision: int, since: int, settled: list[Settled]
    ) -> None:
        self.events = events
        self.facts = facts
        self.revision = revision
        self.since = since
        self.settled = settled


class FactTeller:
    """What one process tells, and remembers to have told."""

    def __init__(self, namespace: str, publish: Publish, clock: Clock) -> None:
        """Take the clock in Unix milliseconds."""
        self._namespace = namespace
        self._publish = publish
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._written: dict[str, _Written] = {}
        self._soon: asyncio.TimerHandle | None = None
        self._telling: dict[str, _Telling] = {}
        self._names: dict[str, None] = {}
        self._told: dict[str, tuple[int, Facts]] = {}
        """By key: a revision of a record whose facts are all told, and those."""
        self._rests_until = 0.0
        self._tally = Tally(_log)
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self.failed = asyncio.Event()
        """Set when the stream has not taken an event: it may have to be made."""

    def forget(self) -> None:
        """Know of no record that it is told: a broker that comes back empty counts its revisions anew."""
        self._told.clear()

    def is_told(self, key: str, revision: int) -> bool:
        """Whether this process has told all that a record of this revision keeps."""
        told = self._told.get(key)
        return told is not None and told[0] == revision

    def has_told(self, key: str, record: User | Negotiation) -> bool:
        """Whether this process has told all that a record keeps, whichever revision it is.

        A write that only forgets what was carried out keeps the facts, and nobody waits for its revision.
        """
        told = self._told.get(key)
        return told is not None and told[1] == record.facts

    def tell_soon(self, key: str, record: User | Negotiation, revision: int, since: int) -> None:
        """Tell what a record keeps that this process has written; it began to at `since`."""
        if not record.facts:
            self._written.pop(key, None)
            self._note_told(key, revision, ())
            return
        self._written[key] = _Written(record, revision, since)
        if self._soon is None:
            self._soon = self._loop.call_later(SOON_S, self._tell_written)

    def _tell_written(self) -> None:
        self._soon = None
        written, self._written = self._written, {}
        if self._loop.time() < self._rests_until:
            return
        for key, (record, revision, since) in written.items():
            self.tell(key, record, revision, since)

    def tell(
        self,
        key: str,
        record: User | Negotiation,
        revision: int,
        since: int,
        settled: Settled = _nothing,
    ) -> None:
        """Tell what a record keeps, in its order, but for what is told or under way; then call `settled`.

        The record was written, or asked for, at `since`, in Unix milliseconds, or later.
        """
        events: list[CloudEvent] | None = None
        with bug_guard(_log, "events of a record not told: a bug", key=key):
            events = [event for event in self._events_of(key, record) if event.id not in self._names]
        if events is None:
            settled(None)
            return
        telling = self._telling.get(key)
        if telling is not None:
            telling.settled.append(settled)
            if revision >= telling.revision:  # what is not told of an older one the newer one keeps, too
                under_way = telling.events[0]
                others = (event for event in events if event.id != under_way.id)
                telling.events = deque((under_way, *others))
                telling.revision, telling.facts, telling.since = revision, record.facts, since
        elif events:
            self._telling[key] = _Telling(deque(events), record.facts, revision, since, [settled])
            self._is_idle.clear()
            self._tell_next(key, self._telling[key])
        else:
            self._note_told(key, revision, record.facts)
            settled(True)

    def _events_of(self, key: str, record: User | Negotiation) -> Iterable[CloudEvent]:
        if isinstance(record, User):
            user = UserId(identifier(key.removeprefix("user.")))
            return facts.events_of_user(self._namespace, user, record)
        return facts.events_of_calls(self._namespace, *users_of_pair(key), record)

    def _tell_next(self, key: str, telling: _Telling) -> None:
        if self._clock() - telling.since > LATE_MS:
            self._end(key, telling, is_told=False)
            return
        is_begun = False
        with bug_guard(_log, "events of a record not told: a bug", key=key):
            self._publish(telling.events[0], functools.partial(self._done, key, telling))
            is_begun = True
        if not is_begun:
            self._end(key, telling, is_told=None)

    def _done(self, key: str, telling: _Telling, failure: str | None) -> None:
        """Go on with the next event when one is stored; else leave the record to the consumer."""
        event = telling.events[0]
        if failure is not None:
            metrics.EVENTS_TOLD.labels("failed").inc()
            self._tally.note(
                logging.WARNING, "event not told yet", event.type, "", type=event.type, error=failure
            )
            self._rests_until = self._loop.time() + REST_S
            self.failed.set()
            self._end(key, telling, is_told=False)
            return
        metrics.EVENTS_TOLD.labels("told").inc()
        _keep(self._names, event.id, None, _NAMED)
        telling.events.popleft()
        if telling.events:
            self._tell_next(key, telling)
            return
        self._note_told(key, telling.revision, telling.facts)
        self._end(key, telling, is_told=True)

    def _end(self, key: str, telling: _Telling, *, is_told: bool | None) -> None:
        del self._telling[key]
        if not self._telling:
            self._is_idle.set()
        for settled in telling.settled:
            settled(is_told)

    def _note_told(self, key: str, revision: int, told: Facts) -> None:
        _keep(self._told, key, (revision, told), _TOLD)

    async def finish(self, patience_s: float) -> None:
        """Tell what is written, and wait for what is under way, for so long at most."""
        if self._soon is not None:
            self._soon.cancel()
        self._tell_written()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._is_idle.wait()


def _keep(kept: dict[str, ValueT], key: str, value: ValueT, most: int) -> None:
    """Keep something as the newest of so many."""
    kept.pop(key, None)
    kept[key] = value
    if len(kept) > most:
        del kept[next(iter(kept))]
