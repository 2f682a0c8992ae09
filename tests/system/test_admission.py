"""Pages from elsewhere, and too many bad tokens (docs/protocol.md#1-connecting)."""

import json
import time
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.support.frames import new_id, token
from tests.support.http_get import HOST
from tests.support.people import People
from tests.support.raw_client import Headers, HttpAnswer, RawClient, Refused
from tests.support.system import SECRET, System
from tests.support.waiting import until
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
async def test_a_listed_page_is_let_in(system: System, new_gateway: NewGateway) -> None:
    gateway = new_gateway(ORIGINS="https://app.example,http://localhost:3000")
    good = token(new_id("alice"))
    assert await refusal(gateway.port, good, ("Origin", "https://app.example")) is None
    answer = await refusal(gateway.port, good, ("Origin", "https://app.example:444"))
    assert reason(answer) == (403, "FOREIGN_ORIGIN")
    (said,) = await until(lambda: system.events("connection refused", origin="https://app.example:444"))
    assert (said["level"], said["reason"]) == ("warning", "FOREIGN_ORIGIN")


def said_why(system: System, reason_: str, why: str) -> bool:
    """Whether the log says which check a token has failed."""
    lines = system.events("connection refused", reason=reason_)
    return any(line.get("why", "").startswith(why) for line in lines)


@one
async def test_tokens_are_for_this_service_and_not_in_the_query(
    system: System, new_gateway: NewGateway, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    port = new_gateway(
        JWT_SECRET="",
        JWT_SECRET_FILE=str(file),
        JWT_AUDIENCE="calls,https://calls.example",
        TOKEN_MAX_LIFE="7200",
        TOKEN_IN_QUERY="0",
    ).port

    async def asks(text: str) -> HttpAnswer | None:
        try:
            client = await RawClient.open(port, "/ws", [("Authorization", f"Bearer {text}")])
        except Refused as refused:
            return refused.answer
        await client.drop()
        return None

    user = new_id("alice")
    good = token(user, {"aud": ["mail", "calls"]})
    assert await asks(good) is None
    assert reason(await refusal(port, good)) == (401, "TOKEN_IN_QUERY")
    for claims, word, why in (
        ({"aud": "mail"}, "TOKEN_NOT_FOR_HERE", "made for another audience (aud)"),
        (
            {"aud": "calls", "exp": int(time.time()) + 9000},
            "TOKEN_LIVES_TOO_LONG",
            "it lives for longer than",
        ),
        ({"aud": "calls", "exp": int(time.time() * 1000)}, "TOKEN_LIVES_TOO_LONG", "exp is ten years ahead"),
        ({"aud": "calls", "rooms": [*map(str, range(257))]}, "TOO_MANY_ROOMS", "it names 257 rooms"),
        ({"aud": "calls", "exp": int(time.time()) - 1}, "UNAUTHORIZED", "expired"),
    ):
        answer = await asks(token(user, claims))
        assert reason(answer) == (401, word)
        assert answer is not None
        assert answer.headers["www-authenticate"] == "Bearer"
        await until(partial(said_why, system, word, why))


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
