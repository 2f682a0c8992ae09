"""The program of docs/tokens.md that is Python: what it gives admits its user.

That in Express is run by tests/browser/test_npm.py.
"""

import time
from typing import Any

import pytest

from tests.support.pages import program_of
from tieline.verification.tokens import BadToken, Tokens

SECRET = "a secret that is long enough for HMAC-SHA256"


async def get(app: Any, path: str) -> tuple[int, str, str]:
    """Ask an ASGI application; returns the status, the type and the body of its answer."""
    said: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    asked = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET"}
    where = {"scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"", "headers": []}
    await app({**asked, **where, "server": ("127.0.0.1", 3000), "client": ("127.0.0.1", 1)}, receive, send)
    body = b"".join(message.get("body", b"") for message in said)
    headers = dict(said[0]["headers"])
    return said[0]["status"], headers[b"content-type"].decode(), body.decode()


async def test_a_token_of_the_fastapi_page_admits_its_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIELINE_JWT_SECRET", SECRET)
    program: dict[str, Any] = {"__name__": "backend"}
    exec(program_of("python"), program)
    status, kind, token = await get(program["app"], "/token")
    assert (status, kind.partition(";")[0]) == (200, "text/plain")
    claims = Tokens(SECRET).verify(token, time.time())
    assert (claims.user, set(claims.rooms)) == ("ada", {"room_1"})
    with pytest.raises(BadToken, match="expired"):
        Tokens(SECRET).verify(token, time.time() + 901)
