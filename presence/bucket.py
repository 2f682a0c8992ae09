"""The store on a JetStream KV bucket.

The bucket is made by nats-py; reads and writes go around its KV class, which knows neither a batch get nor
a TTL on updates.
"""

import asyncio
import contextlib
import logging
import math
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, KeyValueConfig, StorageType, StreamConfig
from nats.js.errors import APIError

from presence.read_budget import ReadBudget, estimated, estimated_each, parts
from presence.side_by_side import side_by_side
from presence.store import (
    ABSENT,
    MARKER_TTL_S,
    NOTHING_KNOWN,
    REMOVED_TTL_S,
    Conflict,
    Dated,
    Record,
    StoreUnavailable,
)
from tieline.runtime.broker import Broker, BrokerAway
from tieline.runtime.jetstream_refusals import why_refused
from tieline.runtime.message import Message
from tieline.runtime.once import Once
from tieline.runtime.requests import NoAnswer, Requests
from tieline.runtime.settings import SettingsError
from tieline.wire import jetstream, jetstream_answers, jetstream_headers
from tieline.wire.subjects import Keys

_log = logging.getLogger(__name__)

TIMEOUT_S: Final = 2.0
"""For one read or write: a leader election of the stream takes about one second."""

NOT_ADAPTED: Final = "not adapted: an operator may, with `tieline streams`"

_DUPLICATES_S: Final = 120.0
"""As nats-py has it. The bucket's writes have no names."""

PROBE: Final = Keys.probe()
"""The key that is read and written to see whether that is possible."""

PROBE_TTL_S: Final = 10.0
"""What was written for that is soon gone."""

COUNT_TRIES: Final = 50
"""Counts by replicas that lag before giving up: each takes about a millisecond, and another may answer."""


LAG_S: Final = 0.01
"""Between two looks at what a replica does not have yet."""


class Bucket:
    """The real store, over one broker connection: a `ListedStore`."""

    def __init__(
        self, broker: Broker, requests: Requests, name: str, budget: ReadBudget | None = None
    ) -> None:
        """Take also what is asked for at once by all buckets of this connection."""
        self.stream = jetstream.bucket_stream(name)
        self._context: JetStreamContext = broker.client.jetstream(timeout=TIMEOUT_S)
        self._broker = broker
        self._requests = requests
        self._budget = ReadBudget() if budget is None else budget
        self.prefix = jetstream.bucket_prefix(name)
        self._cut = len(self.prefix)
        self._info = jetstream.stream_info(self.stream)
        self._get = jetstream.direct_get(self.stream)
        self._get_from_leader = jetstream.get_from_leader(self.stream)

    async def read(
        self, *keys: str, confirmed: bool = False, known: Mapping[str, Record] = NOTHING_KNOWN
    ) -> dict[str, Record]:
        """See `Store.read`."""
        if confirmed:
            found: dict[str, Record] = {}
            for part in parts(keys):
                found |= await self._read_from_leader(part, known)
            return found
        found = {}
        for part in parts(keys):
            found.update((await self._read_batch(part)).found)
        return found

    async def read_dated(self, *keys: str) -> Dated:
        """See `DatedStore.read_dated`."""
        return await self._read_batch(keys)

    async def _read_batch(self, keys: tuple[str, ...]) -> Dated:
        ask = jetstream.last_messages_of([self.prefix + key for key in keys])
        try:
            async with self._budget.of(estimated(keys)):
                replies = await self._requests.gather(self._get, ask, TIMEOUT_S)
        except NoAnswer as error:
            raise StoreUnavailable(keys) from error
        if replies[-1].status == jetstream_headers.TOO_MANY_MESSAGES and len(keys) > 1:
            half = len(keys) // 2  # several rosters are read in parts; one of that size, by its keys
            one, other = await self._read_batch(keys[:half]), await self._read_batch(keys[half:])
            return Dated({**one.found, **other.found}, min(one.up_to, other.up_to))
        if replies[-1].status == jetstream_headers.TOO_MANY_MESSAGES:
            return Dated(await self.read(*await self.keys(*keys)), 0)
        found = dict(self._record(reply) for reply in replies[:-1])
        return Dated(found, jetstream_headers.up_to(replies[-1]))

    async def read_now(self, *keys: str) -> dict[str, Record]:
        """See `CurrentStore.read_now`."""
        if self._requests.is_alone:  # what is acknowledged, the one node has
            return await self.read(*keys)
        last = await self._last()
        found: dict[str, Record] = {}
        for part in parts(keys):
            found |= await self._read_since(last, part)
        return found

    async def read_few_now(self, most: int, *keys: str) -> dict[str, Record] | None:
        """See `CurrentStore.read_few_now`."""
        last = 0 if self._requests.is_alone else await self._last()
        for _ in range(COUNT_TRIES):
            replies = await self._few(most, keys)
            if _is_more(replies):
                return None
            if jetstream_headers.up_to(replies[-1]) >= last or (
                len(replies) == 1 and not await self.keys(*keys)
            ):
                return dict(self._record(reply) for reply in replies[:-1])
            await asyncio.sleep(LAG_S)
        raise StoreUnavailable(f"no replica has {last}")

    async def _last(self) -> int:
        """Ask the leader for the newest revision that there is."""
        try:
            answer = await self._requests.ask_once(self._info, b"", TIMEOUT_S)
        except NoAnswer as error:
            raise StoreUnavailable(self.stream) from error
        stream = jetstream_answers.read_stream(answer.data)
        if stream.state is None:
            raise StoreUnavailable(self.stream, stream.error)
        return stream.state.last_seq

    async def _read_since(self, last: int, keys: tuple[str, ...]) -> dict[str, Record]:
        """Read keys and patterns from a replica that has everything up to a revision."""
        for _ in range(COUNT_TRIES):
            dated = await self._read_batch(keys)
            if dated.up_to >= last:
                return dict(dated.found)
            if not dated.up_to:  # nothing was found, or more than one answer holds: then the leader lists it
                listed = await self.keys(*keys)
                if not listed:
                    return {}
                if dated.found:
                    found: dict[str, Record] = {}
                    for part in parts(listed):
                        found |= await self._read_since(last, part)
                    return found
            await asyncio.sleep(LAG_S)
        raise StoreUnavailable(f"no replica has {last}")

    def _record(self, reply: Message) -> tuple[str, Record]:
        subject, revision = jetstream_headers.stored_as(reply.headers)
        return subject[self._cut :], Record(reply.data, revision)

    async def read_few(self, most: int, *keys: str) -> Dated | None:
        """See `ListedStore.read_few`."""
        replies = await self._few(most, keys)
        if _is_more(replies):
            return None
        found = dict(self._record(reply) for reply in replies[:-1])
        return Dated(found, jetstream_headers.up_to(replies[-1]))

    async def _few(self, most: int, keys: tuple[str, ...]) -> list[Message]:
        ask = jetstream.few_last_messages_of([self.prefix + key for key in keys], most)
        try:
            async with self._budget.of(most * estimated_each(keys)):
                return await self._requests.gather(self._get, ask, TIMEOUT_S)
        except NoAnswer as error:
            raise StoreUnavailable(keys) from error

    async def keys(self, *patterns: str) -> list[str]:
        """See `ListedStore.keys`."""
        found = await side_by_side(*(self._keys(pattern) for pattern in patterns))
        return list(dict.fromkeys(key for keys in found for key in keys))

    async def _keys(self, pattern: str) -> list[str]:
        try:
            info = await self._context.stream_info(self.stream, subjects_filter=self.prefix + pattern)
        except (NatsError, OSError) as error:  # a TimeoutError is one
            raise StoreUnavailable(pattern) from error
        return [subject[self._cut :] for subject in info.state.subjects or ()]

    async def _read_from_leader(
        self, keys: tuple[str, ...], known: Mapping[str, Record]
    ) -> dict[str, Record]:
        """Ask the leader for all keys at once, each in a message of its own: it takes one a message."""
        found: dict[str, Record] = {}
        async with self._budget.of(estimated(keys)):
            asked = [self._begin_read_from_leader(key, known.get(key, ABSENT)) for key in keys]
            for key, each in zip(keys, asked, strict=True):
                try:
                    reply = await each.reply()
                except NoAnswer as error:
                    raise StoreUnavailable(key) from error
                answer = jetstream_answers.read_message(reply.data)
                if answer.message is not None:
                    found[key] = Record(answer.message.data, answer.message.seq)
                elif answer.error is None or not answer.error.is_not_found:
                    raise StoreUnavailable(answer.error)
                elif known.get(key, ABSENT).revision:
                    found[key] = known[key]
        return found

    def _begin_read_from_leader(self, key: str, known: Record) -> Once:
        subject = self.prefix + key
        ask = (
            jetstream.newer_message_of(subject, known.revision)
            if known.revision
            else jetstream.last_message_of(subject)
        )
        return self._requests.begin_once(self._get_from_leader, ask, TIMEOUT_S)

    async def write(
        self, key: str, value: bytes, revision: int, ttl_s: float | None = None, *, confirm: bool = True
    ) -> int:
        """See `Store.write`."""
        ttl = None if ttl_s is None else _whole_seconds(ttl_s)
        headers = jetstream_headers.replacing(revision, ttl)
        if confirm:
            return await self._publish(key, value, headers)
        with contextlib.suppress(BrokerAway):
            self._broker.send(self.prefix + key, value, headers=headers)
        return 0

    async def put(self, key: str, value: bytes, ttl_s: float, *, leaves_marker: bool = True) -> int:
        """See `Store.put`."""
        ttl = _whole_seconds(ttl_s)
        headers = jetstream_headers.expiring(ttl) if leaves_marker else jetstream_headers.passing(ttl)
        return await self._publish(key, value, headers)

    async def delete(self, key: str, revision: int) -> None:
        """See `Store.delete`. Others' KV clients see a deletion; the marker goes after `REMOVED_TTL_S`."""
        await self._publish(key, b"", jetstream_headers.deleting(revision, _whole_seconds(REMOVED_TTL_S)))

    async def _publish(self, key: str, value: bytes, headers: dict[str, str]) -> int:
        try:
            reply = await self._requests.ask_once(self.prefix + key, value, TIMEOUT_S, headers)
        except NoAnswer as error:
            raise StoreUnavailable(key) from error
        answer = jetstream_answers.read_published(reply.data)
        if answer.error is None:
            return answer.seq
        if answer.error.is_conflict:
            raise Conflict(key)
        raise StoreUnavailable(key, answer.error)

    async def count(self, pattern: str, revision: int) -> int | None:
        """Count the keys that a pattern matches, one at least, as they were at a revision or later.

        A key that was deleted counts for as long as its marker is there. None: there are more than 1,024.

        Raises:
            StoreUnavailable: no answer.
        """
        ask = jetstream.count_of(self.prefix + pattern)
        for _ in range(COUNT_TRIES):
            try:
                replies = await self._requests.gather(self._get, ask, TIMEOUT_S)
            except NoAnswer as error:
                raise StoreUnavailable(pattern) from error
            if replies[-1].status == jetstream_headers.TOO_MANY_MESSAGES:
                return None
            if len(replies) > 1 and jetstream_headers.up_to(replies[-1]) >= revision:
                return 1 + jetstream_headers.pending(replies[0])
        raise StoreUnavailable(f"no replica has {revision}")

    async def is_usable(self) -> bool:
        """Whether the bucket answers now."""
        try:
            await self._read_batch((PROBE,))
        except StoreUnavailable:
            return False
        return True

    async def newest(self, *patterns: str) -> int:
        """Find the revision of the newest record that matches, as the leader has it; 0: there is none.

        Everything is stored by then that was sent before, also what was not waited for: what asks for room is
        stored behind it.

        Raises:
            StoreUnavailable: it does not answer.
        """
        await self.has_room()
        found = await self._read_from_leader(patterns, NOTHING_KNOWN)
        return max((record.revision for record in found.values()), default=0)

    async def has_room(self) -> bool:
        """Whether the bucket stores what it is given now."""
        headers = jetstream_headers.passing(_whole_seconds(PROBE_TTL_S))
        try:
            await self._publish(PROBE, b"", headers)
        except StoreUnavailable:
            return False
        return True


def _is_more(replies: Sequence[Message]) -> bool:
    """Whether there is more than was asked for."""
    return (
        replies[-1].status == jetstream_headers.TOO_MANY_MESSAGES
        or jetstream_headers.pending(replies[-1]) > 0
    )


def _whole_seconds(ttl_s: float) -> int:
    """Round a TTL up to what JetStream takes: whole seconds, at least one."""
    return max(1, math.ceil(ttl_s))


async def make_bucket(
    broker: Broker,
    name: str,
    storage: Literal["file", "memory"],
    replicas: int,
    *,
    beside: tuple[str, ...] = (),
    must_adapt: bool = False,
) -> None:
    """Make the bucket, or adapt the one that is there. Safe to do by several processes at once.

    One that serves as it is may stay so if this process is not permitted to adapt it, unless it `must_adapt`.
    Its stream stores subjects `beside` its own, so that there is no other one with these.

    Raises:
        StoreUnavailable: JetStream does not answer (yet), or has no room for so many replicas.
        SettingsError: a bucket of this name is there, and cannot become what is asked.
        SubjectsTaken: another stream stores some of the same subjects.
    """
    context = broker.client.jetstream(timeout=TIMEOUT_S)
    wanted = StorageType.FILE if storage == "file" else StorageType.MEMORY
    config = KeyValueConfig(
        bucket=name,
        history=1,
        storage=wanted,
        replicas=replicas,
        direct=True,
        limit_marker_ttl=MARKER_TTL_S,
    )
    try:
        if beside:
            await context.add_stream(_as_stream(config, beside))
        else:
            await context.create_key_value(config=config)
    except APIError as error:
        if error.err_code == jetstream_answers.SUBJECTS_TAKEN:
            raise SubjectsTaken from error
        if error.err_code != jetstream_answers.NAME_IN_USE:
            raise StoreUnavailable(why_refused(error)) from error
        await adapt_bucket(context, jetstream.bucket_stream(name), wanted, replicas, must_adapt=must_adapt)
    except (NatsError, TimeoutError) as error:
        raise StoreUnavailable("JetStream does not answer") from error


class SubjectsTaken(Exception):
    """Another stream stores what this one is to store."""


def _as_stream(config: KeyValueConfig, beside: tuple[str, ...]) -> StreamConfig:
    """Describe a bucket's stream as nats-py makes it, with more subjects than it gives one."""
    return StreamConfig(
        name=jetstream.bucket_stream(config.bucket),
        subjects=[f"{jetstream.bucket_prefix(config.bucket)}>", *beside],
        allow_direct=config.direct,
        allow_rollup_hdrs=True,
        deny_delete=True,
        discard=DiscardPolicy.NEW,
        duplicate_window=_DUPLICATES_S,
        max_msgs_per_subject=config.history,
        num_replicas=config.replicas,
        storage=config.storage,
        allow_msg_ttl=True,
        subject_delete_marker_ttl=config.limit_marker_ttl,
    )


async def adapt_bucket(
    context: JetStreamContext,
    stream: str,
    storage: StorageType,
    replicas: int,
    *,
    must_adapt: bool = False,
) -> None:
    """Adapt the bucket that is there, if it is not as it should be. Raises what `make_bucket` raises."""
    try:
        current: StreamConfig = (await context.stream_info(stream)).config
        if current.storage != storage:
            raise SettingsError(
                f"TIELINE_STORAGE: the stream {stream} is there with {current.storage} storage, and cannot "
                f"become {storage.value}; set TIELINE_STORAGE={current.storage}, or delete the stream"
            )
        serving = current.evolve(
            allow_direct=True, allow_msg_ttl=True, subject_delete_marker_ttl=MARKER_TTL_S
        )
        wanted = serving.evolve(num_replicas=replicas)
        if wanted == current:
            return
        await _update(context, wanted, may_wait=serving == current and not must_adapt)
    except (NatsError, TimeoutError) as error:
        raise StoreUnavailable(
            f"the stream {stream} cannot be adapted; an operator may, with `tieline streams`: {error}"
        ) from error


async def _update(context: JetStreamContext, wanted: StreamConfig, *, may_wait: bool) -> None:
    """Adapt a stream. With `may_wait` it serves as it is where nobody answers: it may not be permitted."""
    try:
        await context.update_stream(wanted)
    except APIError:
        raise
    except (NatsError, TimeoutError) as error:
        if not may_wait:
            raise
        _log.warning(NOT_ADAPTED, extra={"stream": wanted.name, "error": repr(error)})
