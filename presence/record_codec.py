"""Users, negotiations and roster entries as they are stored: encoded, and found among what was read.

When they are read and written, and for how long they are kept, is in `records`.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeVar

import msgspec

from presence.rules.negotiated import Negotiation
from presence.rules.room import StoredEntry
from presence.rules.user import RosterEntry, User
from presence.store import ABSENT, Record
from tieline.runtime.unreadable import UNREADABLE, Unreadable
from tieline.wire.ids import RoomId, UserId
from tieline.wire.subjects import Keys, identifier

encode: Final = msgspec.msgpack.Encoder().encode
"""Encode a record as it is stored; it changes by rule only (docs/decisions/0060)."""

_user = msgspec.msgpack.Decoder(User)
_negotiation = msgspec.msgpack.Decoder(Negotiation)
_entry = msgspec.msgpack.Decoder(RosterEntry)

_unreadable: Final = Unreadable(logging.getLogger(__name__))

ReadT = TypeVar("ReadT")


def _read(
    decode: Callable[[bytes], ReadT], found: Mapping[str, Record], key: str
) -> tuple[ReadT | None, int]:
    """Read a record. One that cannot be understood is none, and is replaced by its revision like any other.

    So what destroys a record harms whom it is about for as long as a new session takes, and not for good.
    """
    record = found.get(key, ABSENT)
    if not record.value:
        return None, record.revision
    try:
        return decode(record.value), record.revision
    except UNREADABLE as error:
        _unreadable.note("record", error)
        return None, record.revision


def user_in(found: Mapping[str, Record], key: str) -> tuple[User | None, int]:
    """Find a user's record and its revision among what was read."""
    return _read(_user.decode, found, key)


def user_alone(found: Mapping[str, Record], key: str) -> User | None:
    """Find a user's record among what was read."""
    return user_in(found, key)[0]


def users_in(found: Mapping[str, Record], users: Iterable[UserId]) -> dict[UserId, User]:
    """Find the records of several users among what was read; a user who has none is left out."""
    records = {user: user_in(found, Keys.user(user))[0] for user in users}
    return {user: record for user, record in records.items() if record is not None}


def negotiation_in(found: Mapping[str, Record], key: str) -> tuple[Negotiation | None, int]:
    """Find a negotiation and its revision among what was read."""
    return _read(_negotiation.decode, found, key)


def entry_in(found: Mapping[str, Record], key: str) -> tuple[RosterEntry | None, int]:
    """Find a roster entry and its revision among what was read."""
    return _read(_entry.decode, found, key)


def rosters_in(found: Mapping[str, Record], rooms: Iterable[RoomId]) -> dict[RoomId, list[StoredEntry]]:
    """Find the rosters of several rooms among what was read."""
    rosters: dict[str, list[StoredEntry]] = {}
    for key in found:
        prefix, _, user = key.rpartition(".")
        if not prefix.startswith("room."):
            continue
        entry, revision = entry_in(found, key)
        if entry is None:
            continue
        try:
            stored = StoredEntry(UserId(identifier(user)), entry, revision)
        except ValueError as error:
            _unreadable.note("record", error)
            continue
        rosters.setdefault(prefix, []).append(stored)
    return {room: rosters.get(Keys.roster(room).removesuffix(".*"), []) for room in rooms}
