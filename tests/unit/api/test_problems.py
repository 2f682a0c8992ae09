"""Problem documents: RFC 9457, whatever went wrong."""

import httpx
import pytest
from litestar import post
from litestar.params import JSONBody

from api.problems import MEDIA_TYPE, Refusal, problems
from tests.support.api import client_of
from tieline.api.bodies import TokenOrder


@post("/things", responses=problems(409))
async def things(data: JSONBody[TokenOrder]) -> None:
    if data.user == "taken":
        raise Refusal(409, "TAKEN", "it is there already")
    if data.user == "bug":
        raise RuntimeError("a bug")


async def asked(method: str, path: str, content: bytes = b"") -> httpx.Response:
    async with client_of([things]) as client:
        return await client.request(method, path, content=content)


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "reason"),
    [
        ("POST", "/v1/things", b'{"user":"taken"}', 409, "TAKEN"),
        ("POST", "/v1/things", b'{"user":3}', 400, "BAD_REQUEST"),
        ("POST", "/v1/things", b'{"user":"a","rom":[]}', 400, "BAD_REQUEST"),
        ("POST", "/v1/things", b"{", 400, "BAD_REQUEST"),
        ("POST", "/v1/things", b'{"user":"' + b"a" * 200_000 + b'"}', 413, "TOO_LARGE"),
        ("POST", "/v1/nothing", b"", 404, "NOT_FOUND"),
        ("GET", "/v1/things", b"", 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/v1/things", b'{"user":"bug"}', 500, "INTERNAL"),
    ],
)
async def test_what_goes_wrong_is_told_as_a_problem(
    method: str, path: str, content: bytes, status: int, reason: str
) -> None:
    answer = await asked(method, path, content)
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert answer.json()["reason"] == reason
    assert answer.json()["title"]
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert answer.headers["cache-control"] == "no-store"


async def test_the_field_that_is_wrong_is_named() -> None:
    (error,) = (await asked("POST", "/v1/things", b'{"user":3}')).json()["errors"]
    assert error == {"detail": "Expected `str`, got `int`", "field": "user"}


async def test_another_method_is_told_which_ones_there_are() -> None:
    answer = (await asked("GET", "/v1/things")).json()
    assert answer["detail"] == "this path takes POST: /openapi.json says what for"


async def test_nothing_of_a_bug_is_told() -> None:
    assert "a bug" not in (await asked("POST", "/v1/things", b'{"user":"bug"}')).text
