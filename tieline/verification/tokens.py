"""Read the admission token: a JWT whose claims name the user and what is granted.

The algorithm is ours to choose, never the token's. `jws` checks the signature; the claims and their times are
checked here, for the protocol is strict where PyJWT is lenient and the other way round.
"""

from collections.abc import Sequence
from typing import Annotated, Final, Literal, NamedTuple

import msgspec

from tieline.verification.jws import Malformed, Signed, read_signed
from tieline.verification.keys import Key
from tieline.wire.ids import RoomId, UserId, is_valid_id
from tieline.wire.limits import LONGEST_TOKEN

MOST_KEYS_TRIED: Final = 4
"""Keys that one token is tried with in vain. A set that has more of one algorithm names them, and so do its
tokens."""

LONGEST_REASON: Final = 100
"""Characters of what is said of claims that are unusable: a value of the issuer's may be in it."""

MAX_ROOMS: Final = 256
"""That a token may name: each is checked, and goes to presence with every connect."""

CLOCK_SKEW_S: Final = 60
"""How far ahead of this clock the issuer's may be (`nbf`, `iat`). `exp` is taken strictly."""

FAR_AHEAD_S: Final = 10 * 365.25 * 86_400
"""An `exp` that lies so far ahead, or farther, is none that anybody meant: in milliseconds, today's date lies
50,000 years ahead."""

_SHARED: Final = "HS256"

RoomName = Annotated[str, msgspec.Meta(min_length=1)]


class BadToken(Exception):
    """The token is missing, forged, malformed or not valid now. The text is for our log, not for clients."""

    user = ""
    """Whose it is; empty: that is not known, because no key of ours has signed it."""


class TooManyRooms(BadToken):
    """The token is good, but names more rooms than one may."""


class NotForHere(BadToken):
    """The token is signed as it should be, but was made for something else."""


class LivesTooLong(BadToken):
    """The token is signed as it should be, but is good for longer than one may be."""


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


class Demands(NamedTuple):
    """What else a token has to be; an empty set: that is not looked at."""

    audiences: frozenset[str] = frozenset()
    """One of these is its `aud`, or in the list that is."""
    issuers: frozenset[str] = frozenset()
    """One of these is its `iss`."""
    types: frozenset[str] = frozenset()
    """One of these is the `typ` of its header, as `media_type` has it."""
    max_life_s: float = 0
    """From `iat`, or now, to `exp`; 0: any time."""


NO_DEMANDS: Final = Demands()


class _MadeFor(msgspec.Struct, frozen=True):
    """Claims of any type: whoever demands nothing of them lets in what others put there."""

    aud: object = None
    iss: object = None


_claims = msgspec.json.Decoder(Claims)
_made_for = msgspec.json.Decoder(_MadeFor)


def media_type(text: str) -> str:
    """Write the type of a token as it is compared: RFC 7515, section 4.1.9."""
    return text.lower().removeprefix("application/")


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
        demands: Demands = NO_DEMANDS,
        apart_s: float = 0.0,
    ) -> None:
        """Take the secret, the one before it while they are changed, and the public keys that stay.

        With `fetches` there are others, which `key_server` puts into `fetched`. `max_rooms` are those that
        a token may name, 0: any number. `apart_s` is how far this clock may be from that of others who verify
        the same tokens: by so much it is lenient.
        """
        self._apart_s = apart_s
        self._max_rooms = max_rooms
        self._demands = demands
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
            NotForHere, LivesTooLong, TooManyRooms: for that reason.
            UnknownKey: not with the keys that are known.
        """
        if len(token) > LONGEST_TOKEN:
            raise BadToken(f"longer than {LONGEST_TOKEN} bytes")
        signed = self._signed(token)
        claims = _claims_of(signed.payload)
        try:
            self._check(signed, claims, now)
        except BadToken as problem:
            problem.user = claims.sub if is_valid_id(claims.sub) else ""
            raise
        return claims

    def _check(self, signed: Signed, claims: Claims, now: float) -> None:
        """Look at what a token says that is signed by a key of ours."""
        if claims.exp + self._apart_s <= now:
            raise BadToken("expired")
        if max(claims.nbf, claims.iat) > now + CLOCK_SKEW_S + self._apart_s:
            raise BadToken("not valid yet")
        if self._demands is not NO_DEMANDS:
            self._check_purpose(signed)
        self._check_life(claims, now)
        if not is_valid_id(claims.sub):
            raise BadToken("unusable sub")
        named = len({*claims.rooms, *claims.join})
        if 0 < self._max_rooms < named:
            raise TooManyRooms(f"it names {named} rooms, and {self._max_rooms} are allowed")
        if not all(is_valid_id(room) for room in (*claims.rooms, *claims.join)):
            raise BadToken("unusable room")

    def _check_purpose(self, signed: Signed) -> None:
        """Refuse what somebody whom we trust has made for somebody else."""
        demands = self._demands
        try:
            made_for = _made_for.decode(signed.payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadToken("unusable claims") from error
        audiences = made_for.aud if isinstance(made_for.aud, list) else [made_for.aud]
        if demands.audiences and not any(_is_among(one, demands.audiences) for one in audiences):
            raise NotForHere("made for another audience (aud)")
        if demands.issuers and not _is_among(made_for.iss, demands.issuers):
            raise NotForHere("made by another issuer (iss)")
        if demands.types and media_type(signed.type) not in demands.types:
            raise NotForHere("of another type (typ)")

    def _check_life(self, claims: Claims, now: float) -> None:
        if claims.exp - now >= FAR_AHEAD_S + self._apart_s:
            raise LivesTooLong("exp is ten years ahead or more: is it in milliseconds? It counts seconds")
        if self._demands.max_life_s:
            begun = min(claims.iat, now) if claims.iat else now
            if claims.exp - begun > self._demands.max_life_s + CLOCK_SKEW_S + self._apart_s:
                raise LivesTooLong(f"it lives for longer than {self._demands.max_life_s:g} s")

    def _signed(self, token: str) -> Signed:
        """Take a token apart that is signed by a key of ours."""
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
                return signed
            tried += 1
            if tried == MOST_KEYS_TRIED:
                break
        if self._fetches and (kid is None or all(key.kid != kid for key in self.fetched)):
            raise UnknownKey("of a key that is not known")
        raise BadToken("forged")


def _claims_of(payload: bytes) -> Claims:
    try:
        return _claims.decode(payload)
    except msgspec.ValidationError as error:
        raise BadToken(f"unusable claims: {str(error)[:LONGEST_REASON]}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadToken("unusable claims") from error


def _is_among(value: object, allowed: frozenset[str]) -> bool:
    """Whether a claim of any type is one of these texts, exactly."""
    return isinstance(value, str) and value in allowed
