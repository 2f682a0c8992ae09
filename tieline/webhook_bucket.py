"""The bucket of webhooks: endpoints, how far each has got, who serves it, and what died.

A small store on a JetStream KV bucket of its own, so that a worker needs no rights in presence's. It is read
whole every few seconds, so what is asked of it is little: patterns, and writes by compare-and-set.
"""

from typing import Final, Literal, NamedTuple

from nats.errors import Error as NatsError
from nats.js.api import KeyValueConfig, StorageType
from nats.js.errors import APIError

from tieline.runtime.broker import Broker
from tieline.runtime.once import NoAnswer
from tieline.runtime.requests import Requests
from tieline.wire import jetstream, jetstream_answers, jetstream_headers

TIMEOUT_S: Final = 2.0
"""For one read or write: a leader election of the stream takes about one second."""

DEAD_TTL_S: Final = 1_209_600
"""How long a dead letter is kept (two weeks): longer than somebody is away who would look at it."""

MAX_BYTES: Final = 256 * 1024 * 1024
"""What the bucket may keep: half a million dead letters."""

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

    async def read(self, *patterns: str) -> dict[str, Record]:
        """Read all keys that match, as one replica has them, which may lag a moment behind.

        Raises:
            Unavailable: no answer.
        """
        ask = jetstream.last_messages_of([self._prefix + pattern for pattern in patterns])
        try:
            replies = await self._requests.gather(self._get, ask, TIMEOUT_S)
        except NoAnswer as error:
            raise Unavailable(patterns) from error
        if replies[-1].status not in jetstream_headers.END_OF_MESSAGES:
            raise Unavailable(replies[-1].status)
        found: dict[str, Record] = {}
        for reply in replies[:-1]:
            subject, revision = jetstream_headers.stored_as(reply.headers)
            found[subject.removeprefix(self._prefix)] = Record(reply.data, revision)
        return found

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
            raise Unavailable(error.description) from error
    except (NatsError, TimeoutError) as error:
        raise Unavailable("JetStream does not answer") from error
