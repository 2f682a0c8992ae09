"""Make the two streams, the bucket and the mailbox, and hold readiness to whether they can be used.

How each is made is `store` and `mailbox`. A broker may come back without them: then they are made again, and
gateways register their sessions anew.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from presence.bucket import SubjectsTaken, make_bucket
from presence.event_stream import make_event_stream
from presence.mailbox import make_mailbox, of_another_number
from presence.settings import PresenceSettings
from presence.store import StoreUnavailable
from tieline.runtime.broker import Broker
from tieline.runtime.guard import bug_guard
from tieline.runtime.ops import Ready
from tieline.runtime.settings import SettingsError
from tieline.runtime.watch import EVERY_S, Doubt
from tieline.wire.subjects import Subjects

BUCKET_AWAY: Final = "the bucket does not answer"
BUCKET_FULL: Final = "the bucket does not store: no session can begin"

RETRY_S: Final = 1.0
"""Between attempts to make the streams when JetStream does not answer."""

_log = logging.getLogger(__name__)


class Usable(Protocol):
    """A stream, as far as it is asked whether it answers."""

    async def is_usable(self) -> bool:
        """Whether the stream answers now."""
        ...


class Storing(Usable, Protocol):
    """The bucket, as far as it is asked whether it stores."""

    async def has_room(self) -> bool:
        """Whether it stores what it is given now."""
        ...


class Streams:
    """What makes the streams as the settings say. `keep_s` is the longest absence to be bridged."""

    def __init__(self, broker: Broker, subjects: Subjects, settings: PresenceSettings, keep_s: float) -> None:
        self._broker = broker
        self._subjects = subjects
        self._settings = settings
        self._keep_s = keep_s

    async def made(self) -> None:
        """Make them, however long JetStream takes to answer.

        Raises:
            SettingsError: a stream is there that cannot become what the settings say.
        """
        while True:
            try:
                await self._make()
            except StoreUnavailable as error:
                _log.warning("waiting for JetStream", extra={"error": str(error)})
                await asyncio.sleep(RETRY_S)
            else:
                return

    async def try_to_make(self) -> bool:
        """Make them now; returns whether they are as they should be."""
        try:
            await self._make()
        except StoreUnavailable as error:
            _log.warning("waiting for JetStream", extra={"error": str(error)})
        except SettingsError as problem:  # of a stream that somebody has made meanwhile
            _log.error("streams not made", extra={"error": str(problem)})
        else:
            return True
        return False

    async def _make(self) -> None:
        await make_streams(self._broker, self._subjects, self._settings, self._keep_s)

    async def make_events(self) -> None:
        """Make the stream of events now, if it is wanted: no call waits for it."""
        settings = self._settings
        if settings.events == "off":
            return
        try:
            await make_event_stream(
                self._broker,
                self._subjects,
                settings.storage,
                settings.replicas,
                settings.events_max_age,
                settings.events_max_bytes,
            )
        except StoreUnavailable as error:
            _log.warning("no stream of events yet", extra={"error": str(error)})


async def make_streams(
    broker: Broker, subjects: Subjects, settings: PresenceSettings, keep_s: float, *, must_adapt: bool = False
) -> int:
    """Make the bucket and the mailbox, or adapt them: each in its partitions.

    Returns how many bytes the mailbox keeps at most.

    Raises:
        StoreUnavailable: JetStream does not answer (yet), or cannot make them so.
        SettingsError: a stream is there that cannot become what the settings say.
        OtherNumber: streams of another number of partitions are there.
    """
    storage, replicas = settings.storage, settings.replicas
    try:
        for part in subjects.parts():
            beside = part.beside_bucket()
            await make_bucket(broker, part.bucket(), storage, replicas, beside=beside, must_adapt=must_adapt)
    except SubjectsTaken:
        raise await of_another_number(broker, subjects) from None
    most = settings.mailbox_max_bytes
    return sum(
        [
            await make_mailbox(broker, part, storage, replicas, keep_s, most, must_adapt=must_adapt)
            for part in subjects.parts()
        ]
    )


async def watch_streams(
    bucket: Storing,
    mailbox: Usable,
    make: Callable[[], Awaitable[bool]],
    ready: Ready,
    every_s: float = EVERY_S,
) -> None:
    """Look until cancelled whether the streams can be used, and make them again when they cannot.

    One answer that does not come proves nothing; that they cannot be made either does.
    """
    away, full = Doubt(ready, BUCKET_AWAY), Doubt(ready, BUCKET_FULL)
    guard = bug_guard(_log, "streams not watched: a bug")
    while True:
        await asyncio.sleep(every_s)
        is_usable = has_room = is_made = False
        with guard:
            is_usable = await bucket.is_usable() and await mailbox.is_usable()
            has_room = is_usable and await bucket.has_room()
        away.note(is_usable)
        if is_usable:
            full.note(has_room)
            continue
        with guard:
            is_made = await make()
        if not is_made:
            away.note(False)
