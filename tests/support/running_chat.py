"""The example's backend (`examples/chat`) as a process of the tests, and what its users ask of it."""

import json
import os
import re
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final, Self

import httpx

from tests.support.partitions import partitions
from tests.support.process import Process
from tests.support.waiting import PATIENCE_S, until_true
from tieline.client import Client, connect

ROOT: Final = Path(__file__).parents[2]


class RunningChat:
    """One `python -m examples.chat`, which ends with the `with` block, and the system beneath it."""

    def __init__(self, folder: Path, *arguments: str, **environ: str) -> None:
        self._folder = folder
        self._arguments = arguments
        self._environ = environ
        self._said = folder / "chat.said"
        self._log = folder / "chat.log"

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "examples.chat", "--port", "0", "--ready-file"]
        self.process = Process(
            [*command, str(self._ready_file), *self._arguments],
            self._log,
            stdout=self._said,
            environ={
                **os.environ,
                "TIELINE_PARTITIONS": str(partitions()),
                "XDG_STATE_HOME": str(self._folder),  # where the logs of the system beneath go
                **self._environ,
            },
            folder=ROOT,
        )
        self.process.until_ready(lambda: self.url)
        return self

    def __exit__(self, *_exception: object) -> None:
        self.process.end()

    @property
    def _ready_file(self) -> Path:
        return self._folder / "ready.json"

    @property
    def log(self) -> str:
        """All that it, and the system beneath it, have said."""
        logs = [self._said, self._log, *self._folder.glob("tieline/*.log")]
        return "".join(log.read_text(errors="replace") for log in logs)

    @property
    def url(self) -> str:
        """Where its page is; empty: it is not ready."""
        found = re.search(r"The chat is at (http://[\d.:]+)/", self._said.read_text())
        return found[1] if found else ""

    @property
    def system(self) -> dict[str, Any]:
        """The ready file of the system beneath."""
        document: dict[str, Any] = json.loads(self._ready_file.read_text())
        return document

    def asking(self, user: str) -> httpx.AsyncClient:
        """Ask as this user."""
        return httpx.AsyncClient(base_url=self.url, headers={"X-User": user}, timeout=PATIENCE_S)

    async def ask(self, user: str, method: str, path: str, **more: Any) -> Any:
        """Ask something once, which must go well."""
        async with self.asking(user) as http:
            answer = await http.request(method, path, **more)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.headers.get("content-type") == "application/json" else answer.text

    async def status(self, user: str, method: str, path: str, **more: Any) -> int:
        """Ask something once; returns the status of the answer."""
        async with self.asking(user) as http:
            return (await http.request(method, path, **more)).status_code

    def connected(self, user: str) -> AbstractAsyncContextManager[Client]:
        """Connect as the user's page does."""

        async def token() -> str:
            return str(await self.ask(user, "GET", "/token"))

        return connect(self.system["gateways"][0], token, resume=True)

    async def room_of(self, chat: str, *members: str) -> None:
        """Make a chat of the first one's, with the others in it."""
        await self.ask(members[0], "POST", f"/chats/{chat}")
        for member in members[1:]:
            await self.ask(members[0], "PUT", f"/chats/{chat}/members/{member}")

    async def pushed(self, user: str, count: int) -> list[dict[str, Any]]:
        """Wait until so much was pushed to the user's phone; returns that."""

        async def look() -> list[dict[str, Any]] | None:
            pushes: list[dict[str, Any]] = await self.ask(user, "GET", "/pushes")
            return pushes if len(pushes) >= count else None

        return await until_true(look)

    async def last_call(self, user: str, state: str) -> dict[str, Any]:
        """Wait until the user's newest call is in this state."""

        async def look() -> dict[str, Any] | None:
            calls = await self.ask(user, "GET", "/calls")
            return calls[0] if calls and calls[0]["state"] == state else None

        return await until_true(look)
