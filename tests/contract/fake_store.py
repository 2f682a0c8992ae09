"""A store in memory that behaves as `presence.bucket.Bucket` does; `test_store` holds both to one contract.

Unlike the real one it can be told to be away (`is_away`), and every operation lets other tasks run first, as
a network would.
"""

import contextlib
import math
import types
from collections.abc import Callable, Generator, Mapping
from typing import Final, NamedTuple

from presence.store import (
    MARKER_TTL_S,
    NOTHING_KNOWN,
    REMOVED_TTL_S,
    Conflict,
    Dated,
    Record,
    StoreUnavailable,
)
from tieline.wire.partitions import FIRST, ONE, Partitions, unplaced

Seconds = float


class _Stored(NamedTuple):
    record: Record
    expires_at: Seconds
    """`math.inf`: never."""
    is_marker: bool
    leaves_marker: bool = False


_APART: Final = 1_000
"""Between the revisions with which partitions begin: those of two say nothing of each other."""


class Revisions:
    """Numbers what is stored, in each partition by itself; in the first from 1."""

    def __init__(self, partitions: Partitions = ONE) -> None:
        self._partitions = partitions
        self._last = [at * _APART for at in partitions]

    def last(self, at: int = FIRST) -> int:
        """Return the last one of a partition."""
        return self._last[at]

    def next(self, key: str) -> int:
        """Return the next one."""
        at = self._partitions.of_key(key)
        assert at is not None, f"a pattern: {key!r}"
        self._last[at] += 1
        return self._last[at]


class FakeStore:
    """See `presence.store.Store`, and where there are `partitions`, `CurrentStore`. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], Seconds], partitions: Partitions = ONE) -> None:
        self.partitions = partitions
        self._clock = clock
        self._stored: dict[str, _Stored] = {}
        self._revisions = Revisions(partitions)
        self.watchers: list[Callable[[str, Record], None]] = []
        """Who is told of each record that is stored, in that order."""
        self.is_away = False

    async def read(
        self, *keys: str, confirmed: bool = False, known: Mapping[str, Record] = NOTHING_KNOWN
    ) -> dict[str, Record]:
        """See `Store.read`. There is one copy of everything, so every read is confirmed."""
        del known
        assert not (confirmed and any("*" in key or ">" in key for key in keys)), "no patterns then"
        await self._reach(keys)
        self._expire()
        return {
            name: stored.record
            for name, stored in self._stored.items()
            if any(self._covers(key, name) for key in keys)
        }

    def _covers(self, pattern: str, name: str) -> bool:
        """Whether a pattern, or a key, covers a key; what is placed in a partition covers none of others."""
        if not matches(name, pattern) and not matches(name, unplaced(pattern)):
            return False
        at = None if pattern == ">" else self.partitions.of_key(pattern)
        return at is None or self.partitions.of_key(name) == at

    async def read_dated(self, *keys: str) -> Dated:
        """See `DatedStore.read_dated`."""
        found = await self.read(*keys)
        if self.partitions == ONE:
            return Dated(found, self._revisions.last())
        places = {key: self.partitions.of_key(key) for key in keys}
        return Dated(
            found, 0, {key: self._revisions.last(at) for key, at in places.items() if at is not None}
        )

    async def read_now(self, *keys: str) -> dict[str, Record]:
        """See `CurrentStore.read_now`."""
        return await self.read(*keys)

    async def read_few_now(self, most: int, *keys: str) -> dict[str, Record] | None:
        """See `CurrentStore.read_few_now`."""
        few = await self.read_few(most, *keys)
        return None if few is None else dict(few.found)

    async def read_few(self, most: int, *keys: str) -> Dated | None:
        """See `ListedStore.read_few`."""
        dated = await self.read_dated(*keys)
        return dated if len(dated.found) <= most else None

    async def keys(self, *patterns: str) -> list[str]:
        """See `ListedStore.keys`."""
        if not patterns:
            return []
        await self._reach(patterns)
        self._expire()
        return [name for name in self._stored if any(self._covers(pattern, name) for pattern in patterns)]

    async def write(
        self, key: str, value: bytes, revision: int, ttl_s: float | None = None, *, confirm: bool = True
    ) -> int:
        """See `Store.write`. What nobody waits for is stored at once, or lost."""
        if not confirm:
            if self.is_away:
                return 0
            with contextlib.suppress(Conflict):
                self._compare(key, revision)
                self._written(key, value, math.inf if ttl_s is None else ttl_s)
            return 0
        await self._reach(key)
        self._compare(key, revision)
        return self._written(key, value, math.inf if ttl_s is None else ttl_s)

    async def put(self, key: str, value: bytes, ttl_s: float, *, leaves_marker: bool = True) -> int:
        """See `Store.put`."""
        await self._reach(key)
        self._expire()
        return self._written(key, value, ttl_s, leaves_marker=leaves_marker)

    async def delete(self, key: str, revision: int) -> None:
        """See `Store.delete`."""
        await self._reach(key)
        self._compare(key, revision)
        self._written(key, b"", REMOVED_TTL_S, is_marker=True)

    def contents(self) -> dict[str, bytes]:
        """Return what every key holds now."""
        self._expire()
        return {key: stored.record.value for key, stored in self._stored.items() if not stored.is_marker}

    def last_revision(self, at: int = FIRST) -> int:
        """Return the revision of what was stored last in a partition, whatever has become of it."""
        return self._revisions.last(at)

    def newest(self, at: int = FIRST) -> int:
        """Return the newest revision of what is stored in a partition; 0: nothing is."""
        there = (each.record for key, each in self._stored.items() if self.partitions.of_key(key) == at)
        return max((record.revision for record in there), default=0)

    def time_to_live(self, key: str) -> Seconds:
        """Return how long a key that is there has left; `math.inf`: it stays."""
        self._expire()
        return self._stored[key].expires_at - self._clock()

    async def _reach(self, what: object) -> None:
        await _others_first()
        if self.is_away:
            raise StoreUnavailable(what)

    def _compare(self, key: str, revision: int) -> None:
        self._expire()
        stored = self._stored.get(key)
        if revision != (stored.record.revision if stored else 0):
            raise Conflict(key)

    def _written(
        self,
        key: str,
        value: bytes,
        ttl_s: Seconds,
        *,
        is_marker: bool = False,
        leaves_marker: bool = False,
    ) -> int:
        """Note what a caller has written; the expiry of a key is not a caller's."""
        return self._store(key, value, ttl_s, is_marker=is_marker, leaves_marker=leaves_marker)

    def _store(
        self,
        key: str,
        value: bytes,
        ttl_s: Seconds,
        *,
        is_marker: bool = False,
        leaves_marker: bool = False,
    ) -> int:
        record = Record(value, self._revisions.next(key))
        lifetime = ttl_s if ttl_s == math.inf else max(1, math.ceil(ttl_s))  # NATS counts whole seconds
        self._stored[key] = _Stored(record, self._clock() + lifetime, is_marker, leaves_marker)
        for watcher in self.watchers:
            watcher(key, record)
        return record.revision

    def _expire(self) -> None:
        """Put a marker in the place of a timer that has expired, and let everything else go."""
        now = self._clock()
        for key, stored in list(self._stored.items()):
            if stored.expires_at > now:
                continue
            if stored.leaves_marker:
                self._store(key, b"", MARKER_TTL_S, is_marker=True)
            else:
                del self._stored[key]


def matches(key: str, pattern: str) -> bool:
    """Say whether a pattern of NATS covers a key: `*` is any one token, a last `>` any number of them."""
    wanted = pattern.split(".")
    have = key.split(".")
    if wanted[-1] == ">":
        wanted.pop()
        if len(have) <= len(wanted):
            return False
        have = have[: len(wanted)]
    return len(have) == len(wanted) and all(
        one in ("*", other) for one, other in zip(wanted, have, strict=True)
    )


@types.coroutine
def _others_first() -> Generator[None]:
    """Let every other task that can run do so once."""
    yield
