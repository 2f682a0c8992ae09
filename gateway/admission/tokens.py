"""Read the admission token: a JWT whose claims name the user and what is granted.

The algorithm is ours to choose, never the token's. `jws` checks the signature; the claims and their times are
checked here, for the protocol is strict where PyJWT is lenient and the other way round.
"""

from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec

from gateway.admission.jws import Malformed, read_signed
from gateway.admission.keys import Key
from tieline.wire.ids import RoomId, UserId, is_valid_id

LONGEST_TOKEN: Final = 16_384
"""Bytes of a token: what a request line or a header may have of it, with room for the rest. A longer one
is not even decoded: a stranger may send any number."""

MOST_KEYS_TRIED: Final = 4
"""Keys that one token is tried with in vain. A set that has more of one algorithm names them, and so do its
tokens."""

MAX_ROOMS: Final = 256
"""That a token may name: each is checked, and goes to presence with every connect."""

CLOCK_SKEW_S: Final = 60
"""How far ahead of this clock the issuer's may be (`nbf`, `iat`). `exp` is taken strictly."""

_SHARED: Final = "HS256"

RoomName = Annotated[str, msgspec.Meta(min_length=1)]


class BadToken(Exception):
    """The token is missing, forged, malformed or not valid now. The text is for our log, not for clients."""


class TooManyRooms(BadToken):
    """The token is good, but names more rooms than one may."""


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
        self,
        secret: str = "",
        previous_secret: str = "",
        keys: Sequence[Key] = (),
        *,
        fetches: bool = False,
        max_rooms: int = MAX_ROOMS,
    ) -> None:
        """Take the secret, the one before it while they are changed, and the public keys that stay.

        With `fetches` there are others, which `key_server` puts into `fetched`. `max_rooms` are those that
        a token may name, 0: any number.
        """
        self._max_rooms = max_rooms
        secrets = (Key(_SHARED, text.encode()) for text in (secret, previous_secret) if text)
        self._keys = (*secrets, *keys)
        self._fetches = fetches
        self.fetched: tuple[Key, ...] = ()

    @property
    def has_own_keys(self) -> bool:
        """Whether clients can be let in before keys are fetched."""
        return bool(self._keys)

    def verify(self, token: str, now: float) -> Claims:
        """Verify a token at `now` (Unix seconds).

        Raises:
            BadToken: it does not admit its user.
            TooManyRooms: for that reason.
            UnknownKey: not with the keys that are known.
        """
        if len(token) > LONGEST_TOKEN:
            raise BadToken(f"longer than {LONGEST_TOKEN} bytes")
        claims = self._read(token)
        if claims.exp <= now:
            raise BadToken("expired")
        if max(claims.nbf, claims.iat) > now + CLOCK_SKEW_S:
            raise BadToken("not valid yet")
        if not is_valid_id(claims.sub):
            raise BadToken("unusable sub")
        named = len({*claims.rooms, *claims.join})
        if 0 < self._max_rooms < named:
            raise TooManyRooms(f"it names {named} rooms, and {self._max_rooms} are allowed")
        if not all(is_valid_id(room) for room in (*claims.rooms, *claims.join)):
            raise BadToken("unusable room")
        return claims

    def _read(self, token: str) -> Claims:
        try:
            signed = read_signed(token)
        except Malformed as error:
            raise BadToken("malformed") from error
        kid = signed.kid if self._fetches else None  # the other keys have no names
        tried = 0
        for key in (*self._keys, *self.fetched):
            if key.algorithm != signed.algorithm or (None not in (key.kid, kid) and key.kid != kid):
                continue
            if signed.is_by(key):
                return self._claims(signed.payload)
            tried += 1
            if tried == MOST_KEYS_TRIED:
                break
        if self._fetches and (kid is None or all(key.kid != kid for key in self.fetched)):
            raise UnknownKey("of a key that is not known")
        raise BadToken("forged")

    def _claims(self, payload: bytes) -> Claims:
        try:
            return _claims.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadToken("unusable claims") from error
