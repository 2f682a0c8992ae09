"""The stream of events: made here, and written to, by presence alone.

It keeps each event once, however often it is published within half an hour, for as long as an operator wants
it kept. What the events are is in `tieline.wire.cloud_events`, and where they come from in
`presence.fact_teller` and `presence.refusals`. Whoever reads them has a place of its own in the stream
(`webhooks`, or an application's consumer).
"""

import logging
import time
from collections.abc import Callable
from typing import Final, Literal

from nats.errors import Error as NatsError
from nats.js.api import DiscardPolicy, RePublish, StorageType, StreamConfig
from nats.js.errors import APIError, NotFoundError

from presence.store import StoreUnavailable
from tieline.runtime.broker import Broker, Message
from tieline.runtime.jetstream_refusals import why_refused
from tieline.runtime.once import NoAnswer, Once
from tieline.runtime.requests import Requests
from tieline.wire import cloud_events, jetstream_answers, jetstream_headers
from tieline.wire.cloud_events import CloudEvent
from tieline.wire.subjects import Subjects

TIMEOUT_S: Final = 2.0
"""For one publish, or one question: a leader election of the stream takes about one second."""

ONCE_S: Final = 1800.0
"""For so long an event that is published again is recognized. One may be told again when a process has died:
another one tells it within a minute. Names of half an hour take some 100 bytes each in the broker."""

_log = logging.getLogger(__name__)


class EventStream:
    """The stream, as far as presence publishes into it."""

    def __init__(self, requests: Requests, subjects: Subjects) -> None:
        self._requests = requests
        self._subjects = subjects

    def tell(self, event: CloudEvent, done: Callable[[str | None], None]) -> None:
        """Have one event stored, once however often that is asked for; without a task for it.

        `done` is called once: with None when it is stored, or with what failed: it may or may not be stored.
        """

        def answered(reply: Message | None) -> None:
            if reply is None:
                done("no answer")
            else:
                error = jetstream_answers.read_published(reply.data).error
                done(None if error is None else repr(error))

        self._requests.begin(
            self._subject_of(event),
            cloud_events.encode(event),
            answered,
            TIMEOUT_S,
            jetstream_headers.named(event.id),
            kind="event",
        )

    def begin(self, event: CloudEvent) -> Once:
        """Hand an event to the broker, and let the caller wait later until it is `stored`."""
        headers = jetstream_headers.named(event.id)
        return self._requests.begin_once(
            self._subject_of(event), cloud_events.encode(event), TIMEOUT_S, headers
        )

    def _subject_of(self, event: CloudEvent) -> str:
        return self._subjects.cloud_event(event.type.removeprefix(cloud_events.PREFIX))

    async def stored(self, begun: Once) -> None:
        """Wait until an event is stored.

        Raises:
            StoreUnavailable: it may or may not be stored.
        """
        try:
            reply = await begun.reply()
        except NoAnswer as error:
            raise StoreUnavailable("an event") from error
        answer = jetstream_answers.read_published(reply.data)
        if answer.error is not None:
            raise StoreUnavailable("an event", answer.error)


async def make_event_stream(
    broker: Broker,
    subjects: Subjects,
    storage: Literal["file", "memory"],
    replicas: int,
    max_age_s: float,
    max_bytes: int,
    *,
    must_adapt: bool = False,
) -> None:
    """Make the stream, or adapt the one that is there. Safe to do by several processes at once.

    When `max_bytes` are kept, the oldest events go first. One that serves as it is may stay so if this
    process is not permitted to adapt it, unless it `must_adapt`.

    Raises:
        StoreUnavailable: JetStream does not answer (yet), or has no room for it.
    """
    name = subjects.event_stream()
    config = StreamConfig(
        name=name,
        subjects=[subjects.cloud_events()],
        storage=StorageType.FILE if storage == "file" else StorageType.MEMORY,
        num_replicas=replicas,
        max_age=max_age_s,
        max_bytes=max_bytes,
        duplicate_window=min(ONCE_S, max_age_s),
        discard=DiscardPolicy.OLD,
        allow_direct=True,
        republish=RePublish(*subjects.told_events(), headers_only=True),
    )
    context = broker.client.jetstream(timeout=TIMEOUT_S)
    try:
        try:
            current = (await context.stream_info(name)).config
        except NotFoundError:
            # Places in it go on growing, also when a stream was lost and is made anew.
            await context.add_stream(config, first_seq=time.time_ns() // 1_000)
            return
        if _shaped(current) == _shaped(config):
            return
        await context.update_stream(config.evolve(storage=current.storage))
    except APIError as error:
        if error.err_code != jetstream_answers.NAME_IN_USE or must_adapt:
            raise StoreUnavailable(f"no stream of events: {why_refused(error)}") from error
    except (NatsError, TimeoutError) as error:
        if must_adapt:
            raise StoreUnavailable(f"the stream of events cannot be adapted: {error}") from error
        _log.warning("the stream of events is not adapted, or not made", extra={"error": repr(error)})


def _shaped(config: StreamConfig) -> tuple[object, ...]:
    return (
        sorted(config.subjects or ()),
        config.num_replicas,
        config.max_age,
        config.max_bytes,
        config.duplicate_window,
        config.discard,
        config.allow_direct,
        config.republish is not None,
    )
