"""How answers of the API are read."""

import httpx
import pytest

from tieline.api.answers import Refused, Unavailable, read, refusal
from tieline.api.bodies import Changed

REQUEST = httpx.Request("GET", "http://api/v1/x")


def answered(status: int, content: bytes) -> httpx.Response:
    return httpx.Response(status, content=content, request=REQUEST)


def test_what_is_answered_is_read_by_its_type() -> None:
    assert read(answered(200, b'{"affected":1,"new":2}'), Changed) == Changed(affected=1)


def test_a_problem_is_a_refusal_with_its_reason() -> None:
    problem = b'{"title":"No","status":409,"detail":"it is full","reason":"ROOM_FULL"}'
    with pytest.raises(Refused, match="ROOM_FULL: it is full"):
        read(answered(409, problem), Changed)


def test_the_text_of_a_refusal_says_what_is_wrong_with_which_field() -> None:
    told = b'{"title":"No","status":400,"detail":"the body is unusable","reason":"BAD_REQUEST","errors":%s}'
    errors = b'[{"detail":"Expected `float`","field":"seconds"},{"detail":"a body is wanted"},'
    errors += b'{"detail":"the body is unusable","field":"said"}]'
    text = "BAD_REQUEST: the body is unusable; seconds: Expected `float`; a body is wanted"
    assert str(refusal(answered(400, told % errors))) == text


@pytest.mark.parametrize("status", [200, 404])
def test_what_is_no_answer_of_the_api_is_none(status: int) -> None:
    with pytest.raises(Unavailable, match=f"status {status}"):
        read(answered(status, b"<html>"), Changed)
    assert isinstance(refusal(answered(404, b"<html>")), Unavailable)
