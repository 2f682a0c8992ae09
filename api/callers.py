"""Who calls the API: keys that are kept as hashes, and what each may do. Pure.

A key is 32 random bytes, so a fast hash of it is as good as a slow one: nobody finds it by guessing. Several
are good at once, so that one can be changed without a pause. Signed tokens are in `api.signed_tokens`.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from tieline.api.scopes import EVERYTHING, SCOPES, unknown_scopes

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_BETWEEN: Final = re.compile(r"[,\s]+")


class BadEntry(ValueError):
    """An entry of the list of keys cannot be used; the text says which, and why."""


class Caller(NamedTuple):
    """Who asks."""

    name: str
    """As logs call it: the name of the key, or the `sub` of a token."""
    scopes: tuple[str, ...]
    until: float | None = None
    """When a token ends, in Unix seconds; None: a key does not."""


class Key(NamedTuple):
    """A key that is good, by its hash."""

    caller: Caller
    digest: str
    """SHA-256, in hexadecimal digits."""


Keys = Sequence[Key]


def digest(secret: str) -> str:
    """Hash a key as it is kept."""
    return hashlib.sha256(secret.encode()).hexdigest()


def entry(name: str, secret: str, scopes: Sequence[str] = (EVERYTHING,)) -> str:
    """Write the entry of a key."""
    return ":".join((name, digest(secret), "+".join(scope.replace(":", ".") for scope in scopes)))


def read_keys(text: str) -> Keys:
    """Read entries: `NAME:SHA256[:SCOPE+SCOPE...]`, a scope with a dot for its colon; without scopes: all.

    Raises:
        BadEntry: one of them cannot be used.
    """
    return [_read(each) for each in _BETWEEN.split(text) if each]


def _read(text: str) -> Key:
    name, _, rest = text.partition(":")
    hashed, _, words = rest.partition(":")
    if not _NAME.fullmatch(name):
        raise BadEntry("an entry has no name of letters, digits, `.`, `_` and `-` before its first colon")
    if not _HASH.fullmatch(hashed):
        raise BadEntry(
            f"the entry {name!r} has no SHA-256 of 64 hexadecimal digits (a key itself is not kept)"
        )
    scopes = tuple(word.replace(".", ":") for word in words.split("+")) if words else (EVERYTHING,)
    unknown = unknown_scopes(scopes)
    if unknown:
        known = ", ".join(scope.replace(":", ".") for scope in SCOPES)
        raise BadEntry(f"the entry {name!r} has a scope {unknown[0]!r}: there are {known}")
    return Key(Caller(name, scopes), hashed)


def find(keys: Keys, secret: str) -> Caller | None:
    """Find whose key this is; all are compared, so that the time says nothing of which."""
    hashed = digest(secret)
    found = [key.caller for key in keys if hmac.compare_digest(key.digest, hashed)]
    return found[0] if found else None
