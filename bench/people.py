"""Connected users for benchmarks: each asks for one thing, waits for its answer, and may come back.

They cost more than the clients of `tieline.load`, and much less than `tieline.client`, which is for
applications: of the changes of rooms they look at the beginning only.
"""

import asyncio
import itertools
from collections.abc import Callable
from typing import Final

import msgspec

from tieline.load.client import ANSWER_TIMEOUT_S
from tieline.load.connection import Connection, connect
from tieline.tokens import EVERY_ROOM, make_token

_CHANGE: Final = b'{"requestId":"room-'


class _FromServer(msgspec.Struct, rename="camel"):
    request_id: str = ""
    cmd: str = ""
    code: int = 200
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Welcome(msgspec.Struct, rename="camel"):
    resume_token: str = ""
    resumed: bool = False


_read = msgspec.json.Decoder(_FromServer).decode
_numbers = itertools.count()


class Person:
    """A connected user who asks, and waits for the answer."""

    connection: Connection

    def __init__(
        self,
        user: str,
        secret: str,
        url: str,
        *,
        source: str | None = None,
        batches: bool = False,
        names_calls: bool = False,
    ) -> None:
        """`source` is an address of this machine.

        `batches`: it takes the changes of rooms together. `names_calls`: it knows the names of calls, and
        what the other end says of itself.
        """
        self.user = user
        self.token = make_token(secret, user, [EVERY_ROOM])
        self.secret = ""
        self.is_resumed = False
        self.on_signal: Callable[[str], None] = _ignore
        """Told of each signal that comes, by its name."""
        self.told = 0
        """Changes of rooms that it was told of, one by one or in batches."""
        self._url = f"{url}?acks=1{'&roster=1' if batches else ''}{'&calls=1' if names_calls else ''}"
        self._source = source
        self._last = b""
        self._waits: dict[str, asyncio.Future[_FromServer]] = {}

    async def arrive(self, *, resumes: bool = False) -> None:
        """Connect, and wait for the WELCOME.

        Raises:
            UpgradeRefused, OSError, TimeoutError: as `connect`, or there was none.
        """
        welcome = self._notice("")
        resume = f"&resume={self.secret}&last={self._name_of_last()}" if resumes else ""
        headers = {"Authorization": f"Bearer {self.token}"}
        self.connection = await connect(f"{self._url}{resume}", self._on_text, headers, self._source)
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            said = msgspec.json.decode((await welcome).data, type=_Welcome)
        self.secret, self.is_resumed = said.resume_token, said.resumed

    async def ask(self, cmd: str, data: object) -> int:
        """Send a message, and wait for its answer; returns the code of that."""
        return await self.send(self.frame(cmd, data))

    def frame(self, cmd: str, data: object) -> bytes:
        """Make a message that no other is like."""
        body = {"requestId": f"{self.user}/{next(_numbers)}", "module": "ROOM", "cmd": cmd, "data": data}
        return msgspec.json.encode(body)

    async def send(self, frame: bytes) -> int:
        """Send a message, and wait for its answer.

        Raises:
            TimeoutError: there was none.
        """
        answer = self._notice(_read(frame).request_id)
        self.connection.send(frame)
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            return (await answer).code

    def signal(self, kind: str, to: "Person") -> bytes:
        """Make a signal as long as browsers send it."""
        data = "x" * (1500 if kind in {"OFFER", "ANSWER"} else 150)
        return self.frame(f"WEBRTC_{kind}", {"from": self.user, "to": to.user, "data": data})

    async def say(self, kind: str, to: "Person") -> int:
        """Send a signal, and wait for its ack."""
        return await self.send(self.signal(kind, to))

    def _name_of_last(self) -> str:
        """Return the name of the last that it was told or sent, as one resumes with it; "": nothing was."""
        return name_of(self._last) if self._last else ""

    def _notice(self, key: str) -> "asyncio.Future[_FromServer]":
        waits: asyncio.Future[_FromServer] = asyncio.get_running_loop().create_future()
        self._waits[key] = waits
        return waits

    def _on_text(self, frame: bytes) -> None:
        if frame.startswith(_CHANGE):
            self.told += 1
            self._last = frame
            return
        message = _read(frame)
        waits = self._waits.pop(message.request_id, None)
        if waits is None and message.cmd.startswith("WEBRTC_"):
            self._last = frame
            self.on_signal(message.request_id)
        elif waits is not None and not waits.done():
            waits.set_result(message)


def name_of(frame: bytes) -> str:
    """Return the name of a message, its requestId."""
    return _read(frame).request_id


def _ignore(_request_id: str) -> None:
    """Take no note of a signal."""
