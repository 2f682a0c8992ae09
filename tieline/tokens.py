"""Make the JWT that admits a user, for the command line, the load generator and tests.

An application's own backend makes these tokens in production. The gateway reads the claims in
`tieline.verification.tokens`.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import jwt

from tieline.wire.ids import ID_RULE, is_valid_id
from tieline.wire.several import several

SECRET_VARIABLE: Final = "TIELINE_JWT_SECRET"  # noqa: S105  # the name of the variable, not a secret
MAX_LIFE_VARIABLE: Final = "TIELINE_TOKEN_MAX_LIFE"
DEFAULT_TTL_S: Final = 3600.0
EVERY_ROOM: Final = "*"


class MadeFor(NamedTuple):
    """What gateways may demand of a token beside its signature; empty, or 0: the token does not care."""

    audience: str = ""
    issuer: str = ""
    type: str = ""
    max_life_s: float = 0
    """For how long a token may be good."""

    def life_s(self, wanted_s: float) -> int:
        """For how long a token is good that is wanted for so long, in whole seconds."""
        return int(min(wanted_s, self.max_life_s or wanted_s))

    @property
    def claims(self) -> dict[str, object]:
        """The claims that say so."""
        return {name: text for name, text in (("aud", self.audience), ("iss", self.issuer)) if text}

    @property
    def header(self) -> dict[str, object]:
        """The header that says so, beside what every token has."""
        return {"typ": self.type} if self.type else {}


ANYBODY: Final = MadeFor()


def made_for(environ: Mapping[str, str]) -> MadeFor:
    """Read what the gateways of the same environment demand: the first of each list."""
    audience, issuer, kind = (
        environ.get(f"TIELINE_JWT_{name}", "").split(",")[0].strip() for name in _DEMANDED
    )
    try:
        max_life_s = float(environ.get(MAX_LIFE_VARIABLE) or 0)
    except ValueError:  # a gateway says so, and does not start
        max_life_s = 0
    return MadeFor(audience, issuer, kind, max_life_s)


_DEMANDED: Final = ("AUDIENCE", "ISSUER", "TYPE")


def make_token(
    secret: str,
    user: str,
    rooms: Sequence[str],
    ttl_s: float = DEFAULT_TTL_S,
    voice: bool = True,
    join: Sequence[str] = (),
    made_for: MadeFor = ANYBODY,
) -> str:
    """Sign a token (HS256) for `user`, valid from now for `ttl_s` seconds; a negative `ttl_s`: expired.

    It is valid for a shorter time where gateways demand that (`made_for`).
    `rooms` may be joined by the user (only "*": all of them), `join` are joined at connect, both lists; and
    without `voice` the user may not send an offer.

    Raises:
        ValueError: the secret is empty, or an id is not valid (docs/protocol.md#2-envelope).
        TypeError: `rooms` or `join` is one text, and not "*".
    """
    rooms = [EVERY_ROOM] if rooms == EVERY_ROOM else several("rooms", rooms)
    join = several("join", join)
    if not secret:
        raise ValueError("the secret is empty")
    for kind, name in (("user", user), *(("room", room) for room in (*rooms, *join))):
        if not is_valid_id(name):
            raise ValueError(f"{name!a} is no {kind} id: {ID_RULE}")
    now = int(time.time())
    claims: dict[str, object] = {
        "sub": user,
        "iat": now,
        "exp": now + made_for.life_s(ttl_s),
        "rooms": EVERY_ROOM if list(rooms) == [EVERY_ROOM] else list(rooms),
        **made_for.claims,
    }
    if not voice:
        claims["voice"] = False
    if join:
        claims["join"] = list(join)
    return jwt.encode(claims, secret, algorithm="HS256", headers=made_for.header)
