"""Make the mailbox: the stream through which everything passes that is sent to users.

It keeps a frame, once however often it is published, and then pushes it on to the gateway that listens. So
what is pushed is stored, and comes in the order in which it is stored: a client that comes back gets exactly
what it has not had. Only made here; routers and presence publish into it by publishing to users, gateways
listen to it (`gateway.delivery.feed`) and read it (`gateway.delivery.mailbox`).
"""

import contextlib
import logging
import time
from typing import Final, Literal

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RePublish, StorageType, StreamConfig
from nats.js.errors import APIError, NotFoundError

from presence.bucket import NOT_ADAPTED, TIMEOUT_S, SubjectsTaken
from presence.store import StoreUnavailable
from tieline.runtime.broker import Broker
from tieline.runtime.cancelling import cancellable
from tieline.runtime.requests import NoAnswer, Requests
from tieline.runtime.settings import SettingsError
from tieline.wire import jetstream, jetstream_answers
from tieline.wire.limits import MAX_MISSED, RETRY_WINDOW_S
from tieline.wire.partitions import other_number
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

FIRST_WITH_BATCHES: Final = (2, 12)
"""The version of nats-server."""

_NOT_MADE: Final = (jetstream_answers.NAME_IN_USE, *jetstream_answers.NO_ROOM_FOR_STREAM)

_log = logging.getLogger(__name__)


class Mailbox:
    """The stream, as far as presence must know whether it is there."""

    def __init__(self, requests: Requests, subjects: Subjects) -> None:
        self._requests = requests
        self._infos = [jetstream.stream_info(part.mailbox()) for part in subjects.parts()]

    async def is_usable(self) -> bool:
        """Whether the stream answers now, or each of its partitions."""
        try:
            for info in self._infos:
                answer = await self._requests.ask_once(info, b"", TIMEOUT_S)
                if jetstream_answers.read_stream(answer.data).error is not None:
                    return False
        except NoAnswer:
            return False
        return True


class OtherNumber(SettingsError):
    """The streams that are there are of another number of partitions."""


async def make_mailbox(
    broker: Broker,
    subjects: Subjects,
    storage: Literal["file", "memory"],
    replicas: int,
    keep_s: float,
    max_bytes: int = MAX_BYTES,
    *,
    must_adapt: bool = False,
) -> int:
    """Make the stream, or adapt the one that is there; `keep_s` is the longest absence to be bridged.

    Of several partitions it is the one that `subjects` are about, and `max_bytes` is what they have together.
    With replicas it lives in memory: what one node loses the others have, and it is spared the disk. Of a
    session one message more is kept than is replayed, which tells "just as many" from "more". When
    `max_bytes` are kept the oldest go first, whosever they are, so that what is new always has room. The
    broker reserves that room, so that mail never takes what the bucket needs. Where it has not so much to
    give, the mailbox takes half of it, or a quarter, and so on. One that serves as it is may stay so if this
    process is not permitted to adapt it, unless it `must_adapt`. Returns how many bytes it keeps at most.

    Raises:
        StoreUnavailable: JetStream does not answer (yet), or cannot make it so.
        OtherNumber: there is a mailbox of another number of partitions.
    """
    max_bytes //= subjects.partitions.number
    kept_in = StorageType.MEMORY if replicas > 1 or storage == "memory" else StorageType.FILE
    config = StreamConfig(
        name=subjects.mailbox(),
        subjects=subjects.captured(),
        republish=RePublish(*subjects.pushed()),
        storage=kept_in,
        num_replicas=replicas,
        max_age=max(MIN_KEEP_S, keep_s + MARGIN_S),
        max_msgs_per_subject=MAX_MISSED + 1,
        duplicate_window=MIN_KEEP_S,
        discard=DiscardPolicy.OLD,
        allow_direct=True,
        allow_atomic=kept_in is StorageType.MEMORY and takes_batches(broker),
    )
    context = broker.client.jetstream(timeout=TIMEOUT_S)
    room = max_bytes
    try:
        while not await is_made(context, config.evolve(max_bytes=room), must_adapt=must_adapt):
            room //= 2
            if room < MIN_BYTES // subjects.partitions.number:
                raise StoreUnavailable("no mailbox: the broker has no room for it")
    except SubjectsTaken:
        raise await of_another_number(broker, subjects) from None
    if room < max_bytes:
        _log.warning("the mailbox is smaller than it should be", extra={"bytes": room, "wanted": max_bytes})
    return room


async def of_another_number(broker: Broker, subjects: Subjects) -> OtherNumber:
    """Say of how many partitions the mailbox is that is there, if it says so itself."""
    there = ""
    with contextlib.suppress(NatsError, TimeoutError):
        asking = broker.client.request(subjects.which(), b"", timeout=TIMEOUT_S)
        there = jetstream_answers.read_published((await cancellable(asking)).data).stream
    return OtherNumber(other_number(subjects.partitions.number, there))


def takes_batches(broker: Broker) -> bool:
    """Whether the broker can store several messages together or not at all (`router.in_order`).

    A file is synced for each such batch, which takes longer than storing them one by one.
    """
    version = broker.client.connected_server_version
    return (version.major, version.minor) >= FIRST_WITH_BATCHES


async def is_made(context: JetStreamContext, config: StreamConfig, *, must_adapt: bool = False) -> bool:
    """Make the stream so, or adapt the one that is there; False: the broker has no room for it.

    Of a stream that is there JetStream counts the room twice when it is asked to make it. So it is looked at
    first, and again when another process has made it in between. One that is as it should be is let be: this
    process may not be permitted to adapt it. Then what is there has to serve, unless it `must_adapt`.

    Raises:
        StoreUnavailable: JetStream does not answer (yet), or cannot make it so.
        SubjectsTaken: another stream stores some of the same subjects.
    """
    assert config.name is not None
    try:
        current = await _config_of(context, config.name)
        if current is None:
            # Numbers of changes of rooms go on growing, also when a stream was lost and is made anew.
            await context.add_stream(config, first_seq=time.time_ns() // 1_000)
    except APIError as error:
        if error.err_code in jetstream_answers.NO_ROOM_FOR_STREAM:
            return False
        if error.err_code == jetstream_answers.SUBJECTS_TAKEN:
            raise SubjectsTaken from error
        if error.err_code != jetstream_answers.NAME_IN_USE:
            raise StoreUnavailable(f"no mailbox: {error}") from error
        current = await _config_of(context, config.name)
    except (NatsError, TimeoutError) as error:
        raise StoreUnavailable(f"no mailbox: {error}") from error
    if current is None or _shaped(current) == _shaped(config):
        return True
    try:
        await context.update_stream(config)
    except APIError as error:
        if error.err_code not in _NOT_MADE:
            raise StoreUnavailable(f"no mailbox: {error}") from error
        return False
    except (NatsError, TimeoutError) as error:
        if must_adapt or not _serves(current, config):
            raise StoreUnavailable(f"the mailbox cannot be adapted: {error}") from error
        _log.warning(NOT_ADAPTED, extra={"stream": config.name, "error": repr(error)})
    return True


async def _config_of(context: JetStreamContext, name: str) -> StreamConfig | None:
    """Look at a stream; None: there is none."""
    try:
        return (await context.stream_info(name)).config
    except NotFoundError:
        return None


def _shaped(config: StreamConfig) -> tuple[object, ...]:
    """List what this module says of a stream, in the words in which JetStream repeats it."""
    return (
        *_passed_on(config),
        config.storage,
        config.num_replicas,
        config.max_age,
        config.max_msgs_per_subject,
        config.duplicate_window,
        config.discard,
        config.max_bytes,
        bool(config.allow_atomic),
    )


def _passed_on(config: StreamConfig) -> tuple[object, ...]:
    republish = config.republish
    source, destination = (republish.src, republish.dest) if republish is not None else (None, None)
    return sorted(config.subjects or ()), source, destination, config.allow_direct


def _serves(current: StreamConfig, wanted: StreamConfig) -> bool:
    """Whether a stream keeps and passes on all that it should, though not for as long, or as often."""
    return _passed_on(current) == _passed_on(wanted)
