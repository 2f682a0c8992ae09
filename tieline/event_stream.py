"""Read the stream of events, from a place on; and hear when there is something new in it.

Whoever reads does so by sequence, and keeps a place of its own: webhook workers one for each endpoint
(`webhooks.queue`), the API one for each caller who follows (`api.following`). Presence alone writes
(`presence.event_stream`). A consumer of JetStream's would hand what a dead process had not acknowledged to
the next one behind what is newer, out of order.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from tieline.runtime.broker import Broker
from tieline.runtime.message import Message
from tieline.runtime.once import NoAnswer
from tieline.runtime.requests import Requests
from tieline.webhook_bucket import TIMEOUT_S, Unavailable
from tieline.wire import cloud_events, jetstream, jetstream_answers, jetstream_headers
from tieline.wire.cloud_events import StoredEvent
from tieline.wire.subjects import Subjects

AT_ONCE: Final = 256
"""Events in one reading."""

MAX_BYTES: Final = 1_048_576
"""Of one reading: an event has some 500 bytes."""

ROUND_S: Final = 5.0
"""How long nothing is looked for if nothing is said to be new: a word of the stream may be lost."""

LAG_S: Final = 0.02
"""Between two looks for what the stream is said to have: a replica may lag."""

MOST_LOST: Final = 1_000_000_000
"""More events than any stream has room for: it was lost whole, and numbers its events by the time since."""


class NoStream(Unavailable):
    """There is no stream of events: `TIELINE_EVENTS` of presence is off."""


class Span(NamedTuple):
    """Which places a stream has."""

    first: int
    """Of the oldest event that it keeps, or of the next one, if it keeps none."""
    last: int
    """Of the newest event that it has had."""


class Read(NamedTuple):
    """One event, or what stands in its place."""

    sequence: int
    kind: str
    event: StoredEvent | None
    """None: it cannot be read."""
    only_for: str = ""
    """The token of the one endpoint that it is for, if it is told again."""


class News:
    """How far the stream has got, as it has said itself."""

    def __init__(self) -> None:
        self.last = 0
        self._changed = asyncio.Event()

    def hear(self, message: Message) -> None:
        """Take what the stream republishes."""
        with contextlib.suppress(ValueError):  # somebody else has published there
            self.last = max(self.last, jetstream_headers.sequence(message))
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def after(self, sequence: int, patience_s: float) -> None:
        """Wait until the stream is said to have more than that, for so long at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while self.last <= sequence:
                    await self._changed.wait()


class EventStream:
    """The stream of events, as far as it is read."""

    def __init__(self, requests: Requests, subjects: Subjects) -> None:
        self._requests = requests
        self._subject = subjects.cloud_events()
        self._prefix = self._subject.removesuffix(">")
        self._get = jetstream.direct_get(subjects.event_stream())
        self._info = jetstream.stream_info(subjects.event_stream())

    async def begin(self) -> int:
        """Return the place behind which comes what happens from now on. Raises what `span` raises."""
        return (await self.span()).last

    async def span(self) -> Span:
        """Return which places it has, as the leader knows.

        Raises:
            NoStream: there is no stream.
            Unavailable: no answer.
        """
        try:
            reply = await self._requests.ask_once(self._info, b"", TIMEOUT_S)
        except NoAnswer as error:
            raise Unavailable("the stream of events") from error
        stream = jetstream_answers.read_stream(reply.data)
        if stream.state is not None:
            return Span(stream.state.first_seq, stream.state.last_seq)
        if stream.error is not None and stream.error.is_not_found:
            raise NoStream("there is no stream of events: TIELINE_EVENTS of presence is off?")
        raise Unavailable("the stream of events", stream.error)

    async def read(self, after: int, at_most: int = AT_ONCE) -> list[Read]:
        """Read the events behind a place, so many at most.

        Raises:
            Unavailable: no answer.
        """
        ask = jetstream.messages_of(self._subject, after + 1, min(at_most, AT_ONCE), MAX_BYTES)
        return [self._read(reply) for reply in await self._gather(ask)]

    async def read_those(self, sequences: Sequence[int]) -> list[Read]:
        """Read the events at these places; those that are gone are left out.

        A replica may not have yet what another one had: an event is gone if a replica has a later one, or if
        the leader says so.

        Raises:
            Unavailable: no answer, or one of a replica that lags.
        """
        found: list[Read] = []
        not_there: list[int] = []
        for sequence in sequences:
            ask = jetstream.messages_of(self._subject, sequence, 1, MAX_BYTES)
            read = [self._read(reply) for reply in await self._gather(ask)]
            found += [each for each in read if each.sequence == sequence]
            if not read:
                not_there.append(sequence)
        if not_there:
            span = await self.span()
            if any(span.first <= sequence <= span.last for sequence in not_there):
                raise Unavailable("a replica of the stream of events lags")
        return found

    async def _gather(self, ask: bytes) -> list[Message]:
        try:
            replies = await self._requests.gather(self._get, ask, TIMEOUT_S)
        except NoAnswer as error:
            raise Unavailable("the stream of events") from error
        return [reply for reply in replies if not reply.status]

    def _read(self, reply: Message) -> Read:
        subject, sequence = jetstream_headers.stored_as(reply.headers)
        kind = subject.removeprefix(self._prefix)
        only_for = kind.removeprefix("again.") if kind.startswith("again.") else ""
        try:
            kept = cloud_events.read(reply.data)
        except msgspec.MsgspecError:
            return Read(sequence, kind, None)
        body = cloud_events.numbered(reply.data, sequence)
        event = StoredEvent(sequence, kept.subject, kept.id, jetstream_headers.stored_at(reply.headers), body)
        return Read(sequence, kept.kind if only_for else kind, event, only_for)


async def hear(broker: Broker, subjects: Subjects, news: News) -> None:
    """Listen to what the stream says of itself."""
    await broker.subscribe(subjects.news(), news.hear)
