"""Read the admission token: a JWT whose claims name the user and what is granted.

The algorithm is ours to choose, never the token's. PyJWT checks the signature; the claims and their times
are checked here, for the protocol is strict where PyJWT is lenient and the other way round.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, cast

import jwt
import msgspec

from gateway.admission.keys import Key
from tieline.wire.ids import RoomId, UserId, is_valid_id

CLOCK_SKEW_S: Final = 60
"""How far ahead of this clock the issuer's may be (`nbf`, `iat`). `exp` is taken strictly."""

_SHARED: Final = "HS256"
_ALGORITHMS: Final = (_SHARED, "RS256", "ES256", "EdDSA")

RoomName = Annotated[str, msgspec.Meta(min_length=1)]


class BadToken(Exception):
    """The token is missing, forged, malformed or not valid now. The text is for our log, not for clients."""


class UnknownKey(BadToken):
    """The token names a key that is not known here, or none. Fetched anew, the keys may have it."""


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
        """The user that it admits."""
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
    """Verifies tokens with secrets (HS256) and with public keys (RS256, ES256, EdDSA)."""

    def __init__(
        self, secret: str = "", previous_secret: str = "", keys: Sequence[Key] = (), *, fetches: bool = False
    ) -> None:
        """Take the secret, the one before it while they are changed, and the public keys that stay.

        With `fetches` there are others, which `key_server` puts into `fetched`.
        """
        secrets = (Key(_SHARED, text.encode()) for text in (secret, previous_secret) if text)
        self._keys = (*secrets, *keys)
        self._fetches = fetches
        self.fetched: tuple[Key, ...] = ()
        self._jws = jwt.PyJWS(algorithms=_ALGORITHMS)

    @property
    def has_own_keys(self) -> bool:
        """Whether clients can be let in before keys are fetched."""
        return bool(self._keys)

    def verify(self, token: str, now: float) -> Claims:
        """Verify a token at `now` (Unix seconds).

        Raises:
            BadToken: it does not admit its user.
            UnknownKey: not with the keys that are known.
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
        kid = self._kid(token) if self._fetches else None  # the other keys have no names
        for key in (*self._keys, *self.fetched):
            if key.kid is not None and kid is not None and key.kid != kid:
                continue
            try:
                payload = self._jws.decode(token, cast("Any", key.key), algorithms=[key.algorithm])
            except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError):
                continue
            except (jwt.InvalidTokenError, UnicodeEncodeError) as error:
                raise BadToken("malformed") from error
            try:
                return _claims.decode(payload)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise BadToken("unusable claims") from error
        if self._fetches and (kid is None or all(key.kid != kid for key in self.fetched)):
            raise UnknownKey("of a key that is not known")
        raise BadToken("forged")

    def _kid(self, token: str) -> str | None:
        """Read which key a token says it is of. That may be anything, and only narrows the choice."""
        try:
            kid = self._jws.get_unverified_header(token).get("kid")
        except (jwt.InvalidTokenError, UnicodeEncodeError) as error:
            raise BadToken("malformed") from error
        return kid if isinstance(kid, str) else None
