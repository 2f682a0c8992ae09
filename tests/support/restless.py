"""Users who reload, come back, join, leave and call all the time, and what they were told last.

Each does one thing after the other, on any of the gateways. What must hold when all is quiet again is what a
user was told last: its newest connection lives, it is in the room or it is not, and who has gone is gone.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Final
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.support import frames
from tests.support.frames import Json, new_id

ANSWER_S: Final = 8.0
"""For an answer: what a gateway gives presence, and some more."""

OPEN_S: Final = 10.0
"""For a connection to be let in, after which a client tries another gateway."""

PAUSE_S: Final = 0.2
"""Between two attempts to connect."""

ACTIONS: Final = ("reload", "reload", "resume", "join", "leave", "join", "leave", "call")


class Restless:
    """One user, with a partner to call."""

    def __init__(self, room: str, urls: Sequence[str], chance: random.Random) -> None:
        self.user = new_id("restless")
        self.partner: Restless | None = None
        self.room = room
        self._urls = urls
        self._chance = chance
        self._connection: ClientConnection | None = None
        self._welcome: Json = {}
        self._count = 0
        self.in_room: bool | None = False
        """What it was told last; None: it cannot know."""
        self.faults: Counter[str] = Counter()

    async def go_on(self, stopping: asyncio.Event) -> None:
        """Do one thing after the other."""
        while not stopping.is_set():
            await self.do(self._chance.choice(ACTIONS))

    async def do(self, action: str) -> None:
        """Do one thing, whatever comes of it."""
        if self._connection is None or action in ("reload", "resume"):
            await self._reload(resumes=action == "resume")
            return
        match action:
            case "join" | "leave":
                await self._asks_about_room(action.upper())
            case _:
                await self._calls()

    async def comes_to_rest(self, *, in_room: bool) -> None:
        """Be connected, and in the room or not, for sure."""
        while self._connection is None or self.in_room is not in_room:
            if self._connection is None:
                await self._reload(resumes=True)
            else:
                await self._asks_about_room("JOIN" if in_room else "LEAVE")

    async def members(self) -> set[str]:
        """Ask who is in the room."""
        reply = await self._ask("MEMBERS", {"room": self.room})
        return {one["userId"] for one in (reply or {}).get("data", {}).get("members", ())}

    async def offers_to(self, user: str) -> str:
        """Offer a call to somebody; returns what comes of it."""
        reply = await self._ask("WEBRTC_OFFER", {"from": self.user, "to": user, "data": {"sdp": "x"}}) or {}
        return str(reply.get("ack") or reply.get("reason"))

    async def goes(self) -> None:
        """Close for good."""
        if self._connection is not None:
            await self._connection.close()
            self._connection, self.in_room = None, False

    async def _reload(self, *, resumes: bool) -> None:
        """Lose the connection, or close it, and connect until let in: with the token, or without."""
        old, self._connection = self._connection, None
        if old is not None:
            if self._chance.random() < 0.5:
                old.transport.abort()
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await old.close()
                old.transport.abort()
        secret = self._welcome.get("resumeToken", "") if resumes else ""
        while self._connection is None:
            await self._connect(secret)

    async def _connect(self, secret: str) -> None:
        query = {"token": frames.token(self.user, {"rooms": "*"}), "acks": "1", "resume": secret}
        url = f"{self._chance.choice(self._urls)}?{urlencode(query)}"
        try:
            connection = await connect(url, open_timeout=OPEN_S, ping_interval=None, compression=None)
            async with asyncio.timeout(OPEN_S):
                welcome = json.loads(await connection.recv())["data"]
        except ConnectionClosed as closed:
            self._note_end(closed)
        except (OSError, InvalidHandshake):  # a TimeoutError is one
            await asyncio.sleep(PAUSE_S)
        else:
            if not welcome["resumed"]:
                self.in_room = False
            elif self.in_room is not None and (self.room in welcome["rooms"]) != self.in_room:
                self.faults["a session was resumed with other rooms"] += 1
            else:
                self.in_room = self.room in welcome["rooms"]
            self._connection, self._welcome = connection, welcome

    async def _asks_about_room(self, cmd: str) -> None:
        before, self.in_room = self.in_room, None
        reply = await self._ask(cmd, {"room": self.room})
        if reply is not None and reply["code"] == 200:
            self.in_room = cmd == "JOIN"
        elif reply is not None and reply["code"] != 500:
            self.in_room = before

    async def _calls(self) -> None:
        if self.partner is not None:
            await self.offers_to(self.partner.user)

    async def _ask(self, cmd: str, data: Json) -> Json | None:
        """Ask, and wait for the answer; None: the connection has ended instead."""
        assert self._connection is not None
        self._count += 1
        request_id = f"{self.user}-{self._count}"
        module = "ROOM"
        message = {
            "requestId": request_id,
            "module": module,
            "cmd": cmd,
            "code": 200,
            "msg": "",
            "data": data,
        }
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._connection.send(json.dumps(message))
                while True:
                    heard = json.loads(await self._connection.recv())
                    if heard["requestId"] == request_id:
                        return heard if isinstance(heard, dict) else None
        except ConnectionClosed as closed:
            self._note_end(closed)
        except TimeoutError:
            self._connection.transport.abort()
        self._connection = None
        return None

    def _note_end(self, closed: ConnectionClosed) -> None:
        """Note why the newest connection was closed."""
        code = closed.rcvd.code if closed.rcvd is not None else 1006
        if code == 4500:
            self.faults["the newest connection was closed with 4500"] += 1
