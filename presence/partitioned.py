"""The bucket in several partitions: a store as one bucket is, where each key is in that of its partition.

What is written and compared together is in one of them (`tieline.wire.partitions`), so revisions are compared
within one only. What is read of several is as new as each is. Where it must be as new as what was written
elsewhere before (`read_now`), each is read as its leader has it.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from presence.bucket import Bucket
from presence.side_by_side import side_by_side
from presence.store import NOTHING_KNOWN, Dated, Record
from tieline.wire.partitions import Partitions, unplaced

ResultT = TypeVar("ResultT")


class PartitionedBucket:
    """The store over the buckets of all partitions, in their order: a `ListedStore`."""

    def __init__(self, buckets: Sequence[Bucket], partitions: Partitions) -> None:
        self._buckets = buckets
        self._partitions = partitions

    def _by_part(self, keys: Sequence[str]) -> list[tuple[Bucket, tuple[str, ...]]]:
        """Divide keys and patterns: what a pattern matches may be in each of the buckets."""
        parts: list[list[str]] = [[] for _ in self._buckets]
        for key in keys:
            at = self._partitions.of_key(key)
            for part in parts if at is None else (parts[at],):
                part.append(_as_stored(key))
        return [(bucket, tuple(part)) for bucket, part in zip(self._buckets, parts, strict=True) if part]

    def _of(self, key: str) -> Bucket:
        at = self._partitions.of_key(key)
        assert at is not None, f"a pattern: {key!r}"
        return self._buckets[at]

    async def _of_each(
        self, keys: Sequence[str], ask: Callable[[Bucket, tuple[str, ...]], Awaitable[ResultT]]
    ) -> list[ResultT]:
        parts = self._by_part(keys)
        if len(parts) == 1:
            return [await ask(*parts[0])]
        return await side_by_side(*(ask(*part) for part in parts))

    async def read(
        self, *keys: str, confirmed: bool = False, known: Mapping[str, Record] = NOTHING_KNOWN
    ) -> dict[str, Record]:
        """See `Store.read`."""
        return _merged(
            await self._of_each(
                keys, lambda bucket, some: bucket.read(*some, confirmed=confirmed, known=known)
            )
        )

    async def read_now(self, *keys: str) -> dict[str, Record]:
        """See `Placed.read_now`."""
        return _merged(await self._of_each(keys, lambda bucket, some: bucket.read_now(*some)))

    async def read_dated(self, *keys: str) -> Dated:
        """See `DatedStore.read_dated`. Of several partitions it is said of each key how new that is."""
        parts = self._by_part(keys)
        if len(parts) == 1:
            ((bucket, some),) = parts
            return await bucket.read_dated(*some)
        answers = await side_by_side(*(bucket.read_dated(*some) for bucket, some in parts))
        each = {key: answer.up_to for (_, some), answer in zip(parts, answers, strict=True) for key in some}
        return Dated(_merged([answer.found for answer in answers]), 0, each)

    async def read_few(self, most: int, *keys: str) -> Dated | None:
        """See `ListedStore.read_few`. How new it is is said of one partition only."""
        answers = await self._of_each(keys, lambda bucket, some: bucket.read_few(most, *some))
        if len(answers) == 1:
            return answers[0]
        few = _few(most, [answer and answer.found for answer in answers])
        return None if few is None else Dated(few, 0)

    async def read_few_now(self, most: int, *keys: str) -> dict[str, Record] | None:
        """See `Placed.read_few_now`."""
        return _few(most, await self._of_each(keys, lambda bucket, some: bucket.read_few_now(most, *some)))

    async def keys(self, *patterns: str) -> list[str]:
        """See `ListedStore.keys`."""
        found = await self._of_each(patterns, lambda bucket, some: bucket.keys(*some)) if patterns else []
        return list(dict.fromkeys(key for keys in found for key in keys))

    async def write(
        self, key: str, value: bytes, revision: int, ttl_s: float | None = None, *, confirm: bool = True
    ) -> int:
        """See `Store.write`."""
        return await self._of(key).write(key, value, revision, ttl_s, confirm=confirm)

    async def put(self, key: str, value: bytes, ttl_s: float, *, leaves_marker: bool = True) -> int:
        """See `Store.put`."""
        return await self._of(key).put(key, value, ttl_s, leaves_marker=leaves_marker)

    async def delete(self, key: str, revision: int) -> None:
        """See `Store.delete`."""
        await self._of(key).delete(key, revision)

    async def count(self, pattern: str, revision: int) -> int | None:
        """Count the keys that a pattern of one partition matches. See `Bucket.count`."""
        return await self._of(pattern).count(pattern, revision)

    async def is_usable(self) -> bool:
        """Whether each bucket answers now."""
        return all([await bucket.is_usable() for bucket in self._buckets])

    async def has_room(self) -> bool:
        """Whether each bucket stores what it is given now."""
        return all([await bucket.has_room() for bucket in self._buckets])


def _as_stored(key: str) -> str:
    """Say what is stored under a key in its bucket; a pattern does not say there in which it is."""
    return unplaced(key) if "*" in key else key


def _merged(answers: Iterable[Mapping[str, Record]]) -> dict[str, Record]:
    return {key: record for found in answers for key, record in found.items()}


def _few(most: int, answers: Sequence[Mapping[str, Record] | None]) -> dict[str, Record] | None:
    """Put together what is not too much, each and in all."""
    few = [found for found in answers if found is not None]
    merged = _merged(few)
    return merged if len(few) == len(answers) and len(merged) <= most else None
