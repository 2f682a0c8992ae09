"""What presence needs for its records: to read several at once, and to change one by compare-and-set.

A timer that expires, and a record that is removed, leave a marker behind for a while: it reads as an empty
record with a revision, and may be written over with that revision like any other. `bucket` is the real store.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

MARKER_TTL_S: Final = 600.0
"""How long the marker of an expired timer waits for a presence process to be alive and see it."""

REMOVED_TTL_S: Final = 30.0
"""How long the marker of a removed record stays: longer than a replica lags behind the removal
(`presence.records`)."""

MAX_TRIES: Final = 50
"""Rounds of read, decide and compare-and-set before giving up: others have won all of them, which even two
users who trickle at full speed do not manage."""


class Conflict(Exception):
    """The record was changed since it was read: read it again and decide again."""


class StoreUnavailable(Exception):
    """The bucket did not answer; whether a write has happened is unknown."""


def lost_rounds(key: object) -> StoreUnavailable:
    """Make what is raised when others have won all rounds for a key."""
    return StoreUnavailable(f"lost {MAX_TRIES} rounds for {key}")


class Record(NamedTuple):
    """What a key holds: empty if nothing (any more), with the revision to replace it by."""

    value: bytes
    revision: int


ABSENT: Final = Record(b"", 0)

NOTHING_KNOWN: Final[Mapping[str, Record]] = MappingProxyType({})


class Dated(NamedTuple):
    """What was read, and how new it is."""

    found: Mapping[str, Record]
    up_to: int
    """Whatever was stored up to this revision is in it; 0: who answered does not say."""
    each: Mapping[str, int] = MappingProxyType({})
    """The same of each key, where they are in several partitions."""

    def as_of(self, key: str) -> int:
        """Return up to which revision the answer has everything that may be stored under a key."""
        return self.each.get(key, self.up_to)


class Store(Protocol):
    """Where presence keeps its records. Keys and patterns come from `tieline.wire.subjects.Keys`."""

    async def read(
        self, *keys: str, confirmed: bool = False, known: Mapping[str, Record] = NOTHING_KNOWN
    ) -> dict[str, Record]:
        """Read all keys, and all that patterns match; absent ones are left out.

        With `confirmed` (no patterns then) the answer is the leader's, else it may lag a moment behind. What
        is `known` already is not sent once more where it is still so.

        Raises:
            StoreUnavailable: no answer.
        """
        ...

    async def write(
        self, key: str, value: bytes, revision: int, ttl_s: float | None = None, *, confirm: bool = True
    ) -> int:
        """Replace the record of that revision (0: none yet), for `ttl_s` seconds or for good.

        What is written for a while leaves nothing behind.

        Returns the new revision. Without `confirm` the write is sent and not waited for: whether it was
        lost, or lost to another write, nobody learns, and 0 is returned.

        Raises:
            Conflict: the record has another revision.
            StoreUnavailable: no answer; it may have been written.
        """
        ...

    async def put(self, key: str, value: bytes, ttl_s: float, *, leaves_marker: bool = True) -> int:
        """Write without looking, for `ttl_s` seconds: how timers are set, and set again.

        At its end it leaves a marker, for whoever waits for that, or nothing.

        Raises:
            StoreUnavailable: no answer; it may have been written.
        """
        ...

    async def delete(self, key: str, revision: int) -> None:
        """Remove the record of that revision.

        Raises:
            Conflict: the record has another revision.
            StoreUnavailable: no answer; it may have been removed.
        """
        ...


async def read_one(store: Store, key: str) -> Record:
    """Read one key, by the leader's word. Raises what `Store.read` raises."""
    return (await store.read(key, confirmed=True)).get(key, ABSENT)


class DatedStore(Protocol):
    """A store that also says how new an answer is."""

    async def read_dated(self, *keys: str) -> Dated:
        """Read a few keys, as `Store.read` does, and up to which revision the answer has everything.

        Raises:
            StoreUnavailable: no answer.
        """
        ...


class CurrentStore(Protocol):
    """A store of several partitions, which is asked for what must be as new as what another one has."""

    async def read_now(self, *keys: str) -> dict[str, Record]:
        """Read all keys, and all that patterns match, as they are now, or later.

        Raises:
            StoreUnavailable: no answer.
        """
        ...

    async def read_few_now(self, most: int, *keys: str) -> dict[str, Record] | None:
        """Read as `read_now` does; None: they are more than so many.

        Raises:
            StoreUnavailable: no answer.
        """
        ...


class ListedStore(Store, DatedStore, Protocol):
    """A store that also says what it has, and how much."""

    async def read_few(self, most: int, *keys: str) -> Dated | None:
        """Read all keys, and all that patterns match, as `read` does; None: they are more than so many.

        Says also how new that is.

        Raises:
            StoreUnavailable: no answer.
        """
        ...

    async def keys(self, *patterns: str) -> list[str]:
        """List the keys that patterns match, by the leader's word; some may have been removed just now.

        It costs what the keys cost, and not what they hold.

        Raises:
            StoreUnavailable: no answer.
        """
        ...
