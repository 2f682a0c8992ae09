"""Look at the secrets among a process's settings: which may be guessed, and which are probably not as meant.

A secret is never shown: what is said of it is its variable, and how long it is.
"""

import unicodedata
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from tieline.runtime.settings import PREFIX, ProcessSettings, SettingsError, is_secret, signs

SAFE_SECRET_BYTES: Final = 32
"""What HS256 asks for (RFC 7518, section 3.2): as many as its hash has. A shorter secret is warned of."""

LEAST_SECRET_BYTES: Final = 16
"""With fewer nothing starts: whoever holds a token finds a typed secret of that length within hours, and then
makes tokens for anybody. Between the two lengths a system may be running that has to go on."""

_OF_TOKENS: Final = ("jwt_secret", "jwt_secret_previous")
"""What a process may be told that does not look at tokens, and leaves alone."""

_FORMAT: Final = "Cf"
"""The characters of Unicode that change how others are shown, and are not shown themselves."""

TOO_SHORT: Final = "a secret is so short that it may be guessed"
BLANKS: Final = "a secret begins or ends with blanks: whoever else has it may have it without"
UNSEEN: Final = "a secret has characters that nobody sees: whoever else has it may have it without"
"""Such as the mark with which some editors begin a file."""


def sentences_about(variable: str, secret: str) -> list[str]:
    """Say to people what is odd about a secret that signs tokens, as the log of a service does."""
    said = []
    if secret != secret.strip():
        said.append(f"{variable} begins or ends with blanks: whoever else has it may have it without")
    if len(secret.strip().encode()) < SAFE_SECRET_BYTES:
        said.append(f"{variable} is so short that it may be guessed: give it {SAFE_SECRET_BYTES} bytes")
    return said


class Doubt(NamedTuple):
    """Something about a secret that is to be said in the log."""

    event: str
    fields: Mapping[str, object]


def doubts_about(settings: ProcessSettings) -> list[Doubt]:
    """Find what is odd about the secrets of a process that it uses.

    Raises:
        SettingsError: one that signs is no secret, and the settings do not say that it may be so.
    """
    found = []
    for field in msgspec.structs.fields(type(settings)):
        value = getattr(settings, field.name)
        if not is_secret(field.type) or not value:
            continue
        if field.name in _OF_TOKENS and not settings.looks_at_tokens:  # it is the gateways'
            continue
        variable = PREFIX + field.name.upper()
        size = len(value.strip().encode())
        if value != value.strip():
            found.append(Doubt(BLANKS, {"variable": variable}))
        if any(unicodedata.category(character) == _FORMAT for character in value):
            found.append(Doubt(UNSEEN, {"variable": variable}))
        if not signs(field.type) or size >= SAFE_SECRET_BYTES:
            continue
        if size < LEAST_SECRET_BYTES and not settings.allow_weak_secrets:
            raise SettingsError(
                f"{variable} has {size} bytes, which anybody can guess: give it {SAFE_SECRET_BYTES}"
                " (openssl rand -hex 32), or set TIELINE_ALLOW_WEAK_SECRETS=1 where that does not matter"
            )
        fields = {"variable": variable, "bytes": size, "bytes_at_least": SAFE_SECRET_BYTES}
        found.append(Doubt(TOO_SHORT, fields))
    return found
