"""Read the public keys that verify tokens. Pure.

The algorithm follows from the key and from nothing else: what a token says about it is not believed, and
what a key set says must agree.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

SHORTEST_RSA_BITS: Final = 2048
"""Shorter keys are within reach of well-funded attackers (NIST SP 800-131A)."""

_PEM_BLOCK: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)


class UnusableKey(Exception):
    """What should be a key is none that tokens are verified with; the text says why."""


class Key(NamedTuple):
    """One key, with the only algorithm that it is good for."""

    algorithm: str
    key: bytes | RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey
    kid: str | None = None
    """What its tokens call it, if it has a name."""


def read_pem(text: str) -> tuple[Key, ...]:
    """Read public keys in PEM form, one or several.

    Raises:
        UnusableKey: there is none, or one that cannot be used.
    """
    blocks = list(_PEM_BLOCK.finditer(text.replace("\\n", "\n")))
    if not blocks:
        raise UnusableKey("it holds no -----BEGIN PUBLIC KEY-----")
    return tuple(_read_block(block) for block in blocks)


def _read_block(block: re.Match[str]) -> Key:
    if "PRIVATE" in block[1]:
        raise UnusableKey(
            "it holds a private key, which belongs to whoever makes the tokens; give the public one"
        )
    if "PUBLIC KEY" not in block[1]:
        raise UnusableKey(f"it holds a {block[1]}, not a PUBLIC KEY")
    try:
        return _key(load_pem_public_key(block[0].encode()), None)
    except (ValueError, UnsupportedAlgorithm) as problem:
        raise UnusableKey(f"it cannot be read: {problem}") from None


def _key(public: object, kid: str | None) -> Key:
    match public:
        case RSAPublicKey() if public.key_size < SHORTEST_RSA_BITS:
            raise UnusableKey(
                f"an RSA key of {public.key_size} bits is too short: {SHORTEST_RSA_BITS} at least"
            )
        case RSAPublicKey():
            return Key("RS256", public, kid)
        case EllipticCurvePublicKey() if isinstance(public.curve, SECP256R1):
            return Key("ES256", public, kid)
        case EllipticCurvePublicKey():
            raise UnusableKey(f"a key on the curve {public.curve.name} is none for ES256: P-256 is")
        case Ed25519PublicKey():
            return Key("EdDSA", public, kid)
        case _:
            raise UnusableKey(f"{type(public).__name__}: it is not for RS256, ES256 or EdDSA (Ed25519)")


class _Set(msgspec.Struct, frozen=True):
    keys: list[dict[str, Any]]


def read_key_set(document: bytes) -> tuple[Key, ...]:
    """Read a JSON Web Key Set (RFC 7517). Keys of it that are for something else are left out.

    Raises:
        UnusableKey: it is no key set, or no key of it can be used.
    """
    try:
        found = msgspec.json.decode(document, type=_Set).keys
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise UnusableKey(f"it is no JSON Web Key Set: {problem}") from None
    keys = tuple(key for entry in found if (key := _read_entry(entry)) is not None)
    if not keys:
        raise UnusableKey(f"none of its {len(found)} keys is for RS256, ES256 or EdDSA (Ed25519)")
    return keys


def _read_entry(entry: Mapping[str, Any]) -> Key | None:
    """Read one key of a set; None: it is for something else, or cannot be read. Secrets are never taken."""
    kid = entry.get("kid")
    try:
        is_for_signatures = entry.get("use", "sig") == "sig" and "verify" in entry.get("key_ops", ["verify"])
        if not is_for_signatures or not isinstance(kid, str | None):
            return None
        match entry.get("kty"):
            case "RSA":
                public: object = jwt.algorithms.RSAAlgorithm.from_jwk(dict(entry))
            case "EC":
                public = jwt.algorithms.ECAlgorithm.from_jwk(dict(entry))
            case "OKP":
                public = jwt.algorithms.OKPAlgorithm.from_jwk(dict(entry))
            case _:
                return None
        key = _key(public, kid)
    except Exception:  # a key server may send anything: this key is unusable, and the others are not
        return None
    return key if entry.get("alg", key.algorithm) == key.algorithm else None
