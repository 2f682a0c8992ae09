"""Signatures of what is told to a backend, so that it knows that this comes from here, and when. Pure.

The headers and the signature are those of Standard Webhooks (https://www.standardwebhooks.com), for which
libraries exist in many languages: HMAC-SHA256 over `id.timestamp.body`. By several secrets there are several
signatures, one of which a receiver must know: so a secret is changed without a moment in between. Who signs
is `webhooks.sender`; a backend in Python reads what it is told with `tieline.api.deliveries`.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from typing import Final

from tieline.wire.several import several

PREFIX: Final = "whsec_"
"""What a secret begins with that is written in base64; any other counts as the text that it is."""

VERSION: Final = "v1"


def key_of(secret: str) -> bytes:
    """Return the bytes by which a secret signs."""
    if secret.startswith(PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
        except (binascii.Error, ValueError):
            pass
    return secret.encode()


def problem_of_secret(secret: str) -> str | None:
    """Say why receivers could not know what is signed by a secret; None: they can.

    Libraries refuse a secret that only looks like one in base64, and none of them takes its text for the key.
    """
    encoded = secret.removeprefix(PREFIX)
    if encoded == secret:
        return None
    try:
        key = base64.b64decode(encoded, validate=True)
    except ValueError:
        key = b""
    return None if key else f"behind {PREFIX} stands base64, and here is none"


def signature(secret: str, name: str, timestamp: int, body: bytes) -> str:
    """Sign one delivery by one secret."""
    signed = b"%b.%d.%b" % (name.encode(), timestamp, body)
    digest = hmac.new(key_of(secret), signed, hashlib.sha256).digest()
    return f"{VERSION},{base64.b64encode(digest).decode()}"


def headers_of(secrets: Iterable[str], name: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Make the headers of one delivery; the time is in Unix seconds."""
    return {
        "webhook-id": name,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(
            signature(secret, name, timestamp, body) for secret in several("secrets", secrets)
        ),
    }


def name_of(ids: Sequence[str]) -> str:
    """Name a delivery after the events that are in it: the very same again has the same name."""
    return f"msg_{hashlib.blake2b(' '.join(ids).encode(), digest_size=12).hexdigest()}"
