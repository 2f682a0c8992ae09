"""Signed tokens in the place of a key."""

import jwt
import pytest

from api.callers import Caller
from api.signed_tokens import AUDIENCE, LONGEST_LIFE_S, SignedTokens

NOW = 1_800_000_000
SECRET, PREVIOUS = "the secret of tokens for callers, 1", "the secret of tokens for callers, 0"
GOOD = {"aud": AUDIENCE, "sub": "cron", "exp": NOW + 60, "scope": "rooms:read users:write"}


def read(claims: dict[str, object], secret: str = SECRET) -> Caller | None:
    tokens = SignedTokens((SECRET, PREVIOUS, ""), lambda: NOW)
    return tokens.read(jwt.encode(claims, secret, algorithm="HS256"))


@pytest.mark.parametrize("secret", [SECRET, PREVIOUS])
def test_a_token_of_either_secret_is_good(secret: str) -> None:
    assert read(GOOD, secret) == Caller("cron", ("rooms:read", "users:write"), NOW + 60)


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "tieline"},
        {"exp": NOW},
        {"exp": NOW + LONGEST_LIFE_S + 1},
        {"exp": "soon"},
        {"exp": 10**400},
        {"exp": float("nan")},
        {"sub": ""},
        {"scope": "rooms:reed"},
        {"scope": ["rooms:read"]},
    ],
)
def test_a_token_that_says_something_else_is_not(changed: dict[str, object]) -> None:
    assert read(GOOD | changed) is None


@pytest.mark.parametrize("claim", GOOD)
def test_a_token_that_lacks_a_claim_is_not(claim: str) -> None:
    assert read({name: value for name, value in GOOD.items() if name != claim}) is None


def test_a_token_of_another_secret_is_not() -> None:
    assert read(GOOD, "another secret, which is as long too") is None


def test_an_admission_token_is_none_even_with_the_same_secret() -> None:
    assert read({"sub": "alice", "exp": NOW + 60, "rooms": "*"}) is None


def test_without_a_secret_no_token_is_good() -> None:
    assert SignedTokens(("", ""), lambda: NOW).read(jwt.encode(GOOD, SECRET, algorithm="HS256")) is None
