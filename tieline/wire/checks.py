"""Say whether a message of another process can be meant, beyond what its types say. Pure.

msgspec sees to the types. Here are the ids that no subject, log or screen could misread, numbers that can be
computed with, and sizes. What is checked follows from the types of a message's fields, so that a field that
is added is checked, too.
"""

import math
import operator
from collections.abc import Callable, Mapping
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

import msgspec

from tieline.wire.ids import (
    AdmissionToken,
    CallId,
    ConnectionId,
    GatewayId,
    RoomId,
    SessionId,
    UserId,
    is_own_id,
    is_valid_name,
)
from tieline.wire.limits import LONGEST_TOKEN

UNREADABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError)
"""What reading the bytes of another process may raise: a UnicodeDecodeError is a ValueError."""

MAX_BYTES: Final = 65_536
"""The longest frame, and far more than a secret or a digest has."""

MAX_TEXT: Final = 1_024
"""The longest text that is no id: a reason, a command, the name of a run."""

MAX_INT: Final = 1 << 53
"""The largest number: all JSON parsers agree on it, and no time, count or revision comes near."""

Check = Callable[[Any], bool]


def _is_number(value: int) -> bool:
    return -MAX_INT <= value <= MAX_INT


def _is_bytes(value: bytes) -> bool:
    return len(value) <= MAX_BYTES


def _is_text(value: str) -> bool:
    return len(value) <= MAX_TEXT


def _is_call(value: str) -> bool:
    """Say whether a call may be called so, or none is named; clients may name what no call has as its id."""
    return not value or is_valid_name(value)


def _is_token(value: str) -> bool:
    """Say whether a token may be looked at; whether it is good is not the business of who reads it."""
    return len(value) <= LONGEST_TOKEN


_CHECKS: Final[Mapping[object, Check]] = {
    UserId: is_valid_name,
    RoomId: is_valid_name,
    SessionId: is_own_id,
    CallId: _is_call,
    ConnectionId: is_own_id,
    GatewayId: is_own_id,
    AdmissionToken: _is_token,
    float: math.isfinite,
    int: _is_number,
    bytes: _is_bytes,
    str: _is_text,
}


class Checker:
    """Checks messages of one type: a struct, a union of structs, or a collection of those.

    `whole` are further checks by class, made before the fields are looked at.
    """

    def __init__(self, kind: object, whole: Mapping[type, Check] | None = None) -> None:
        self._whole = whole or {}
        self._structs: dict[type, Check] = {}
        self._check = self._of(kind) or _anything

    def is_good(self, message: object) -> bool:
        """Whether every id, number and size in a message can be meant."""
        return self._check(message)

    def _of(self, kind: object) -> Check | None:
        """Make the check of a type; None: whatever it holds is good."""
        if kind in _CHECKS:
            return _CHECKS[kind]
        if hasattr(kind, "__supertype__"):  # a NewType without a check of its own
            return self._of(kind.__supertype__)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return self._of_struct(kind)
        origin, inner = get_origin(kind), get_args(kind)
        if origin in (Union, UnionType):
            return self._of_union(inner)
        if origin is tuple and inner[-1] is not Ellipsis:
            return _each_of([self._of(part) for part in inner])
        if origin in (tuple, list):
            return _all_of(self._of(inner[0]))
        if origin is dict:
            return _items_of(self._of(inner[0]), self._of(inner[1]))
        return None

    def _of_struct(self, kind: type[msgspec.Struct]) -> Check:
        if kind not in self._structs:
            self._structs[kind] = bool  # until it is made: a message may hold others of its own kind
            hints = get_type_hints(kind)
            found: dict[str, Check] = {}
            for field in msgspec.structs.fields(kind):
                if (check := self._of(hints[field.name])) is not None:
                    found[field.name] = check if field.required else _or_default(field.default, check)
            self._structs[kind] = _struct_of(found, self._whole.get(kind))
        return lambda value: self._structs[kind](value)

    def _of_union(self, parts: tuple[object, ...]) -> Check | None:
        checks = {part: self._of(part) for part in parts if part is not NoneType}
        by_type = {
            getattr(part, "__supertype__", get_origin(part) or part): check for part, check in checks.items()
        }

        def check_one(value: object) -> bool:
            check = by_type.get(type(value))
            return check is None or check(value)

        return check_one if any(checks.values()) else None


def _or_default(default: object, check: Check) -> Check:
    """Check a field, unless it has its default: what an older process sends, which knows no such field."""
    return lambda value: value == default or check(value)


def _anything(_: object) -> bool:
    return True


def _struct_of(fields: Mapping[str, Check], whole: Check | None) -> Check:
    """Check some fields of a struct: every message passes here, so all are fetched in one go."""
    if not fields:
        return whole or _anything
    get = operator.attrgetter(*fields, next(iter(fields)))  # one more, so that it is a tuple
    checks = (*fields.values(), _anything)

    def check_struct(value: object) -> bool:
        if whole is not None and not whole(value):
            return False
        for check, part in zip(checks, get(value), strict=True):  # noqa: SIM110  # a generator takes twice as long
            if not check(part):
                return False
        return True

    return check_struct


def _all_of(check: Check | None) -> Check | None:
    return None if check is None else lambda values: all(map(check, values))


def _each_of(checks: list[Check | None]) -> Check | None:
    pairs = [(place, check) for place, check in enumerate(checks) if check is not None]
    return (lambda values: all(check(values[place]) for place, check in pairs)) if pairs else None


def _items_of(of_key: Check | None, of_value: Check | None) -> Check | None:
    keys, values = of_key or _anything, of_value or _anything
    return lambda items: all(map(keys, items)) and all(map(values, items.values()))
