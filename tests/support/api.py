"""The API without a process: an application asked over HTTP in this event loop."""

from collections.abc import Callable, Sequence
from typing import Final

import httpx
from litestar.types import ControllerRouterHandler

from api.app import make_app
from api.authority import Authority
from api.callers import entry, read_keys
from api.signed_tokens import SignedTokens
from tieline.runtime.pending import always
from tieline.wire.internal.directions import BackendRequest, PresenceReply

KEY: Final = "a key that may do everything"
READING_KEY: Final = "a key that may read rooms"
SECRET: Final = "a secret that signs tokens of callers, long enough"

WITH_KEY: Final = {"Authorization": f"Bearer {KEY}"}


def client_of(routes: Sequence[ControllerRouterHandler]) -> httpx.AsyncClient:
    """Make a client of an API with these routes. It says no key by itself."""
    keys = read_keys(f"{entry('all', KEY)},{entry('reader', READING_KEY, ['rooms:read'])}")
    app = make_app(Authority(keys, SignedTokens([SECRET])), routes)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api")  # type: ignore[arg-type]


class FakePresence:
    """Presence, as the API asks it: answers with this, whatever it is asked."""

    def __init__(self, answer: PresenceReply | Exception) -> None:
        self.answer = answer
        self.asked: list[BackendRequest] = []

    async def ask(self, request: BackendRequest, is_wanted: Callable[[], bool] = always) -> PresenceReply:
        """Write down what is asked, and answer."""
        del is_wanted
        self.asked.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer
