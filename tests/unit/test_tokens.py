"""`tieline.tokens`: the claims it signs, and what it refuses to sign."""

import time
from typing import Any

import jwt
import pytest

from tieline.tokens import ANYBODY, DEFAULT_TTL_S, MadeFor, made_for, make_token

SECRET = "a secret that is long enough for HMAC-SHA256"


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, SECRET, algorithms=["HS256"])
    return claims


def test_a_token_names_its_user_and_rooms_and_when_it_ends() -> None:
    before = int(time.time())
    claims = claims_of(make_token(SECRET, "alice", ["demo", "other"]))
    issued = claims.pop("iat")
    assert isinstance(issued, int)
    assert before <= issued <= time.time()
    assert claims == {"sub": "alice", "exp": issued + DEFAULT_TTL_S, "rooms": ["demo", "other"]}


def test_the_lifetime_is_the_one_asked_for() -> None:
    claims = claims_of(make_token(SECRET, "alice", ["demo"], ttl_s=60))
    assert claims["exp"] == claims["iat"] + 60


def test_a_negative_lifetime_makes_an_expired_token() -> None:
    with pytest.raises(jwt.ExpiredSignatureError):
        claims_of(make_token(SECRET, "alice", ["demo"], ttl_s=-1))


@pytest.mark.parametrize(
    ("rooms", "claim"),
    [(["*"], "*"), (["*", "demo"], ["*", "demo"]), (["demo"], ["demo"]), ([], [])],
)
def test_only_a_lone_star_means_every_room(rooms: list[str], claim: object) -> None:
    assert claims_of(make_token(SECRET, "alice", rooms))["rooms"] == claim


def test_every_room_may_be_given_as_the_star_that_it_is() -> None:
    assert claims_of(make_token(SECRET, "alice", "*"))["rooms"] == "*"


def test_the_letters_of_a_room_are_no_rooms() -> None:
    with pytest.raises(TypeError, match=r"^rooms: a list of texts is wanted"):
        make_token(SECRET, "alice", "lobby")
    with pytest.raises(TypeError, match=r"^join: a list of texts is wanted"):
        make_token(SECRET, "alice", [], join="lobby")


def test_voice_is_named_only_when_it_is_denied() -> None:
    assert "voice" not in claims_of(make_token(SECRET, "alice", ["demo"]))
    assert claims_of(make_token(SECRET, "alice", ["demo"], voice=False))["voice"] is False


def test_rooms_to_join_at_connect_are_named_when_there_are_any() -> None:
    assert "join" not in claims_of(make_token(SECRET, "alice", ["demo"]))
    assert claims_of(make_token(SECRET, "alice", [], join=["demo"]))["join"] == ["demo"]


@pytest.mark.parametrize("user", ["用户 一", "*", ">", "a.b", "$JS.API.>", "u" * 128])
def test_any_id_of_the_protocol_may_be_a_user(user: str) -> None:
    assert claims_of(make_token(SECRET, user, ["demo"]))["sub"] == user


@pytest.mark.parametrize(
    "bad", ["", "u" * 129, "a\u202eb", "\u200b", " u", "二" * 43, "a\r\nb", "\x7f", "\udc80"]
)
def test_what_is_no_id_is_refused_wherever_it_stands(bad: str) -> None:
    with pytest.raises(ValueError, match="is no user id"):
        make_token(SECRET, bad, ["demo"])
    with pytest.raises(ValueError, match="is no room id"):
        make_token(SECRET, "alice", [bad])
    with pytest.raises(ValueError, match="is no room id"):
        make_token(SECRET, "alice", ["demo"], join=[bad])


def test_an_empty_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="secret is empty"):
        make_token("", "alice", ["demo"])


def test_a_token_says_whom_it_was_made_for_if_gateways_want_to_know() -> None:
    assert made_for({"TIELINE_JWT_AUDIENCE": ""}) == ANYBODY
    wanted = made_for(
        {"TIELINE_JWT_AUDIENCE": " calls, mail", "TIELINE_JWT_ISSUER": "us", "TIELINE_JWT_TYPE": "at+jwt"}
    )
    assert wanted == MadeFor("calls", "us", "at+jwt")
    token = make_token(SECRET, "alice", ["demo"], made_for=wanted)
    claims = jwt.decode(token, SECRET, algorithms=["HS256"], audience="calls")
    assert (claims["aud"], claims["iss"]) == ("calls", "us")
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "at+jwt"}
    assert jwt.get_unverified_header(make_token(SECRET, "alice", ["demo"]))["typ"] == "JWT"


@pytest.mark.parametrize(
    ("setting", "wanted_s", "life_s"), [("60", 3600, 60), ("60", 5, 5), ("0", 9, 9), ("", 9, 9), ("a", 9, 9)]
)
def test_no_token_is_made_that_its_own_gateways_refuse(setting: str, wanted_s: float, life_s: int) -> None:
    wanted = made_for({"TIELINE_TOKEN_MAX_LIFE": setting})
    token = make_token(SECRET, "alice", ["demo"], wanted_s, made_for=wanted)
    claims = jwt.decode(token, SECRET, algorithms=["HS256"])
    assert claims["exp"] - claims["iat"] == life_s
