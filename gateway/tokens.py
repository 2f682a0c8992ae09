"""Read the admission token: a JWT whose claims say who connects and what he may.

The algorithm is ours to choose, never the token's. PyJWT checks the signature; the claims and their times
are checked here, for the protocol is strict where PyJWT is lenient and the other way round.
"""

from typing import Annotated, Final, Literal

import jwt
import msgspec

from tieline.wire.ids import RoomId, UserId, is_valid_id

CLOCK_SKEW_S: Final = 60
"""How far ahead of this clock the issuer's may be (`nbf`, `iat`). `exp` is taken strictly."""

_ALGORITHM: Final = "HS256"

RoomName = Annotated[str, msgspec.Meta(min_length=1)]


class BadToken(Exception):
    """The token is missing, forged, malformed or not valid now. The text is for our log, not for clients."""


class Claims(msgspec.Struct, frozen=True):
    """What a token says; times in Unix seconds."""

    sub: str
    exp: float
    nbf: float = 0
    iat: float = 0
    rooms: tuple[RoomName, ...] | Literal["*"] = ()
    join: tuple[RoomName, ...] = ()
    voice: bool = True

    @property
    def user(self) -> UserId:
        """Who connects."""
        return UserId(self.sub)

    @property
    def expires_at_ms(self) -> int:
        """When it ends, in Unix milliseconds."""
        return int(self.exp * 1000)

    @property
    def granted(self) -> tuple[RoomId, ...] | None:
        """Every room that it grants; None: all."""
        return None if self.rooms == "*" else tuple(RoomId(room) for room in (*self.rooms, *self.join))

    def may_join(self, room: RoomId) -> bool:
        """Whether the token grants this room; being named in `join` is a grant, too."""
        return self.rooms == "*" or room in self.rooms or room in self.join


_claims = msgspec.json.Decoder(Claims)


class Tokens:
    """Verifies tokens with a shared secret, and with the previous one while secrets are rotated."""

    def __init__(self, secret: str, previous_secret: str = "") -> None:
        self._secrets = [secret.encode(), *([previous_secret.encode()] if previous_secret else [])]
        self._jws = jwt.PyJWS(algorithms=[_ALGORITHM])

    def verify(self, token: str, now: float) -> Claims:
        """Verify a token at `now` (Unix seconds).

        Raises:
            BadToken: it admits nobody.
        """
        claims = self._read(token)
        if claims.exp <= now:
            raise BadToken("expired")
        if max(claims.nbf, claims.iat) > now + CLOCK_SKEW_S:
            raise BadToken("not valid yet")
        if not is_valid_id(claims.sub):
            raise BadToken("unusable sub")
        if not all(is_valid_id(room) for room in (*claims.rooms, *claims.join)):
            raise BadToken("unusable room")
        return claims

    def _read(self, token: str) -> Claims:
        for secret in self._secrets:
            try:
                payload = self._jws.decode(token, secret, algorithms=[_ALGORITHM])
            except jwt.InvalidSignatureError:
                continue
            except (jwt.InvalidTokenError, UnicodeEncodeError) as error:
                raise BadToken("malformed") from error
            try:
                return _claims.decode(payload)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise BadToken("unusable claims") from error
        raise BadToken("forged")
