"""Pages from elsewhere, and too many bad tokens (docs/protocol.md#1-connecting)."""

import json
from urllib.parse import urlencode

import pytest

from tests.support.frames import new_id, token
from tests.support.http_get import HOST
from tests.support.people import People
from tests.support.raw_client import Headers, HttpAnswer, RawClient, Refused
from tests.support.system import System
from tests.system.conftest import NewGateway

MOST = 30
REFUSED = "tieline_handshakes_refused_total"

one = pytest.mark.parametrize("system", ["one"], indirect=True)


async def refusal(port: int, token_: str, *headers: tuple[str, str]) -> HttpAnswer | None:
    """Ask for an upgrade; returns the refusal, or None."""
    try:
        client = await open_with(port, token_, headers)
    except Refused as refused:
        return refused.answer
    await client.drop()
    return None


async def open_with(port: int, token_: str, headers: Headers) -> RawClient:
    return await RawClient.open(port, f"/ws?{urlencode({'token': token_})}", headers)


def reason(answer: HttpAnswer | None) -> tuple[int, str]:
    assert answer is not None
    body = json.loads(answer.body)
    assert body["code"] == answer.status
    return answer.status, body["reason"]


async def test_only_pages_of_the_gateway_s_own_are_let_in(people: People) -> None:
    port, good = people.ports[0], token(new_id("alice"))
    for origin in (f"http://{HOST}", f"http://{HOST}:80"):  # the raw client's Host header names no port
        assert await refusal(port, good, ("Origin", origin)) is None
    for origin in ("https://evil.example", f"http://{HOST}:{port}", "null"):
        answer = await refusal(port, good, ("Origin", origin))
        assert reason(answer) == (403, "FOREIGN_ORIGIN")


@one
async def test_a_listed_page_is_let_in(new_gateway: NewGateway) -> None:
    gateway = new_gateway(ORIGINS="https://app.example,http://localhost:3000")
    good = token(new_id("alice"))
    assert await refusal(gateway.port, good, ("Origin", "https://app.example")) is None
    answer = await refusal(gateway.port, good, ("Origin", "https://app.example:444"))
    assert reason(answer) == (403, "FOREIGN_ORIGIN")


@one
async def test_after_too_many_bad_tokens_a_good_one_is_still_let_in(
    system: System, new_gateway: NewGateway
) -> None:
    denied = {"reason": "TOO_MANY_BAD_TOKENS"}
    before = system.count("gateway", REFUSED, **denied)
    port = new_gateway().port
    bad = token("alice", secret="a secret that somebody has guessed, and badly")
    for _ in range(MOST):
        assert reason(await refusal(port, bad)) == (401, "UNAUTHORIZED")
    answer = await refusal(port, bad)
    assert reason(answer) == (429, "TOO_MANY_BAD_TOKENS")
    assert answer is not None
    assert answer.headers["retry-after"] == "60"
    assert await refusal(port, token(new_id("alice"))) is None
    assert reason(await refusal(port, bad, ("X-Forwarded-For", "203.0.113.9")))[0] == 429
    assert system.count("gateway", REFUSED, **denied) == before + 2


@one
async def test_behind_a_trusted_proxy_the_clients_are_told_apart(new_gateway: NewGateway) -> None:
    port = new_gateway(TRUSTED_PROXIES="127.0.0.0/8").port
    for _ in range(MOST):
        assert reason(await refusal(port, "bad", ("X-Forwarded-For", "203.0.113.9")))[0] == 401
    assert reason(await refusal(port, "bad", ("X-Forwarded-For", "203.0.113.9")))[0] == 429
    assert reason(await refusal(port, "bad", ("X-Forwarded-For", "6.6.6.6, 203.0.113.9")))[0] == 429
    assert reason(await refusal(port, "bad", ("X-Forwarded-For", "203.0.113.10")))[0] == 401
