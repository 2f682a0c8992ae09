"""The tokens by which sessions are resumed: what they say, and what is stored of them. Pure.

A gateway makes their secret part (`gateway.sessions.arrivals`); presence compares hashes
(`presence.rules.session`).
"""

import hashlib
from typing import Final

from tieline.wire.ids import ResumeToken, SecretHash

MAX_HEX: Final = 13
"""Digits of a revision in a resume token, at most: no larger number is sent (`checks`)."""

_HEX: Final = frozenset("0123456789abcdef")


def secret_hash(secret: ResumeToken) -> SecretHash:
    """Hash a resume secret, which is random enough to need no salt and no slow hash."""
    return SecretHash(hashlib.sha256(secret.encode()).digest())


def resume_token(secret: str, asked: int) -> ResumeToken:
    """Make a resume token that says as of which revision its session was asked to begin; 0: it does not."""
    return ResumeToken(f"{secret}.{asked:x}" if asked else secret)


def asked_of(resume: ResumeToken) -> int:
    """Read as of which revision the session of a resume token was asked to begin; 0: it does not say."""
    _, _, said = resume.rpartition(".")
    is_number = "." in resume and 0 < len(said) <= MAX_HEX and all(digit in _HEX for digit in said)
    return int(said, 16) if is_number else 0
