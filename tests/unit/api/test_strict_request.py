"""The body of a request is what its type says, and nothing that looks like it."""

import pytest
from litestar import post
from litestar.params import JSONBody

from tests.support.api import client_of
from tieline.api.bodies import BanOrder


@post("/things")
async def things(data: JSONBody[BanOrder]) -> float:
    return data.seconds


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (b'{"seconds":"60"}', "seconds"),
        (b'{"seconds":true}', "seconds"),
        (b'{"seconds":0}', "seconds"),
        (b'{"seconds":1,"more":2}', ""),
        (b"{}", ""),
        (b"[]", ""),
        (b"null", ""),
    ],
)
async def test_what_its_type_does_not_say_is_refused(content: bytes, field: str) -> None:
    async with client_of([things]) as client:
        answer = await client.post("/v1/things", content=content)
    assert answer.status_code == 400
    assert [error.get("field", "") for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("content", [b"{", b"\xff", b'{"seconds":1}}', b'{"seconds":'])
async def test_what_is_no_json_is_refused(content: bytes) -> None:
    async with client_of([things]) as client:
        answer = await client.post("/v1/things", content=content)
    assert (answer.status_code, answer.json()["detail"]) == (400, "the body is no JSON")


async def test_who_sends_no_body_is_told_to_send_one() -> None:
    async with client_of([things]) as client:
        answer = await client.post("/v1/things")
    assert answer.status_code == 400
    [error] = answer.json()["errors"]
    assert error == {"detail": "a body is wanted: an object of JSON, `{}` where it needs to say nothing"}


async def test_what_it_says_is_read() -> None:
    async with client_of([things]) as client:
        assert (await client.post("/v1/things", content=b'{"seconds":60}')).json() == 60.0
