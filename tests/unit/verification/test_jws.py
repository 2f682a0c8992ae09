"""Signed tokens in their parts: those that are taken, and those that are not."""

import base64
import json

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.verification.issuer import ISSUERS, Issuer, key_set
from tieline.verification.jws import Malformed, read_signed
from tieline.verification.keys import Key, read_key_set

SECRET = "a secret that is long enough for HMAC-SHA256"
SHARED = Key("HS256", SECRET.encode())


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def token(header: object = None, payload: bytes = b"{}", signature: bytes = b"x") -> str:
    head = {"alg": "HS256"} if header is None else header
    return ".".join((encoded(json.dumps(head).encode()), encoded(payload), encoded(signature)))


def test_a_token_is_taken_apart() -> None:
    signed = read_signed(token({"alg": "HS256", "kid": "k", "typ": "JWT"}, b"payload", b"signature"))

    assert (signed.algorithm, signed.kid) == ("HS256", "k")
    assert (signed.payload, signed.signature) == (b"payload", b"signature")
    assert read_signed(token()).kid is None


def test_a_secret_s_own_signature_is_known() -> None:
    signed = read_signed(jwt.encode({"sub": "alice"}, SECRET, "HS256"))

    assert signed.is_by(SHARED)
    assert not signed.is_by(Key("HS256", SECRET.encode() + b"!"))


@pytest.mark.parametrize("issuer", ISSUERS, ids=lambda issuer: issuer.algorithm)
def test_a_key_s_own_signature_is_known(issuer: Issuer) -> None:
    signed = read_signed(issuer.token())
    (key,) = read_key_set(key_set(issuer.jwk()))

    assert signed.is_by(key)
    assert not signed.is_by(SHARED)
    assert not signed._replace(message=signed.message + b"x").is_by(key)
    assert not signed._replace(signature=b"").is_by(key)


def test_padding_is_taken_where_it_belongs() -> None:
    head, payload, signature = token(payload=b"four").split(".")
    padded = payload + "=" * (-len(payload) % 4)

    assert padded != payload
    assert read_signed(f"{head}.{padded}.{signature}").payload == b"four"


GOOD = token().split(".")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.b",
        ".".join((*GOOD, "x")),
        "ä.ö.ü",
        token([]),
        token({}),
        token({"alg": None}),
        token({"alg": "HS256", "kid": 7}),
        token({"alg": "HS256", "kid": None}),
        token({"alg": "HS256", "crit": ["exp"], "exp": 1}),
        token({"alg": "HS256", "crit": []}),
        token({"alg": "HS256", "b64": False}),
        f"{encoded(b'[' * 10_000)}.{GOOD[1]}.{GOOD[2]}",
        f"{GOOD[0]}.!!!!.{GOOD[2]}",
        f"{GOOD[0]}.e30+.{GOOD[2]}",
        f"{GOOD[0]}.{GOOD[1]}.a",
        f"{GOOD[0]}.{GOOD[1]}.eB",
        f"{GOOD[0]}.{GOOD[1]}.e===",
        f"{GOOD[0]}.{GOOD[1]}.eA=",
        f"{GOOD[0]}.{GOOD[1]}.eA==\n",
    ],
)
def test_what_is_no_signed_token_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        read_signed(text)


@given(st.one_of(st.text(), st.lists(st.binary().map(encoded), min_size=3, max_size=3).map(".".join)))
def test_whatever_comes_is_taken_apart_or_refused(text: str) -> None:
    try:
        signed = read_signed(text)
    except Malformed:
        return
    assert not signed.is_by(SHARED)
