"""Keep users and pairs that this process has read or written, so that a signal is judged without a read.

A pair that is out of date does no harm: what is decided on it is written by compare-and-set. A user is kept
only while the bucket's changes are watched (`presence.user_watch`), and is then as old as the watch lags:
some milliseconds, as a replica may be that answers a read. What writes nothing is not decided by what is kept
here, nor is a refusal (`presence.changes`). That a record is not there is not remembered.

Nothing here is needed: what is forgotten is read. It is all forgotten with the connection to the broker, for
a broker that comes back empty counts its revisions anew.
"""

import math
import time
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from presence.rules.negotiated import Negotiation
from presence.rules.user import User
from presence.store import Dated, Record
from tieline.wire.partitions import FIRST, ONE, Partitions

MAX_RECORDS: Final = 65_536
"""Records of each kind: of as many users and pairs as signal within minutes. Those that nobody has asked for
longest go first."""

MAX_BYTES: Final = 64 * 1024 * 1024
"""What they take, of each kind, as `_size` estimates it."""

TIMES: Final = 4
"""A decoded record takes about three times what its encoded form does, which is kept, too."""

OVERHEAD: Final = 600
"""Bytes of a key and of what keeps it."""

MAX_RECENT: Final = 16_384
"""Changes of users that are remembered to have come, so that an older answer is recognized."""

SILENCE_S: Final = 2.0
"""After so long without a word the watch counts for nothing: one that lives says something four times as
often (`presence.user_watch`)."""

Decoded = User | Negotiation


class _Kept(NamedTuple):
    record: Record
    decoded: Decoded | None
    until: float = math.inf
    """When the bucket forgets it."""


class _Shelf:
    """Records by key, those asked for last behind; bounded."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._kept: dict[str, _Kept] = {}
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, key: str) -> bool:
        return key in self._kept

    def get(self, key: str) -> _Kept | None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._kept[key] = kept
        return kept

    def put(self, key: str, kept: _Kept) -> None:
        self.drop(key)
        self._kept[key] = kept
        self.bytes += _size(kept.record)
        while len(self._kept) > self._most or self.bytes > self._most_bytes:
            self.drop(next(iter(self._kept)))

    def drop(self, key: str) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self.bytes -= _size(kept.record)

    def clear(self) -> None:
        self._kept.clear()
        self.bytes = 0


def _size(record: Record) -> int:
    return TIMES * len(record.value) + OVERHEAD


class _Watched:
    """The users of one partition, as far as the watch of it tells of them."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self.users = _Shelf(most, most_bytes)
        self.recent: dict[str, int] = {}
        """By user's key: the revision of the last change that has come."""
        self.floor = 0
        """Of changes up to this revision it is not known whether they have come."""
        self.is_watching = False
        self.heard_at = 0.0


class Memory:
    """What one process has read or written. There is a watch for each of the `partitions` of the bucket."""

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        most: int = MAX_RECORDS,
        most_bytes: int = MAX_BYTES,
        most_recent: int = MAX_RECENT,
        partitions: Partitions = ONE,
    ) -> None:
        self._monotonic = monotonic
        self._pairs = _Shelf(most, most_bytes)
        self._partitions = partitions
        number = partitions.number
        self._watched = [_Watched(most // number, most_bytes // number) for _ in partitions]
        self._most_recent = most_recent

    def __len__(self) -> int:
        return len(self._pairs) + sum(len(watched.users) for watched in self._watched)

    @property
    def bytes(self) -> int:
        """What all of it takes, as it is estimated."""
        return self._pairs.bytes + sum(watched.users.bytes for watched in self._watched)

    # Pairs.

    def pair(self, key: str) -> Record | None:
        """Return a pair's record; None: it is not known."""
        kept = self._pairs.get(key)
        return None if kept is None or self._monotonic() >= kept.until else kept.record

    def keep_pair(
        self, key: str, record: Record, decoded: Negotiation | None = None, for_s: float = math.inf
    ) -> None:
        """Keep a pair as it was read, or written; the bucket forgets it after `for_s` seconds."""
        self._pairs.put(key, _Kept(record, decoded, self._monotonic() + for_s))

    def forget_pair(self, key: str) -> None:
        """Forget a pair that is known to be another one now."""
        self._pairs.drop(key)

    # Users.

    @property
    def knows_users(self) -> bool:
        """Whether users that are kept, of any partition, are up to date, as far as the watches lag."""
        return all(map(self.knows_users_of, self._partitions))

    def knows_users_of(self, at: int) -> bool:
        """Whether users that are kept of a partition are up to date, as far as the watch lags."""
        watched = self._watched[at]
        return watched.is_watching and self._monotonic() - watched.heard_at < SILENCE_S

    def _of(self, key: str) -> _Watched:
        at = self._partitions.of_key(key)
        assert at is not None  # that is for patterns
        return self._watched[at]

    def users(self, keys: Iterable[str]) -> dict[str, Record] | None:
        """Return the records of all these users; None: they are not all known."""
        keys = tuple(keys)
        found = self.known_users(keys)
        return found if len(found) == len(keys) else None

    def known_users(self, keys: Iterable[str]) -> dict[str, Record]:
        """Return the records of those of these users who are known."""
        found: dict[str, Record] = {}
        for key in keys:
            at = self._partitions.of_key(key)
            if at is not None and self.knows_users_of(at):
                kept = self._watched[at].users.get(key)
                if kept is not None:
                    found[key] = kept.record
        return found

    def keep_user(self, key: str, record: Record, as_of: int) -> None:
        """Keep a user as it was at a revision of its partition, unless it may have changed since."""
        watched = self._of(key)
        if watched.is_watching and watched.floor <= as_of and watched.recent.get(key, 0) <= as_of:
            watched.users.put(key, _Kept(record, None))

    def keep_users(self, dated: Dated, keys: Iterable[str]) -> None:
        """Keep the users that were read; see `keep_user`."""
        for key in keys:
            record = dated.found.get(key)
            if record is not None:
                self.keep_user(key, record, dated.as_of(key))

    def decoded_pair(self, key: str, record: Record) -> Decoded | None:
        """Return what this very record of a pair says, if that is known."""
        kept = self._pairs.get(key)
        return kept.decoded if kept is not None and kept.record is record else None

    def decoded_user(self, key: str, record: Record, decode: Callable[[], User | None]) -> Decoded | None:
        """Return what a user's record says: if this very one is kept, it is decoded once."""
        users = self._of(key).users
        kept = users.get(key)
        if kept is None or kept.record is not record:
            return decode()
        if kept.decoded is None:
            kept = kept._replace(decoded=decode())
            users.put(key, kept)
        return kept.decoded

    # The watches.

    def prepare_watch(self, at: int = FIRST) -> None:
        """Take note of what comes from now on: a watch is about to begin."""
        self.end_watch(at)
        self._watched[at].recent.clear()
        self._watched[at].floor = 0

    def begin_watch(self, as_of: int, at: int = FIRST) -> None:
        """Keep users from now on: of each change after this revision the watch tells."""
        watched = self._watched[at]
        watched.floor = max(watched.floor, as_of)
        watched.is_watching = True
        self.heard(at)

    def heard(self, at: int = FIRST) -> None:
        """Note that the watch is alive, and has told all."""
        self._watched[at].heard_at = self._monotonic()

    def changed(self, key: str, record: Record, at: int = FIRST) -> None:
        """Note the change of a user that the watch tells of. They come in the order of their revisions."""
        self.heard(at)
        watched = self._watched[at]
        watched.recent.pop(key, None)
        watched.recent[key] = record.revision
        if len(watched.recent) > self._most_recent:
            oldest = next(iter(watched.recent))
            watched.floor = max(watched.floor, watched.recent.pop(oldest))
        kept = watched.users.get(key)
        if kept is not None and kept.record.revision < record.revision:
            watched.users.put(key, _Kept(record, None))

    def end_watch(self, at: int = FIRST) -> None:
        """Know no users of a partition any more: nobody tells of their changes."""
        self._watched[at].is_watching = False
        self._watched[at].users.clear()

    def forget_all(self) -> None:
        """Know nothing any more."""
        for at in self._partitions:
            self.end_watch(at)
        self._pairs.clear()
