"""A user of an attack who speaks the protocol: one who attacks, or one whom the attack is about."""

import asyncio
import itertools
import json
from collections.abc import Callable
from typing import Final

from tests.attacks.line import Line, text
from tests.support.frames import Json, command

ANSWER_TIMEOUT_S: Final = 15.0
"""For what must come: the server itself gives up after five."""

_numbers = itertools.count()


class Player:
    """One connected user; what it has heard is in `heard`, in order."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.heard: list[Json] = []
        self.welcome: Json = {}
        self.line: Line
        self._news = asyncio.Event()

    def on_text(self, payload: bytes) -> None:
        """Take a message from the server."""
        self.heard.append(json.loads(payload))
        self._news.set()

    async def want(
        self, is_it: Callable[[Json], bool], start: int = 0, within_s: float = ANSWER_TIMEOUT_S
    ) -> Json:
        """Return the first message that is it, of those heard from the `start`-th on.

        Raises:
            TimeoutError: it did not come in time.
            ConnectionError: the connection has ended before.
        """
        async with asyncio.timeout(within_s):
            while True:
                for message in self.heard[start:]:
                    if is_it(message):
                        return message
                if not self.line.is_open:
                    raise ConnectionError(f"{self.user}: closed with {self.line.closed.result()}")
                start = len(self.heard)
                self._news.clear()
                either = asyncio.ensure_future(self._news.wait())
                try:
                    await asyncio.wait((either, self.line.closed), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    either.cancel()

    async def ask(self, cmd: str, data: object, request_id: str | None = None) -> Json:
        """Send a message, and return its reply, ack or error.

        Raises:
            TimeoutError, ConnectionError: as `want`.
        """
        request_id = request_id or f"{self.user}/{next(_numbers)}"
        start = len(self.heard)
        self.line.send(command(cmd, data, request_id))
        return await self.want(
            lambda message: (
                message["requestId"] == request_id
                and ("ack" in message or "reason" in message or message["cmd"] in (cmd, "PONG"))
            ),
            start,
        )

    def say(self, cmd: str, to: str, data: object) -> None:
        """Send a signal, and do not wait for its ack."""
        self.line.write(self.signal(cmd, to, data))

    def signal(self, cmd: str, to: str, data: object) -> bytes:
        """Write the frame of a signal."""
        body = {"from": self.user, "to": to, "data": data}
        return text(command(cmd, body, f"{self.user}/{next(_numbers)}"))

    async def tell(self, cmd: str, to: str, data: object, request_id: str | None = None) -> Json:
        """Send a signal, and return its ack or error.

        Raises:
            TimeoutError, ConnectionError: as `want`.
        """
        return await self.ask(cmd, {"from": self.user, "to": to, "data": data}, request_id)

    def got(self, cmd: str) -> list[Json]:
        """List the signals and events of this name that have come."""
        return [message for message in self.heard if message["cmd"] == cmd and message.get("data")]
