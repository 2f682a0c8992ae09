"""Signed tokens with which a caller may come instead of a key: short-lived, and for a part of what there is.

A JWT (HS256) with `aud` `tieline-api`, so that no admission token is ever one; `exp`, `sub` (whose it is) and
`scope`, words with blanks between them as RFC 9068 has it.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final

import jwt

from api.callers import Caller
from tieline.api.scopes import unknown_scopes

AUDIENCE: Final = "tieline-api"

ALGORITHM: Final = "HS256"

LONGEST_LIFE_S: Final = 86_400
"""A day: what lives longer is a key, which can be taken back."""

LEEWAY_S: Final = 60
"""How far the clock of who signs may be ahead, as for admission tokens."""


class SignedTokens:
    """Reads tokens that are signed with one of some secrets."""

    def __init__(self, secrets: Sequence[str], clock: Callable[[], float] = time.time) -> None:
        self._secrets = [secret for secret in secrets if secret]
        self._clock = clock

    def read(self, token: str) -> Caller | None:
        """Return who comes with a token, or None if it is not good."""
        for secret in self._secrets:
            try:
                claims = jwt.decode(
                    token,
                    secret,
                    algorithms=[ALGORITHM],
                    audience=AUDIENCE,
                    leeway=LEEWAY_S,
                    options={"require": ["exp", "aud", "sub", "scope"], "verify_exp": False},
                )
            except jwt.InvalidTokenError:
                continue
            return self._caller(claims)
        return None

    def _caller(self, claims: dict[str, object]) -> Caller | None:
        end, name, words = claims["exp"], claims["sub"], claims["scope"]
        if not isinstance(end, int | float) or not isinstance(name, str) or not isinstance(words, str):
            return None
        now = self._clock()
        scopes = tuple(words.split())
        if not now < end <= now + LONGEST_LIFE_S or not name or unknown_scopes(scopes):
            return None
        return Caller(name, scopes, end)
