"""Who may ask for what."""

import time
from collections.abc import Callable

import jwt
import pytest
from litestar import get

from api.authority import demands
from api.signed_tokens import AUDIENCE
from tests.support.api import KEY, READING_KEY, SECRET, WITH_KEY, client_of


@get("/rooms", opt=demands("rooms:read"), sync_to_thread=False)
def rooms() -> str:
    return "rooms"


@get("/statistics", opt=demands("statistics:read"), sync_to_thread=False)
def statistics() -> str:
    return "statistics"


def signed(scope: str) -> str:
    claims = {"aud": AUDIENCE, "sub": "cron", "exp": time.time() + 60, "scope": scope}
    return jwt.encode(claims, SECRET, algorithm="HS256")


SECRETS: dict[str, Callable[[], str]] = {
    "a key": lambda: KEY,
    "a key for reading": lambda: READING_KEY,
    "a token for reading": lambda: signed("rooms:read"),
    "a token for all": lambda: signed("*"),
}


@pytest.mark.parametrize("which", SECRETS)
async def test_who_has_the_scope_is_answered(which: str) -> None:
    secret = SECRETS[which]()  # signed now: a token lives for a minute
    async with client_of([rooms, statistics]) as client:
        answer = await client.get("/v1/rooms", headers={"Authorization": f"bearer  {secret}"})
    assert answer.status_code == 200


@pytest.mark.parametrize("which", ["a key for reading", "a token for reading"])
async def test_who_has_another_scope_is_told_which_is_missing(which: str) -> None:
    secret = SECRETS[which]()
    async with client_of([rooms, statistics]) as client:
        answer = await client.get("/v1/statistics", headers={"Authorization": f"Bearer {secret}"})
    assert answer.status_code == 403
    assert answer.json()["reason"] == "SCOPE_MISSING"
    assert "statistics:read" in answer.json()["detail"]


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer nothing", f"Basic {KEY}", KEY])
async def test_who_has_no_key_is_told_how_to_come(header: str) -> None:
    async with client_of([rooms]) as client:
        answer = await client.get("/v1/rooms", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["reason"] == "UNAUTHORIZED"


async def test_the_document_is_for_everybody() -> None:
    async with client_of([rooms]) as client:
        answer = await client.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.json()["paths"]["/v1/rooms"]["get"]["security"] == [{"bearer": []}]


async def test_a_key_is_not_looked_for_before_there_is_such_a_path() -> None:
    async with client_of([rooms]) as client:
        assert (await client.get("/v1/nothing", headers=WITH_KEY)).status_code == 404
