"""The bucket of webhooks: endpoints, how far each has got, who serves it, and what died.

A small store on a JetStream KV bucket of its own, so that a worker needs no rights in presence's. It is read
whole every few seconds, so what is asked of it is little: patterns, and writes by compare-and-set.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from nats.errors import Error as NatsError
from nats.js.api import KeyValueConfig, StorageType
from nats.js.errors import APIError

from tieline.runtime.broker import Broker
from tieline.runtime.jetstream_refusals import why_refused
from tieline.runtime.message import Message
from tieline.runtime.once import NoAnswer
from tieline.runtime.requests import Requests
from tieline.wire import jetstream, jetstream_answers, jetstream_headers

TIMEOUT_S: Final = 2.0
"""For one read or write: a leader election of the stream takes about one second."""

DEAD_TTL_S: Final = 1_209_600
"""How long a dead letter is kept (two weeks): longer than somebody is away who would look at it."""

MAX_BYTES: Final = 256 * 1024 * 1024
"""What the bucket may keep: half a million dead letters."""

DEAD_SHARE: Final = 3 / 4
"""How much of it dead letters may fill. The rest is for how far each endpoint has got, and who serves it:
where that cannot be written, nobody is told anything."""

LOOK_S: Final = 1.0
"""Between two looks how full it is: a worker buries some thousands in that time at most, a few megabytes."""

PAGE: Final = 256
"""Records in one answer, where there are more than one may have."""

PAGE_BYTES: Final = 1_048_576
"""Of such an answer."""

MARKER_TTL_S: Final = 30.0
"""How long what was removed leaves a mark: longer than a replica lags behind."""


class Unavailable(Exception):
    """The bucket did not answer; whether a write has happened is unknown."""


class Conflict(Exception):
    """The record is another one by now."""


class Record(NamedTuple):
    """What a key holds: empty if nothing (any more), with the revision to replace it by."""

    value: bytes
    revision: int


NOTHING: Final = Record(b"", 0)


class Bucket:
    """The bucket of webhooks, over one broker connection."""

    def __init__(self, requests: Requests, name: str) -> None:
        self._requests = requests
        stream = jetstream.bucket_stream(name)
        self._prefix = jetstream.bucket_prefix(name)
        self._get = jetstream.direct_get(stream)
        self._get_from_leader = jetstream.get_from_leader(stream)
        self._info = jetstream.stream_info(stream)
        self._has_room = True
        self._looked_at = -LOOK_S

    async def read(self, *patterns: str) -> dict[str, Record]:
        """Read all keys that match, as one replica has them, which may lag a moment behind.

        Raises:
            Unavailable: no answer.
        """
        replies = await self._gather(
            ", ".join(patterns), jetstream.last_messages_of(self._subjects(patterns))
        )
        if replies[-1].status == jetstream_headers.TOO_MANY_MESSAGES:
            return {key: record for each in patterns for key, record in await self._pages_of(each)}
        if replies[-1].status not in jetstream_headers.END_OF_MESSAGES:
            raise Unavailable(replies[-1].status)
        return dict(map(self._record, replies[:-1]))

    async def _pages_of(self, pattern: str) -> list[tuple[str, Record]]:
        """Read all that match one pattern in the order in which they were written: of each key there is one.

        What is written meanwhile comes again, behind all others.
        """
        found: list[tuple[str, Record]] = []
        (subject,) = self._subjects((pattern,))
        while True:
            after = found[-1][1].revision if found else 0
            ask = jetstream.messages_of(subject, after + 1, PAGE, PAGE_BYTES)
            replies = await self._gather(pattern, ask)
            page = [self._record(reply) for reply in replies if not reply.status]
            if not page:
                return found
            found += page

    def _subjects(self, keys: Sequence[str]) -> list[str]:
        return [self._prefix + key for key in keys]

    def _record(self, reply: Message) -> tuple[str, Record]:
        subject, revision = jetstream_headers.stored_as(reply.headers)
        return subject.removeprefix(self._prefix), Record(reply.data, revision)

    async def _gather(self, wanted: str, ask: bytes) -> list[Message]:
        try:
            return await self._requests.gather(self._get, ask, TIMEOUT_S)
        except NoAnswer as error:
            raise Unavailable(f"no answer about {wanted}") from error

    async def read_one(self, key: str) -> Record:
        """Read one key, by the leader's word.

        Raises:
            Unavailable: no answer.
        """
        ask = jetstream.last_message_of(self._prefix + key)
        try:
            reply = await self._requests.ask_once(self._get_from_leader, ask, TIMEOUT_S)
        except NoAnswer as error:
            raise Unavailable(key) from error
        answer = jetstream_answers.read_message(reply.data)
        if answer.message is not None:
            return Record(answer.message.data, answer.message.seq)
        if answer.error is None or not answer.error.is_no_message:
            raise Unavailable(key, answer.error)
        return NOTHING

    async def write(self, key: str, value: bytes, revision: int, ttl_s: int | None = None) -> int:
        """Replace the record of that revision, 0: none; it goes by itself after a time. Returns its revision.

        Raises:
            Conflict: it has another revision.
            Unavailable: no answer.
        """
        return await self._publish(key, value, jetstream_headers.replacing(revision, ttl_s))

    async def put(self, key: str, value: bytes, ttl_s: int) -> None:
        """Write a key whatever it holds. Raises `Unavailable`."""
        await self._publish(key, value, jetstream_headers.passing(ttl_s))

    async def bury(self, key: str, value: bytes) -> bool:
        """Keep a dead letter for its time, if dead letters have room; returns whether it is kept.

        Raises:
            Unavailable: no answer.
        """
        if not await self._has_room_for_dead():
            return False
        await self.put(key, value, DEAD_TTL_S)
        return True

    async def _has_room_for_dead(self) -> bool:
        """Ask how full it is, now and then."""
        now = asyncio.get_running_loop().time()
        if now - self._looked_at >= LOOK_S:
            try:
                reply = await self._requests.ask_once(self._info, b"", TIMEOUT_S)
            except NoAnswer as error:
                raise Unavailable("how full it is") from error
            stream = jetstream_answers.read_stream(reply.data)
            if stream.state is None:
                raise Unavailable("how full it is", stream.error)
            self._has_room = not stream.max_bytes or stream.state.bytes < DEAD_SHARE * stream.max_bytes
            self._looked_at = now
        return self._has_room

    async def remove(self, key: str, revision: int) -> None:
        """Remove the record of that revision. Raises what `write` raises."""
        await self._publish(key, b"", jetstream_headers.deleting(revision, int(MARKER_TTL_S)))

    async def _publish(self, key: str, value: bytes, headers: dict[str, str]) -> int:
        try:
            reply = await self._requests.ask_once(self._prefix + key, value, TIMEOUT_S, headers)
        except NoAnswer as error:
            raise Unavailable(key) from error
        answer = jetstream_answers.read_published(reply.data)
        if answer.error is None:
            return answer.seq
        if answer.error.is_conflict:
            raise Conflict(key)
        raise Unavailable(key, answer.error)


async def make_bucket(broker: Broker, name: str, storage: Literal["file", "memory"], replicas: int) -> None:
    """Make the bucket, or take the one that is there as it is. Safe to do by several processes at once.

    Raises:
        Unavailable: JetStream does not answer (yet), or has no room for it.
    """
    config = KeyValueConfig(
        bucket=name,
        history=1,
        storage=StorageType.FILE if storage == "file" else StorageType.MEMORY,
        replicas=replicas,
        max_bytes=MAX_BYTES,
        direct=True,
        limit_marker_ttl=MARKER_TTL_S,
    )
    try:
        await broker.client.jetstream(timeout=TIMEOUT_S).create_key_value(config=config)
    except APIError as error:
        if error.err_code != jetstream_answers.NAME_IN_USE:
            raise Unavailable(why_refused(error)) from error
    except (NatsError, TimeoutError) as error:
        raise Unavailable("JetStream does not answer") from error
