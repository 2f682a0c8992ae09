"""The application as a whole."""

import pytest
from litestar import get
from litestar.params import FromPath

from tests.support.api import client_of


@get("/things/{thing:str}", sync_to_thread=False)
def one(thing: FromPath[str]) -> str:
    return f"this is {thing}"


async def test_an_id_may_have_a_slash_in_it() -> None:
    async with client_of([one]) as client:
        assert (await client.get("/v1/things/a%2Fb")).text == "this is a%2Fb"
        assert (await client.get("/v1/things/a/b")).status_code == 404


@pytest.mark.parametrize("path", ["/", "/v1", "/rooms", "/docs", "/a/b", "/v1/nothing"])
async def test_what_is_not_there_is_a_problem(path: str) -> None:
    async with client_of([one]) as client:
        answer = await client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json()["reason"] == "NOT_FOUND"
    assert "/openapi.json says what there is" in answer.json()["detail"]


async def test_the_document_names_the_version_and_what_there_is() -> None:
    async with client_of([one]) as client:
        document = (await client.get("/openapi.json")).json()
    assert document["info"]["title"] == "Tieline"
    assert list(document["paths"]) == ["/v1/things/{thing}"]
