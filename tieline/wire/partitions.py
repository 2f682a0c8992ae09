"""Which partition of the mailbox, and of the bucket, something belongs to. Pure.

Both may lie in several streams, each with a leader of its own (`TIELINE_PARTITIONS`). A partition is a world
of its own: it has all that is about some users, so that what is written or compared together is in one
stream, whose sequence orders it (docs/decisions/0107-users-live-in-partitions.md). Hashed is the token of a
subject or key (`subjects.token`), by CRC-32: every process, of any version, must come to the same.
"""

import functools
import zlib
from collections.abc import Callable, Iterator
from typing import Final

from tieline.wire.ids import SessionId

FIRST: Final = 0
"""The partition of what is about no user, pair or room; the only one, where there is one."""

_AT: Final = "/"
"""No token has it: behind it stands the partition of a key that there is once in each of them."""


class Partitions:
    """So many partitions, numbered from 0."""

    __slots__ = ("_of_key", "number")

    def __init__(self, number: int = 1) -> None:
        self.number = number
        self._of_key = functools.lru_cache(maxsize=65_536)(self._find)

    def of(self, token: str) -> int:
        """Find the partition of a user, by its token."""
        return zlib.crc32(token.encode()) % self.number if self.number > 1 else FIRST

    def of_key(self, key: str) -> int | None:
        """Find the partition of a key of the bucket; None: what this pattern matches may be in any.

        Leases, and patterns of sessions, there are in each: these say in which (`placed`). A user's record,
        session and timer go by the user, which the names of sessions are made for (`session_for`); a
        negotiation, what it holds and its timer by the pair; a roster, and that it is being
        closed, by its room.
        """
        return self._of_key(key) if self.number > 1 else FIRST

    def _find(self, key: str) -> int | None:
        head, is_placed, at = key.partition(_AT)
        if is_placed:
            return int(at)
        kind, *tokens = head.removeprefix("timer.").split(".")
        if kind in ("pair", "held", "offer"):
            named = tokens[:2]
        elif kind == "session" and (tokens[0] == "*" or "*" not in tokens):
            named = tokens[1:2]
        elif kind in ("user", "away", "standing", "wake", "room", "given", "closing", "close"):
            named = tokens[:1]
        else:
            return FIRST
        if any("*" in token or ">" in token for token in named):
            return None
        return self.of(".".join(sorted(named)))

    def session_for(self, user: str, make: Callable[[], str]) -> SessionId:
        """Make the name of a session for a user, given by its token: one that lies in the user's partition.

        So it is found by its own name with all else that is about the user.
        """
        at, name = self.of(user), make()
        while self.of(name) != at:
            name = make()
        return SessionId(name)

    def part_of(self, name: str, at: int) -> str:
        """Name one partition of what has this name: as today, where there is one."""
        return name if self.number == 1 else f"{name}-{at}-of-{self.number}"

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.number))


ONE: Final = Partitions()
"""No partitions."""


def placed(key: str, at: int) -> str:
    """Name the key, or the pattern, in one partition, of what there is in each of them."""
    return f"{key}{_AT}{at}" if at else key


def unplaced(key: str) -> str:
    """Name a key or a pattern without its partition."""
    return key.partition(_AT)[0]


def number_in(stream: str) -> int:
    """Read of how many partitions a stream is one, by its name; 1: of no others."""
    head, is_part, number = stream.rpartition("-of-")
    at = head.rpartition("-")[2]
    return int(number) if is_part and number.isdecimal() and at.isdecimal() else 1


def other_number(wanted: int, there: str) -> str:
    """Say that what is stored is of another number of partitions: one of its streams has this name."""
    found = f"in {number_in(there)} ({there})" if there else "in another number"
    return (
        f"TIELINE_PARTITIONS is {wanted}, but what the broker stores is {found}: all processes need the"
        " number that is there; `tieline streams` changes it once nothing is stored"
        " (docs/operations.md#partitions)"
    )
