"""Make the mailbox: the stream through which everything passes that is sent to users.

It keeps a frame, once however often it is published, and then pushes it on to the gateway that listens. So
what is pushed is stored, and comes in the order in which it is stored: a client that comes back gets exactly
what it has not had. Only made here; routers and presence publish into it by publishing to users, gateways
listen to it (`gateway.delivery.feed`) and read it (`gateway.delivery.mailbox`).
"""

import functools
import logging
import time
from typing import Final, Literal

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RePublish, StorageType, StreamConfig
from nats.js.errors import APIError, NotFoundError

from presence.store import TIMEOUT_S, StoreUnavailable
from tieline.runtime.broker import Broker
from tieline.runtime.requests import NoAnswer, Requests
from tieline.wire import jetstream
from tieline.wire.limits import MAX_MISSED, RETRY_WINDOW_S
from tieline.wire.subjects import Subjects

MIN_KEEP_S: Final = RETRY_WINDOW_S + 15.0
"""Longer than a retry is recognized: one that is judged at the very end of that time is published later."""

MARGIN_S: Final = 20.0
"""Beyond the longest absence: for clocks, and for the time a replay takes."""

MAX_BYTES: Final = 512 * 1024 * 1024
"""Half of the memory that deploy/nats/nats.conf gives JetStream; a million small messages make nats-server
more than three times as big as they are."""

MIN_BYTES: Final = 1024 * 1024
"""Less would not hold what one call needs at its beginning."""

_NOT_MADE: Final = (jetstream.NAME_IN_USE, *jetstream.NO_ROOM_FOR_STREAM)

_log = logging.getLogger(__name__)


class Mailbox:
    """The stream, as far as presence must know whether it is there."""

    def __init__(self, requests: Requests, subjects: Subjects) -> None:
        self._requests = requests
        self._info = jetstream.stream_info(subjects.mailbox())

    async def is_usable(self) -> bool:
        """Whether the stream answers now."""
        try:
            answer = await self._requests.ask_once(self._info, b"", TIMEOUT_S)
        except NoAnswer:
            return False
        return jetstream.read_stream(answer.data).error is None


async def make_mailbox(
    broker: Broker,
    subjects: Subjects,
    storage: Literal["file", "memory"],
    replicas: int,
    keep_s: float,
    max_bytes: int = MAX_BYTES,
) -> None:
    """Make the stream, or adapt the one that is there; `keep_s` is the longest absence to be bridged.

    With replicas it lives in memory: what one node loses the others have, and it is spared the disk. Of a
    session one message more is kept than is replayed, which tells "just as many" from "more". When
    `max_bytes` are kept the oldest go first, whosever they are, so that what is new always has room. The
    broker reserves that room, so that mail never takes what the bucket needs. Where it has not so much to
    give, the mailbox takes half of it, or a quarter, and so on.

    Raises:
        StoreUnavailable: JetStream does not answer (yet), or cannot make it so.
    """
    config = StreamConfig(
        name=subjects.mailbox(),
        subjects=[subjects.users(), subjects.rooms(), subjects.marks(), subjects.mailbox_question()],
        republish=RePublish(*subjects.pushed()),
        storage=StorageType.MEMORY if replicas > 1 or storage == "memory" else StorageType.FILE,
        num_replicas=replicas,
        max_age=max(MIN_KEEP_S, keep_s + MARGIN_S),
        max_msgs_per_subject=MAX_MISSED + 1,
        duplicate_window=MIN_KEEP_S,
        discard=DiscardPolicy.OLD,
        allow_direct=True,
    )
    context = broker.client.jetstream(timeout=TIMEOUT_S)
    room = max_bytes
    while not await _is_made(context, config.evolve(max_bytes=room)):
        room //= 2
        if room < MIN_BYTES:
            raise StoreUnavailable("no mailbox: the broker has no room for it")
    if room < max_bytes:
        _log.warning("the mailbox is smaller than it should be", extra={"bytes": room, "wanted": max_bytes})


async def _is_made(context: JetStreamContext, config: StreamConfig) -> bool:
    """Make the stream so, or adapt the one that is there; False: the broker has no room for it.

    Of a stream that is there JetStream counts the room twice when it is asked to make it. So it is asked to
    adapt it first, and again when another process has made it in between.

    Raises:
        StoreUnavailable: JetStream does not answer (yet), or cannot make it so.
    """
    # Numbers of changes of rooms go on growing, also when a stream was lost and is made anew.
    making = functools.partial(context.add_stream, first_seq=time.time_ns() // 1_000)
    for attempt in (context.update_stream, making, context.update_stream):
        try:
            await attempt(config)
        except APIError as error:
            if not (isinstance(error, NotFoundError) or error.err_code in _NOT_MADE):
                raise StoreUnavailable(f"no mailbox: {error}") from error
        except (NatsError, TimeoutError) as error:
            raise StoreUnavailable(f"no mailbox: {error}") from error
        else:
            return True
    return False
