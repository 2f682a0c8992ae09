"""An application on a real socket."""

import httpx
import pytest
from litestar import get

from api.app import make_app
from api.authority import Authority
from api.server import serving
from api.signed_tokens import SignedTokens
from tieline.runtime.settings import SettingsError


@get("/hello", sync_to_thread=False)
def hello() -> str:
    return "hello"


async def test_it_is_served_while_the_block_runs() -> None:
    app = make_app(Authority([], SignedTokens([])), [hello])
    async with serving(app, "127.0.0.1", 0) as port, httpx.AsyncClient() as client:
        url = f"http://127.0.0.1:{port}/v1/hello"
        assert (await client.get(url)).text == "hello"
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(url)


async def test_a_port_that_is_taken_is_named() -> None:
    app = make_app(Authority([], SignedTokens([])), [hello])
    async with serving(app, "127.0.0.1", 0) as port:
        with pytest.raises(SettingsError, match=f"TIELINE_API_PORT: cannot listen on 127.0.0.1, port {port}"):
            async with serving(app, "127.0.0.1", port):
                pass
