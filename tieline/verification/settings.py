"""What a process is told of the tokens that it verifies: by what keys, and what else they have to be.

Gateways and presence take the same variables, so that what one of them lets in the other does, too.
"""

import logging
from pathlib import Path

from tieline.runtime.settings import NotNegative, ProcessSettings, SettingsError, SigningSecret
from tieline.verification.key_server import is_safe, is_url
from tieline.verification.keys import Key, UnusableKey, read_pem
from tieline.verification.tokens import NO_DEMANDS, Demands, Tokens, media_type

_log = logging.getLogger(__name__)


class TokenSettings(ProcessSettings, frozen=True, kw_only=True):
    """The variables about tokens; docs/configuration.md lists them."""

    jwt_secret: SigningSecret = ""
    jwt_secret_previous: SigningSecret = ""
    jwt_public_key: str = ""
    """In PEM form, or the path of a file in that form."""
    jwks_url: str = ""
    jwks_http: bool = False
    """Fetch keys also without TLS from another machine, although whoever is on the way can put in its own."""
    jwt_audience: str = ""
    """What tokens must name in `aud`: one of several, with commas between them; empty: anything."""
    jwt_issuer: str = ""
    """The same for `iss`."""
    jwt_type: str = ""
    """The same for `typ` in the header."""
    token_max_life: NotNegative = 0
    """Of a token, in seconds; 0: any."""


def names_keys(settings: TokenSettings) -> bool:
    """Whether a process is told by what tokens are verified."""
    return bool(settings.jwt_secret or settings.jwt_public_key or settings.jwks_url)


def read_tokens(settings: TokenSettings, max_rooms: int, apart_s: float = 0.0) -> Tokens:
    """Read what tokens are verified with; see `Tokens`.

    Raises:
        SettingsError: something that is named cannot be used.
    """
    demands = demands_of(settings)
    if settings.jwks_url:
        _check_key_server(settings, demands)
    keys: tuple[Key, ...] = ()
    if settings.jwt_public_key:
        try:
            keys = read_pem(_pem_of(settings.jwt_public_key))
        except OSError as problem:
            raise SettingsError(
                f"TIELINE_JWT_PUBLIC_KEY: neither a key in PEM form nor the path of one: {problem}"
            ) from None
        except (ValueError, UnusableKey) as problem:
            raise SettingsError(f"TIELINE_JWT_PUBLIC_KEY: {problem}") from None
    return Tokens(
        settings.jwt_secret,
        settings.jwt_secret_previous,
        keys,
        fetches=bool(settings.jwks_url),
        max_rooms=max_rooms,
        demands=demands,
        apart_s=apart_s,
    )


def demands_of(settings: TokenSettings) -> Demands:
    """Read what else a token has to be.

    Raises:
        SettingsError: one of the lists holds nothing but commas and blanks, and would demand nothing.
    """
    found = Demands(
        _listed("TIELINE_JWT_AUDIENCE", settings.jwt_audience),
        _listed("TIELINE_JWT_ISSUER", settings.jwt_issuer),
        frozenset(map(media_type, _listed("TIELINE_JWT_TYPE", settings.jwt_type))),
        settings.token_max_life,
    )
    return NO_DEMANDS if found == NO_DEMANDS else found


def _listed(variable: str, text: str) -> frozenset[str]:
    words = frozenset(word for part in text.split(",") if (word := part.strip()))
    if text and not words:
        raise SettingsError(f"{variable}: {text!r} names nothing, so that whatever a token says would do")
    return words


def _check_key_server(settings: TokenSettings, demands: Demands) -> None:
    url = settings.jwks_url
    if not is_url(url):
        raise SettingsError(f"TIELINE_JWKS_URL: {url!r} is no http:// or https:// URL")
    if not is_safe(url):
        if not settings.jwks_http:
            raise SettingsError(
                f"TIELINE_JWKS_URL: {url!r} is fetched without TLS, so that whoever is on the way can put in"
                " keys of its own, and let in anybody: name an https:// URL, or set TIELINE_JWKS_HTTP=1"
            )
        _log.warning("keys are fetched without TLS (TIELINE_JWKS_HTTP)", extra={"url": url})
    if not demands.audiences:
        _log.warning(
            "tokens of this issuer are let in whatever they were made for (TIELINE_JWT_AUDIENCE)",
            extra={"url": url},
        )


def _pem_of(value: str) -> str:
    return value if "-----BEGIN" in value else Path(value).read_text()
