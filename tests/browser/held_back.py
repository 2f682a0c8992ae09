"""Hold what a person says back: so that it reaches the server late, when other things have happened."""

import asyncio
import json
from typing import Final

from playwright.async_api import WebSocketRoute

from tests.browser.person import PATIENCE_S, Person

_ANY_GATEWAY: Final = "**/ws?*"


class HeldBack:
    """Lets the messages of one command of a person through only when it is told to."""

    def __init__(self, cmd: str) -> None:
        self._cmd = cmd
        self._waiting: list[tuple[WebSocketRoute, str | bytes]] = []
        self._has_come = asyncio.Event()
        self._is_open = False

    async def of(self, person: Person) -> None:
        """Stand between a person and the gateways, before the person comes."""
        await person.page.route_web_socket(_ANY_GATEWAY, self._stand_between)

    def _stand_between(self, page: WebSocketRoute) -> None:
        server = page.connect_to_server()
        page.on_message(lambda frame: self._take(server, frame))

    def _take(self, server: WebSocketRoute, frame: str | bytes) -> None:
        if self._is_open or json.loads(frame)["cmd"] != self._cmd:
            server.send(frame)
            return
        self._waiting.append((server, frame))
        self._has_come.set()

    async def has_come(self) -> None:
        """Wait until there is something to be let through."""
        async with asyncio.timeout(PATIENCE_S):
            await self._has_come.wait()

    def let_through(self) -> None:
        """Let everything through, from now on at once."""
        self._is_open = True
        for server, frame in self._waiting:
            server.send(frame)
