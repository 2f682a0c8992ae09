"""Commands over the API, without an API: what they ask, and what they print."""

from collections.abc import Callable

import httpx
import pytest

import tieline.cli.backend.asking
from tieline.api import Backend
from tieline.api.variables import API_KEY_VARIABLE, API_URL_VARIABLE
from tieline.cli.__main__ import main

Command = Callable[..., tuple[int, str, str]]


class Api:
    """Answers each request with this, and writes down what was asked."""

    def __init__(self) -> None:
        self.answer: object = {"affected": 1}
        self.status = 200
        self.stream: list[bytes] = []
        """What is answered to whoever follows, one after the other."""
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(f"{request.method} {request.url.path} {request.content.decode()}".strip())
        if self.stream:
            return httpx.Response(200, content=self.stream.pop(0))
        return httpx.Response(self.status, json=self.answer)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    """An API that the commands find."""
    found = Api()

    def connect(url: str, key: str) -> Backend:
        return Backend(url, key, patience_s=0, transport=httpx.MockTransport(found))

    monkeypatch.setattr(tieline.cli.backend.asking, "connect", connect)
    monkeypatch.setenv(API_URL_VARIABLE, "http://api")
    monkeypatch.setenv(API_KEY_VARIABLE, "k")
    return found


def run(*words: str) -> int:
    """Run a command."""
    return main([*words])
