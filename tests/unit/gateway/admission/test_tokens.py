import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given
from hypothesis import strategies as st

from gateway.admission.keys import read_key_set
from gateway.admission.tokens import (
    CLOCK_SKEW_S,
    LONGEST_TOKEN,
    MOST_KEYS_TRIED,
    BadToken,
    Claims,
    Tokens,
    TooManyRooms,
)
from tests.unit.gateway.admission.issuer import ED, another, key_set, stranger
from tests.unit.wire.samples import VALID_IDS
from tieline.wire.ids import RoomId

NOW = 1_700_000_000.0
SECRET, PREVIOUS, STRANGER = "new-" * 16, "old-" * 16, "odd-" * 16
TOKENS = Tokens(SECRET)

GOOD: dict[str, Any] = {"sub": "alice", "exp": NOW + 60}


def token(claims: object = None, secret: str = SECRET, **changes: Any) -> str:
    """Sign some claims, whatever they are; by default good ones with changes."""
    payload = json.dumps(GOOD | changes if claims is None else claims).encode()
    return jwt.PyJWS().encode(payload, secret, algorithm="HS256")


def unsigned(header: object, payload: object, signature: bytes = b"") -> str:
    """Put a token together by hand."""
    parts = (json.dumps(header).encode(), json.dumps(payload).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def is_bad(text: str, tokens: Tokens = TOKENS, now: float = NOW) -> bool:
    try:
        tokens.verify(text, now)
    except BadToken:
        return True
    return False


# What it says.


def test_a_token_says_who_connects_and_by_default_no_more_than_that() -> None:
    claims = TOKENS.verify(token(), NOW)

    assert claims == Claims("alice", NOW + 60, rooms=(), join=(), voice=True)
    assert claims.user == "alice"


def test_a_token_may_say_everything_and_what_nobody_knows_is_ignored() -> None:
    said: dict[str, Any] = {
        "rooms": ["hall", "用户 一"],
        "join": ["cellar"],
        "voice": False,
        "nbf": 1,
        "iat": 2,
        "iss": "us",
    }

    assert TOKENS.verify(token(GOOD | said), NOW) == Claims(
        "alice", NOW + 60, 1, 2, ("hall", "用户 一"), ("cellar",), voice=False
    )


def test_a_token_may_grant_every_room() -> None:
    claims = TOKENS.verify(token(rooms="*"), NOW)

    assert claims.rooms == "*"
    assert claims.may_join(RoomId("any"))


def test_a_room_is_granted_by_being_named_in_rooms_or_in_join() -> None:
    claims = TOKENS.verify(token(rooms=["hall"], join=["cellar"]), NOW)

    assert [claims.may_join(RoomId(room)) for room in ("hall", "cellar", "attic", "*", "")] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_a_list_that_names_a_star_grants_a_room_of_that_name_only() -> None:
    claims = TOKENS.verify(token(rooms=["*"]), NOW)

    assert claims.may_join(RoomId("*"))
    assert not claims.may_join(RoomId("hall"))


@given(VALID_IDS, st.lists(VALID_IDS, max_size=3))
def test_every_valid_id_may_connect_and_be_granted(user: str, rooms: list[str]) -> None:
    claims = TOKENS.verify(token(sub=user, rooms=rooms), NOW)

    assert (claims.sub, claims.rooms) == (user, tuple(rooms))


# Whether it is genuine.


def test_a_token_of_another_secret_is_bad() -> None:
    assert is_bad(token(secret=STRANGER))


def test_while_secrets_are_rotated_both_are_good_and_no_third() -> None:
    rotating = Tokens(SECRET, PREVIOUS)

    assert not is_bad(token(secret=SECRET), rotating)
    assert not is_bad(token(secret=PREVIOUS), rotating)
    assert is_bad(token(secret=STRANGER), rotating)
    assert is_bad(token(secret=PREVIOUS), TOKENS)


def test_without_a_previous_secret_an_empty_one_signs_nothing() -> None:
    head, payload, _ = token().split(".")
    signed_with_nothing = base64.urlsafe_b64encode(
        jwt.get_algorithm_by_name("HS256").sign(f"{head}.{payload}".encode(), b"")
    )

    assert is_bad(f"{head}.{payload}.{signed_with_nothing.decode().rstrip('=')}")


@pytest.mark.parametrize("part", range(3))
def test_a_token_that_was_changed_anywhere_is_bad(part: int) -> None:
    parts = token().split(".")
    for place in range(len(parts[part]) - 1):  # the last sign may hold bits that say nothing
        letter = parts[part][place]
        changed = parts[part][:place] + ("A" if letter != "A" else "B") + parts[part][place + 1 :]
        assert is_bad(".".join([*parts[:part], changed, *parts[part + 1 :]]))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", None, 5, "HS512", "RS256"])
def test_the_algorithm_is_never_taken_from_the_token(algorithm: object) -> None:
    assert is_bad(unsigned({"alg": algorithm, "typ": "JWT"}, GOOD))
    assert is_bad(unsigned({"typ": "JWT"}, GOOD))


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_another_algorithm_with_the_right_secret_is_bad(algorithm: str) -> None:
    assert is_bad(jwt.encode(GOOD, SECRET, algorithm=algorithm))


def test_a_public_key_algorithm_is_bad() -> None:
    assert is_bad(jwt.encode(GOOD, ed25519.Ed25519PrivateKey.generate(), algorithm="EdDSA"))


@pytest.mark.parametrize(
    "text", ["", ".", "..", "...", "a.b.c", "用户", "\ud800", " ", "e30.e30.", "bearer.x"], ids=ascii
)
def test_what_is_no_token_is_bad(text: str) -> None:
    assert is_bad(text)


def test_a_token_with_something_behind_it_or_missing_is_bad() -> None:
    for text in (token() + ".x", token() + "x", token()[:-5], " " + token(), token() + "\n"):
        assert is_bad(text)


def test_a_header_that_nests_too_deep_is_bad() -> None:
    nested = base64.urlsafe_b64encode(b"[" * 100_000).decode().rstrip("=")

    assert is_bad(f"{nested}.e30.e30")


# Whether it is usable.


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": None},
        {"sub": 5},
        {"sub": ""},
        {"sub": "x" * 129},
        {"sub": "界" * 43},
        {"sub": "a\nb"},
        {"sub": "\ud800"},
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": True},
        {"exp": 10**400},
        {"nbf": "now"},
        {"iat": None},
        {"voice": "yes"},
        {"voice": 1},
        {"voice": None},
        {"rooms": None},
        {"rooms": "hall"},
        {"rooms": {"hall": 1}},
        {"rooms": ["hall", 5]},
        {"rooms": [""]},
        {"rooms": ["a\x00b"]},
        {"rooms": ["x" * 129]},
        {"join": "*"},
        {"join": "hall"},
        {"join": [None]},
        {"join": ["\x7f"]},
    ],
    ids=str,
)
def test_a_claim_that_is_not_what_it_should_be_makes_the_token_bad(changes: dict[str, Any]) -> None:
    assert is_bad(token(GOOD | changes))


@pytest.mark.parametrize("claims", [{}, {"sub": "alice"}, {"exp": NOW + 60}, [], "alice", 5, [GOOD]], ids=str)
def test_claims_that_lack_what_they_must_have_make_the_token_bad(claims: object) -> None:
    assert is_bad(token(claims))


@pytest.mark.parametrize("payload", [b"", b"\xff", b'{"sub":"\xff","exp":9e9}', b"{", b"[" * 50_000])
def test_a_payload_that_is_not_json_makes_the_token_bad(payload: bytes) -> None:
    assert is_bad(jwt.PyJWS().encode(payload, SECRET, algorithm="HS256"))


# Whether it is valid now.


def test_the_end_is_taken_strictly() -> None:
    assert not is_bad(token(exp=NOW + 0.001))
    assert is_bad(token(exp=NOW))
    assert is_bad(token(exp=NOW - 1))
    assert is_bad(token(exp=-1e300))


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_the_issuer_s_clock_may_be_a_minute_ahead_and_no_more(claim: str) -> None:
    def since(moment: float) -> str:
        return token(GOOD | {claim: moment})

    assert not is_bad(since(NOW + CLOCK_SKEW_S))
    assert is_bad(since(NOW + CLOCK_SKEW_S + 0.01))
    assert not is_bad(since(-1))


# How much a token may be.


def test_a_token_that_is_too_long_is_bad_whoever_signed_it() -> None:
    text = jwt.encode({"sub": "alice", "exp": NOW + 60, "x": "y" * LONGEST_TOKEN}, SECRET, "HS256")
    with pytest.raises(BadToken, match="longer than 16384 bytes"):
        Tokens(SECRET).verify(text, NOW)


@pytest.mark.parametrize(
    ("rooms", "join", "allowed"),
    [(256, 0, True), (257, 0, False), (0, 257, False), (200, 57, False), (200, 56, True), ("*", 257, False)],
)
def test_a_token_names_so_many_rooms_and_no_more(rooms: int | str, join: int, allowed: bool) -> None:
    named = rooms if isinstance(rooms, str) else [f"room {number}" for number in range(rooms)]
    joined = [f"hall {number}" for number in range(join)]
    text = jwt.encode({"sub": "alice", "exp": NOW + 60, "rooms": named, "join": joined}, SECRET, "HS256")
    if allowed:
        Tokens(SECRET).verify(text, NOW)
        return
    with pytest.raises(TooManyRooms, match="and 256 are allowed"):
        Tokens(SECRET).verify(text, NOW)
    assert Tokens(SECRET, max_rooms=0).verify(text, NOW).user == "alice"


def test_a_room_that_is_granted_and_joined_counts_once() -> None:
    rooms = [f"room {number}" for number in range(256)]
    text = jwt.encode({"sub": "alice", "exp": NOW + 60, "rooms": rooms, "join": rooms}, SECRET, "HS256")
    assert Tokens(SECRET).verify(text, NOW).join == tuple(rooms)


def test_a_token_without_a_name_is_tried_with_a_few_keys_only() -> None:
    ours, others = another(ED, None), stranger(None)
    tokens = Tokens(fetches=True)
    tokens.fetched = read_key_set(key_set(*[others.jwk()] * MOST_KEYS_TRIED, ours.jwk()))
    assert is_bad(ours.token(), tokens)
    tokens.fetched = tokens.fetched[1:]
    assert not is_bad(ours.token(), tokens)
