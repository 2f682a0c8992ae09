import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.verification.issuer import ED, another, key_set, stranger
from tests.unit.wire.samples import VALID_IDS
from tieline.verification.keys import read_key_set
from tieline.verification.tokens import (
    CLOCK_SKEW_S,
    FAR_AHEAD_S,
    MOST_KEYS_TRIED,
    BadToken,
    Claims,
    Demands,
    LivesTooLong,
    NotForHere,
    Tokens,
    TooManyRooms,
)
from tieline.wire.ids import RoomId
from tieline.wire.limits import LONGEST_TOKEN

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
        {"rooms": ["a\u202eb"]},
        {"sub": "a\u200bb"},
        {"sub": "alice "},
        {"rooms": ["x" * 129]},
        {"join": "*"},
        {"join": "hall"},
        {"join": [None]},
        {"join": ["\x7f"]},
        {"join": ["a\u2028b"]},
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


# For whom it was made.

SERVICES = frozenset(("calls", "https://calls.example/api"))


def made(typ: object = "JWT", **claims: Any) -> str:
    """Sign good claims and others, with a type in the header."""
    header = {"alg": "HS256"} if typ is None else {"alg": "HS256", "typ": typ}
    return jwt.PyJWS().encode(json.dumps(GOOD | claims).encode(), SECRET, headers=header)


def why(text: str, demands: Demands) -> str:
    """Say why a token is refused; empty: it is not."""
    try:
        Tokens(SECRET, demands=demands).verify(text, NOW)
    except NotForHere as problem:
        return str(problem)
    return ""


@pytest.mark.parametrize(
    ("aud", "is_let_in"),
    [
        ("calls", True),
        ("https://calls.example/api", True),
        (["mail", "calls"], True),
        (["calls"], True),
        ("mail", False),
        ("Calls", False),
        ("calls ", False),
        ("call", False),
        ("calls,mail", False),
        ([], False),
        (["mail", 5, None, ["calls"]], False),
        (None, False),
        (5, False),
        ({"calls": 1}, False),
        ("", False),
    ],
    ids=str,
)
def test_one_of_the_audiences_is_named_exactly(aud: object, is_let_in: bool) -> None:
    assert (why(made(aud=aud), Demands(SERVICES)) == "") is is_let_in
    assert why(made(aud=aud), Demands()) == ""


@pytest.mark.parametrize(
    ("iss", "is_let_in"),
    [("calls", True), ("https://calls.example/api", True), ("https://calls.example/api/", False)]
    + [(odd, False) for odd in (["calls"], None, 5, "", "CALLS")],
    ids=str,
)
def test_one_of_the_issuers_is_named_exactly(iss: object, is_let_in: bool) -> None:
    assert (why(made(iss=iss), Demands(issuers=SERVICES)) == "") is is_let_in
    assert why(made(iss=iss), Demands()) == ""


def test_audience_and_issuer_that_are_not_named_at_all_are_refused() -> None:
    assert "(aud)" in why(made(), Demands(SERVICES))
    assert "(iss)" in why(made(), Demands(issuers=SERVICES))


@pytest.mark.parametrize(
    ("typ", "is_let_in"),
    [("at+jwt", True), ("AT+JWT", True), ("application/at+jwt", True), ("Application/AT+jwt", True)]
    + [(odd, False) for odd in ("JWT", "", "application/application/at+jwt", None, 5, ["at+jwt"], "jwt+at")],
    ids=str,
)
def test_the_type_is_compared_as_media_types_are(typ: object, is_let_in: bool) -> None:
    assert ("(typ)" not in why(made(typ), Demands(types=frozenset(("at+jwt",))))) is is_let_in
    assert why(made(typ), Demands()) == ""


def test_all_demands_count_together() -> None:
    demands = Demands(SERVICES, frozenset(("us",)), frozenset(("jwt",)))
    assert why(made(aud="calls", iss="us"), demands) == ""
    for claims in ({"aud": "calls", "iss": "them"}, {"aud": "mail", "iss": "us"}):
        assert why(made(**claims), demands)


def test_what_a_stranger_made_for_somebody_else_is_just_bad() -> None:
    forged = jwt.encode(GOOD | {"aud": "mail"}, STRANGER, "HS256")
    with pytest.raises(BadToken, match="forged") as found:
        Tokens(SECRET, demands=Demands(SERVICES)).verify(forged, NOW)
    assert not isinstance(found.value, NotForHere)


def test_an_audience_that_nests_too_deep_is_bad() -> None:
    payload = b'{"sub":"alice","exp":%d,"aud":%s}' % (int(NOW) + 60, b"[" * 5_000 + b"]" * 5_000)
    text = jwt.PyJWS().encode(payload, SECRET, "HS256")
    assert is_bad(text, Tokens(SECRET, demands=Demands(SERVICES)))


@pytest.mark.parametrize("aud", [b'"\xff"', b'"\\ud800"'])
def test_an_audience_that_is_no_text_is_bad(aud: bytes) -> None:
    payload = b'{"sub":"alice","exp":%d,"aud":%s}' % (int(NOW) + 60, aud)
    text = jwt.PyJWS().encode(payload, SECRET, "HS256")
    assert is_bad(text, Tokens(SECRET, demands=Demands(SERVICES)))


# How long it lives.


def test_an_end_ten_years_ahead_is_refused_and_said_to_be_that() -> None:
    for end in (NOW + FAR_AHEAD_S, NOW * 1000 + 60_000, 9e15):
        with pytest.raises(LivesTooLong, match="milliseconds"):
            TOKENS.verify(token(exp=end), NOW)
    assert not is_bad(token(exp=NOW + FAR_AHEAD_S - 1))


@pytest.mark.parametrize(
    ("iat", "exp", "is_let_in"),
    [
        (0, 3600, True),
        (-1800, 1800, True),
        (-3600, 60, True),
        (-3600 - CLOCK_SKEW_S, 1, False),
        (-86_400, 60, False),
        (None, 3600, True),
        (None, 3600 + CLOCK_SKEW_S, True),
        (None, 3601 + CLOCK_SKEW_S, False),
        (CLOCK_SKEW_S, 3600 + CLOCK_SKEW_S, True),
        (CLOCK_SKEW_S, 3601 + CLOCK_SKEW_S, False),
    ],
)
def test_a_token_lives_no_longer_than_it_may(iat: float | None, exp: float, is_let_in: bool) -> None:
    claims = {"exp": NOW + exp} | ({} if iat is None else {"iat": NOW + iat})
    strict = Tokens(SECRET, demands=Demands(max_life_s=3600))
    if is_let_in:
        strict.verify(token(GOOD | claims), NOW)
    else:
        with pytest.raises(LivesTooLong, match="longer than 3600 s"):
            strict.verify(token(GOOD | claims), NOW)
    assert not is_bad(token(GOOD | claims))


@pytest.mark.parametrize(
    ("text", "user"),
    [
        (token(exp=NOW), "alice"),
        (token(exp=NOW + FAR_AHEAD_S), "alice"),
        (token(nbf=NOW + CLOCK_SKEW_S + 1), "alice"),
        (token(rooms=[" "]), "alice"),
        (token(sub="a\u202eb"), ""),
        (token(secret=STRANGER, exp=NOW), ""),
        ("x.y.z", ""),
    ],
)
def test_a_refusal_names_the_user_of_a_token_of_ours_alone(text: str, user: str) -> None:
    with pytest.raises(BadToken) as refused:
        TOKENS.verify(text, NOW)
    assert refused.value.user == user


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"sub": "alice"}, "Object missing required field `exp`"),
        (GOOD | {"exp": "soon"}, "Expected `float`, got `str` - at `$.exp`"),
        (GOOD | {"rooms": "x" * 200}, f"Invalid enum value '{'x' * 80}"),  # no further
    ],
)
def test_the_claim_that_is_unusable_is_named(claims: object, why: str) -> None:
    with pytest.raises(BadToken) as refused:
        TOKENS.verify(token(claims), NOW)
    assert str(refused.value) == f"unusable claims: {why}"
