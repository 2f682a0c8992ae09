"""Tell the stream of events which offers were refused: no record keeps that.

A refusal changes nothing, so there is nothing from which it could be told again. It is handed to the broker
before the reply leaves, and again until the stream has it, for as long as this process lives: it is lost only
with this process and the broker's node at one moment. Nobody who calls waits for it. What records keep is
told by `presence.fact_teller`.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from presence.store import StoreUnavailable
from tieline import metrics
from tieline.runtime.guard import bug_guard
from tieline.runtime.once import Once
from tieline.wire import cloud_events
from tieline.wire.cloud_events import Call, CloudEvent
from tieline.wire.internal.signals import Check

MOST_WAITING: Final = 4096
"""Of more refusals than so many that the stream does not take, the oldest are not told: each is a message of
some 500 bytes, and one user may make 120 offers a minute."""

RETRY_S: Final = 1.0
"""Between attempts when the stream does not answer."""

_log = logging.getLogger(__name__)


class Stream(Protocol):
    """The stream of events; `presence.event_stream.EventStream` is one."""

    def begin(self, event: CloudEvent) -> Once:
        """Hand an event to the broker."""
        ...

    async def stored(self, begun: Once) -> None:
        """Wait until it is stored, or raise `StoreUnavailable`."""
        ...


def event_of(namespace: str, offer: Check, reason: str, now: int) -> CloudEvent:
    """Make the event of a refused offer; the same that is asked about again makes one of the same name.

    The same frame, sent once more later, is refused once more: it comes to its gateway at another time.
    """
    name = cloud_events.event_id("call.refused", offer.user, offer.to, offer.digest.hex(), offer.at)
    call = Call(offer.user, offer.to, reason=reason.lower())
    return cloud_events.of_call(namespace, "call.refused", name, now, call)


class Refusals:
    """What this process has yet to tell."""

    def __init__(self, namespace: str, stream: Stream, clock: Callable[[], int]) -> None:
        """Take also the clock, in Unix milliseconds."""
        self._clock = clock
        self._namespace = namespace
        self._stream = stream
        self._waiting: deque[tuple[CloudEvent, Once]] = deque()
        self._is_any = asyncio.Event()

    def note(self, offer: Check, reason: str) -> None:
        """Tell that an offer was refused, by the name of the refusal."""
        event = event_of(self._namespace, offer, reason, self._clock())
        self._waiting.append((event, self._stream.begin(event)))
        if len(self._waiting) > MOST_WAITING:
            self._waiting.popleft()
            metrics.EVENTS_TOLD.labels("lost").inc()
        self._is_any.set()

    async def run(self, retry_s: float = RETRY_S) -> None:
        """See to it that each is stored, until cancelled."""
        while True:
            await self._is_any.wait()
            with bug_guard(_log, "refused offers are not told: a bug"):
                while self._waiting:
                    event, begun = self._waiting.popleft()
                    try:
                        await self._stream.stored(begun)
                    except StoreUnavailable as error:
                        metrics.EVENTS_TOLD.labels("failed").inc()
                        _log.warning("event not told yet", extra={"type": event.type, "error": repr(error)})
                        await asyncio.sleep(retry_s)
                        self._waiting.appendleft((event, self._stream.begin(event)))
                    else:
                        metrics.EVENTS_TOLD.labels("told").inc()
            self._is_any.clear()
