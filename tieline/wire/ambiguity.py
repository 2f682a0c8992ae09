"""Find names of a frame that two of its readers would read differently. Pure.

JSON leaves open what a name means that stands twice: most readers take the last one, some the first. And some
ignore case: Go's encoding/json gives a field `from` what stands under `From`. So a frame is refused in which
a name of the envelope, or of a `data` that the server reads, stands twice, or in which one is a name of the
protocol but for its case. What lies deeper is not looked at.

A client's library writes its names once, in one order: such a frame is recognized by what stands between its
`requestId` and its content, which is the same for every message of one kind to one user. Of any other the
names are counted by their colons, without a loop over them, and only if there are not thousands.
"""

import functools
import re
from collections.abc import Iterable, Mapping, Set
from typing import Final

import msgspec

from tieline.wire.ids import is_valid_id

MAX_NAMES: Final = 256
"""The most names of an envelope, or of a `data` that is read: more would keep other clients waiting."""

MAX_COLONS: Final = 4_096
"""The most colons beside what is never looked at: before names are read it is not known which of those belong
to one, and a frame of thousands would take longer than all else that is done with it. More than there are in
any text of 64 KiB, such as a session description."""

_QUOTE: Final = ord('"')
_TEXT: Final = rb'"[^"\\]*"'
_BETWEEN_ID_AND_DATA: Final = (
    rb'", ?"module": ?"ROOM", ?"cmd": ?"[A-Z_]*", ?(?:"code": ?[0-9]*, ?)?(?:"msg": ?%b, ?)?"data": ?' % _TEXT
)
_BEGIN: Final = b'{"requestId":"'
_BEGIN_AT: Final = len(_BEGIN)
_BEGIN_WITH_BLANK: Final = b'{"requestId": "'
_FROM_AND_TO: Final = rb'\{"from": ?(%b), ?"to": ?(%b), ?' % (_TEXT, _TEXT)
_OTHER: Final = re.compile(_BETWEEN_ID_AND_DATA)
_SIGNAL: Final = re.compile(
    rb'%b%b(?:"call": ?%b, ?)?"data": ?' % (_BETWEEN_ID_AND_DATA, _FROM_AND_TO, _TEXT)
)
_BEFORE_CALL: Final = re.compile(rb'%b%b"data": ?' % (_BETWEEN_ID_AND_DATA, _FROM_AND_TO))
"""What stands between the `requestId` of a message and its content: of one of whose `data` nothing is read,
of a signal, and of a signal that names its call behind its content."""

_ABOUT_ROOM: Final = re.compile(rb'%b\{"room": ?%b\}\}' % (_BETWEEN_ID_AND_DATA, _TEXT))
"""What stands behind the `requestId` of a message that says nothing but a room."""

_LONGEST_BETWEEN: Final = 1_024
"""More than what stands there, with two users and a call. Each that was seen is kept for a while, and longer
ones a client may send in any number, of 64 KiB."""

_CALL: Final = re.compile(rb', ?"call": ?%b\}\}\Z' % _TEXT)
_LONGEST_CALL: Final = 160
"""More than what names a call at the end of a frame, whose id has no more than 128 bytes."""


def _folded(name: str) -> str:
    """Write a name so that two are the same which any reader takes for one that differs in case alone.

    Go folds U+017F with `s` and U+212A with `k`; Java takes U+0130 and U+0131 for an `i`.
    """
    return name.upper().casefold().replace("\u0307", "")


def _by_folded(*names: str) -> Mapping[str, str]:
    return {_folded(name): name for name in names}


ENVELOPE: Final = _by_folded("requestId", "module", "cmd", "code", "msg", "data", "ack", "reason")
"""The names of an envelope."""

DATA: Final = _by_folded("from", "to", "data", "call", "room", "userId", "after", "limit", "token", "inCall")
"""The names of a `data` that the server reads."""

SERVERS_OWN: Final = frozenset(map(_folded, ("place",)))
"""Names that only the server puts into an envelope, beside what it relays."""

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])

_APART: Final = "\uffff"
"""Stands between names that are looked at together; one that holds it may be taken for several."""

_LONGEST: Final = 2 * max(map(len, (*ENVELOPE, *DATA, *SERVERS_OWN)))
"""Of a name that some reader takes for one of the protocol: twice as long as the longest of those, since a
letter may be written as two. Longer ones need not be folded, which takes a while."""


def is_usual_signal(frame: bytes, request_id: str, content: int) -> bool:
    """Whether a readable signal is written as clients do, so that nothing in it is ambiguous.

    Then those whom it names have valid names, too. A decoder has found its `requestId`, and how long the
    `data` of `data` is, the last that is there. Behind that are two braces, or the call before them. Here it
    is taken for what stands before those: its name is the last one before, and stands nowhere else, so that
    it is what the decoder has found.
    """
    begin, end = _end_of_id(frame, request_id), len(frame) - 2
    if not begin:
        return False
    are_usual = _are_usual_in_signal
    if frame[end - 1] == _QUOTE and (call := _CALL.search(frame, max(0, end - _LONGEST_CALL))) is not None:
        end, are_usual = call.start(), _are_usual_before_call
    between = frame[begin : end - content]
    return len(between) <= _LONGEST_BETWEEN and are_usual(between)


def is_usual(frame: bytes, request_id: str, content: int) -> bool:
    """Whether a readable message is so of whose `data` nothing is read; `content` is its length."""
    begin = _end_of_id(frame, request_id)
    between = frame[begin : len(frame) - 1 - content]
    return begin > 0 and len(between) <= _LONGEST_BETWEEN and _are_usual(between)


def is_usual_about_room(frame: bytes, request_id: str) -> bool:
    """Whether a readable message is so that names a room, and nothing else."""
    begin = _end_of_id(frame, request_id)
    return 0 < begin >= len(frame) - _LONGEST_BETWEEN and _ABOUT_ROOM.fullmatch(frame, begin) is not None


def _end_of_id(frame: bytes, request_id: str) -> int:
    """Say where the `requestId` ends with which a readable frame begins; 0: it begins otherwise.

    One that has escapes, or letters of several bytes, ends later. What stands here is then a part of it, in
    which each quote is escaped, and so nothing that is usual.
    """
    if frame[:_BEGIN_AT] == _BEGIN:
        return _BEGIN_AT + len(request_id)
    if frame.startswith(_BEGIN_WITH_BLANK):
        return _BEGIN_AT + 1 + len(request_id)
    return 0


# What is said of each is kept for a while: it is the same for every message of one kind to one user.


@functools.lru_cache(maxsize=16_384)
def _are_usual(between: bytes) -> bool:
    return _OTHER.fullmatch(between) is not None


@functools.lru_cache(maxsize=16_384)
def _are_usual_in_signal(between: bytes) -> bool:
    return _have_valid_names(_SIGNAL.fullmatch(between))


@functools.lru_cache(maxsize=16_384)
def _are_usual_before_call(between: bytes) -> bool:
    return _have_valid_names(_BEFORE_CALL.fullmatch(between))


def _have_valid_names(found: re.Match[bytes] | None) -> bool:
    return found is not None and all(is_valid_id(name[1:-1].decode()) for name in found.groups())


def has_ambiguous_names(frame: bytes | bytearray, *, reads_data: bool, unread: bytes = b"") -> bool:
    """Whether a name of the envelope, or with `reads_data` of `data`, is ambiguous in a readable frame.

    `unread` is the part of it that is never looked at. A frame of too many names counts as ambiguous.
    """
    if frame.count(b":") - unread.count(b":") > MAX_COLONS:
        return True
    try:
        members = _members.decode(frame)
        if _are_ambiguous(frame, members, ENVELOPE, SERVERS_OWN):
            return True
        if not reads_data:
            return False
        data = members["data"]
        return _are_ambiguous(bytes(data), _members.decode(data), DATA, frozenset())
    except (msgspec.DecodeError, RecursionError):  # a name that is none
        return True


def _are_ambiguous(
    written: bytes | bytearray,
    members: Mapping[str, msgspec.Raw],
    known: Mapping[str, str],
    forbidden: Set[str],
) -> bool:
    """Whether an object that was read as these members has more of them, or misspells a name."""
    if len(members) > MAX_NAMES or _has_more_than(written, members):
        return True
    others = members.keys() - known.values()
    return bool(others) and not _folded_apart(others).isdisjoint(known.keys() | forbidden)


def _has_more_than(written: bytes | bytearray, members: Mapping[str, msgspec.Raw]) -> bool:
    """Whether a decoder has overwritten a member by another one of its name.

    Beside the values stands a colon for each member, also for one that was overwritten, and those within
    names, which may be escaped.
    """
    values, names = b"".join(members.values()), "".join(members)
    between = written.count(b":") - values.count(b":")
    if ":" in names:
        between += _escaped_colons(written) - _escaped_colons(values)
    return between != len(members) + names.count(":")


def _escaped_colons(text: bytes | bytearray) -> int:
    return text.count(rb"\u003a") + text.count(rb"\u003A")


def _folded_apart(names: Iterable[str]) -> Set[str]:
    short = [name for name in names if len(name) <= _LONGEST]
    return frozenset(_folded(_APART.join(short)).split(_APART))
