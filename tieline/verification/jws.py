"""Take a token apart that is signed, and check its signature: JSON Web Signature in its compact form. Pure.

The cryptography is PyJWT's. Its own way to take a token apart looks at each character in Python, 1 ms for
a token of 16 KiB and each key, which a stranger could demand without end; here it is done once for all
keys, by C.
"""

import base64
import binascii
import re
from typing import Final, NamedTuple

import msgspec
from jwt.algorithms import get_default_algorithms

from tieline.verification.keys import Key

ALGORITHMS: Final = ("HS256", "RS256", "ES256", "EdDSA")
_VERIFIERS: Final = {name: get_default_algorithms()[name] for name in ALGORITHMS}

_SEGMENT: Final = re.compile(rb"[A-Za-z0-9_-]*")


class Malformed(Exception):
    """It is no signed token."""


class _Header(msgspec.Struct, frozen=True):
    alg: str
    kid: str | msgspec.UnsetType | None = msgspec.UNSET
    typ: object = ""
    crit: object = msgspec.UNSET
    b64: object = True


_header = msgspec.json.Decoder(_Header)


class Signed(NamedTuple):
    """A token in its parts; nothing of it is believed before `is_by` has said whose it is."""

    algorithm: str
    kid: str | None
    """What it calls its key. That may be anything, and only narrows the choice."""
    type: str
    """What it says that it is (`typ`); empty: nothing, or nothing that is a text."""
    payload: bytes
    message: bytes
    """What is signed: header and payload as they came."""
    signature: bytes

    def is_by(self, key: Key) -> bool:
        """Whether this key has signed it, by the key's algorithm; what the token says must agree."""
        if self.algorithm != key.algorithm:
            return False
        return bool(_VERIFIERS[key.algorithm].verify(self.message, key.key, self.signature))


def read_signed(token: str) -> Signed:
    """Take a token apart.

    Raises:
        Malformed: it cannot be.
    """
    try:
        head, payload, signature = token.encode("ascii").split(b".")
        header = _header.decode(_decoded(head))
    except (ValueError, msgspec.DecodeError, RecursionError) as problem:
        raise Malformed from problem
    if header.crit is not msgspec.UNSET or header.b64 is not True or header.kid is None:
        raise Malformed  # it demands extensions, none of which is spoken here
    kid = header.kid if isinstance(header.kid, str) else None
    typ = header.typ if isinstance(header.typ, str) else ""
    return Signed(header.alg, kid, typ, _decoded(payload), head + b"." + payload, _decoded(signature))


def _decoded(segment: bytes) -> bytes:
    """Decode strictly: what encodes to something else would give one token many spellings."""
    bare = segment.rstrip(b"=") if len(segment) % 4 == 0 else segment  # some issuers pad
    if not _SEGMENT.fullmatch(bare) or len(segment) - len(bare) > 2:
        raise Malformed
    try:
        decoded = base64.urlsafe_b64decode(bare + b"=" * (-len(bare) % 4))
    except binascii.Error:
        raise Malformed from None
    if base64.urlsafe_b64encode(decoded).rstrip(b"=") != bare:
        raise Malformed
    return decoded
