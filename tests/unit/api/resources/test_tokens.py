"""Minting admission tokens."""

import jwt
import pytest

from api.resources.tokens import token_routes
from tests.support.api import READING_KEY, WITH_KEY, client_of
from tieline.tokens import ANYBODY, MadeFor

SECRET = "a secret that gateways verify with, 32 bytes"


async def test_a_minted_token_says_what_was_asked_for() -> None:
    made_for = MadeFor(audience="voice")
    async with client_of(token_routes(SECRET, made_for)) as client:
        order = {"user": "alice", "rooms": ["r1"], "join": ["r2"], "voice": False, "seconds": 60}
        answer = await client.post("/v1/tokens", headers=WITH_KEY, json=order)
    assert answer.status_code == 201
    claims = jwt.decode(answer.json()["token"], SECRET, algorithms=["HS256"], audience="voice")
    assert claims["sub"] == "alice"
    assert (claims["rooms"], claims["join"], claims["voice"]) == (["r1"], ["r2"], False)
    assert answer.json()["expiresAt"] == claims["exp"] * 1000


async def test_a_minted_token_lives_no_longer_than_gateways_let_it() -> None:
    async with client_of(token_routes(SECRET, MadeFor(max_life_s=60))) as client:
        answer = await client.post("/v1/tokens", headers=WITH_KEY, json={"user": "alice", "seconds": 61})
    claims = jwt.decode(answer.json()["token"], SECRET, algorithms=["HS256"])
    assert claims["exp"] - claims["iat"] == 60
    assert answer.json()["expiresAt"] == claims["exp"] * 1000


@pytest.mark.parametrize("order", [{"user": " "}, {"user": "a", "rooms": ["\u200b"]}, {"user": "a" * 129}])
async def test_an_id_that_is_none_is_refused(order: dict[str, object]) -> None:
    async with client_of(token_routes(SECRET, ANYBODY)) as client:
        answer = await client.post("/v1/tokens", headers=WITH_KEY, json=order)
    assert answer.status_code == 400


async def test_without_the_secret_of_the_gateways_none_is_minted() -> None:
    async with client_of(token_routes("", ANYBODY)) as client:
        answer = await client.post("/v1/tokens", headers=WITH_KEY, json={"user": "alice"})
    assert (answer.status_code, answer.json()["reason"]) == (501, "NO_SECRET")


async def test_a_key_that_only_reads_mints_none() -> None:
    async with client_of(token_routes(SECRET, ANYBODY)) as client:
        headers = {"Authorization": f"Bearer {READING_KEY}"}
        answer = await client.post("/v1/tokens", headers=headers, json={"user": "alice"})
    assert answer.status_code == 403
