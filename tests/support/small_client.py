"""A small client of the protocol, and its driver, in the test's process: sound, or broken on purpose.

It is written by docs/protocol.md, on the WebSocket library alone, as the author of a client in another
language would. `WAYS` has each way in which it can be broken, and the promise that it breaks so.
"""

import asyncio
import contextlib
import itertools
import json
import random
from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import urlencode

import websockets.asyncio.client as websocket
from websockets.exceptions import ConnectionClosed, InvalidStatus

Json = dict[str, Any]

WAYS: Final = {
    "forgets the token": "connects",
    "writes no module": "well-formed",
    "calls itself somebody": "own-name",
    "uses an id twice": "fresh-ids",
    "leaves without a word": "goodbye",
    "believes in order": "answers-by-id",
    "reads one page": "pages",
    "fears the unknown": "unknown",
    "keeps refusals to itself": "refusal-told",
    "leaves when refused": "refusal-stays",
    "names each try anew": "same-bytes",
    "sends the newest first": "unanswered-first",
    "stays away from a restart": "reconnects",
    "begins anew": "resumes",
    "forgets what it had": "names-last",
    "wants places of everybody": "older-server",
    "tells all twice": "once",
    "knows by ids": "by-bytes",
    "hides a reset": "reset-told",
    "keeps the first session": "newest-session",
    "hurries at a drain": "drain",
    "says goodbye at a drain": "keeps-session",
    "comes back always": "stays-away",
    "hides the end": "end-told",
    "does not wait": "retry-after",
    "ignores the token's end": "refreshes",
    "comes with the old token": "newer-token",
    "rings in silence": "says-ringing",
    "rings for ever": "ring-ends",
    "fears to be moved": "moved",
    "hangs up at glare": "glare",
    "ends any call": "late-hangup",
    "names the first call": "names-call",
}
"""Each way to be broken, and the promise that is broken so."""

BACKOFF_S: Final = 0.2
QUICK_S: Final = 0.1
RING_MARGIN_S: Final = 10.0

ROOM_EVENTS: Final = ("MEMBER_JOINED", "MEMBER_LEFT", "MEMBER_UPDATED", "ROOM_CHANGED")
EVENTS: Final = ("MESSAGE", "TOKEN_EXPIRING", "RECONNECT", *ROOM_EVENTS)

HANGS_UP: Final[Json] = {"reason": "hangup"}

FINAL_BELOW_4000: Final = (1000, 1002, 1003, 1007, 1009)


class Small:
    """The client, and a `Channel` to it. `way` is one of `WAYS`, or empty: it is sound."""

    def __init__(self, way: str = "") -> None:
        self._way = way
        self._said: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._socket: websocket.ClientConnection | None = None
        self._url = self._token = self._first_token = ""
        self._session = self._first_session = self._place = self._last = ""
        self._pending: dict[str, tuple[str, asyncio.Future[Json]]] = {}
        self._ids = itertools.count(1)
        self._seen: set[str] = set()
        self._rooms: set[str] = set()
        self._rings_s = 0.0
        self._ringing: set[str] = set()
        self._calls: dict[str, str] = {}
        self._first_call: dict[str, str] = {}
        self._offering: set[str] = set()
        self._is_over = False

    def _is(self, way: str) -> bool:
        assert way in WAYS
        return self._way == way

    async def lines(self) -> AsyncIterator[bytes]:
        """Iterate over what the driver says."""
        while (line := await self._said.get()) is not None:
            yield line

    async def write(self, line: bytes) -> None:
        """Do what the driver is told."""
        self._start(self._obey(json.loads(line)))

    async def end(self) -> None:
        """End everything."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._socket is not None:
            await self._socket.close()
        self._said.put_nowait(None)

    def _start(self, what: Any) -> None:
        task = asyncio.ensure_future(what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _say(self, **line: object) -> None:
        self._said.put_nowait(json.dumps(line).encode())

    async def _obey(self, order: Json) -> None:
        do, number = order["do"], order["id"]
        match do:
            case "connect":
                self._url, self._token, self._first_token = order["url"], order["token"], order["token"]
                await self._connect()
                self._say(id=number)
            case "token":
                self._token = order["token"]
                self._say(id=number)
            case "join":
                await self._join(number, order["room"])
            case "call" | "answer" | "hangup":
                cmd = {"call": "WEBRTC_OFFER", "answer": "WEBRTC_ANSWER", "hangup": "WEBRTC_HANGUP"}[do]
                self._ringing.discard(order["to"])
                await self._signal(cmd, order["to"])
                self._say(id=number)
            case "close":
                self._is_over = True
                assert self._socket is not None
                await self._socket.close(3001 if self._is("leaves without a word") else 1000)
                self._say(id=number)

    async def _connect(self) -> None:
        options = {"acks": "1", "roster": "1", "calls": "1", "place": "1", "resume": self._session}
        if self._place or self._is("wants places of everybody"):
            options["lastPlace"] = "1" if self._is("forgets what it had") else self._place
        else:
            options["last"] = self._last
        if self._is("begins anew"):
            options["resume"] = ""
        token = self._first_token if self._is("comes with the old token") else self._token
        headers = {} if self._is("forgets the token") else {"Authorization": f"Bearer {token}"}
        socket = await websocket.connect(
            f"{self._url}?{urlencode(options)}", additional_headers=headers, proxy=None
        )
        try:
            welcome = json.loads(await socket.recv())
        except ConnectionClosed:
            await socket.close()
            raise
        self._welcomed(welcome)
        old, self._socket = self._socket, socket
        self._start(self._read(socket))
        if old is not None:
            await old.close(1000 if self._is("says goodbye at a drain") else 3001)
        open_ = [frame for frame, _ in self._pending.values()]
        for frame in reversed(open_) if self._is("sends the newest first") else open_:
            await socket.send(frame)

    def _welcomed(self, welcome: Json) -> None:
        data = welcome["data"]
        was = self._session
        self._session, self._place = data["resumeToken"], welcome.get("place", "")
        self._rings_s = data.get("offerTimeout", 60) + RING_MARGIN_S
        self._first_session = self._first_session or self._session
        if self._is("keeps the first session"):
            self._session = self._first_session
        if was and not data["resumed"] and not self._is("hides a reset"):
            self._say(heard="reset")

    async def _read(self, socket: websocket.ClientConnection) -> None:
        try:
            async for frame in socket:
                if socket is self._socket and not self._is_over:
                    await self._take(str(frame))
        except ConnectionClosed:
            pass
        if socket is self._socket:
            await self._lost(socket.close_code or 1006)

    async def _lost(self, code: int) -> None:
        stays = code in FINAL_BELOW_4000 or code >= 4500
        if code == 4501:
            stays = self._token == self._first_token
        if self._is("stays away from a restart") and code == 1012:
            stays = True
        if self._is("comes back always"):
            stays = False
        if stays or self._is_over:
            self._ended(code)
            return
        await self._return(BACKOFF_S)

    def _ended(self, code: int) -> None:
        self._is_over = True
        if not self._is("hides the end"):
            self._say(heard="closed", code=code)

    async def _return(self, wait_s: float) -> None:
        while not self._is_over:
            await asyncio.sleep(wait_s + random.random() * BACKOFF_S)
            wait_s = BACKOFF_S
            try:
                await self._connect()
                break
            except InvalidStatus as refused:
                after = refused.response.headers.get("Retry-After", "0")
                wait_s = QUICK_S if self._is("does not wait") else float(after)
            except ConnectionClosed as end:
                code = 1006 if end.rcvd is None else end.rcvd.code
                if code >= 4500 and not self._is("comes back always"):
                    self._ended(code)
            except OSError:
                pass

    async def _take(self, frame: str) -> None:
        message = json.loads(frame)
        is_older = not self._place  # a server that names no places
        if "place" in message or (is_older and message["cmd"] in EVENTS):
            self._place, self._last = message.pop("place", ""), message["requestId"]
            seen = message["requestId"] if self._is("knows by ids") else json.dumps(message)
            if seen in self._seen and not self._is("tells all twice"):
                return
            self._seen.add(seen)
            await self._hear(message["cmd"], message["data"])
            return
        request_id = message["requestId"]
        if self._is("believes in order") and self._pending:
            request_id = next(iter(self._pending))
        waiting = self._pending.get(request_id)
        if waiting is None:
            return
        if message.get("reason") == "INTERNAL":
            again = waiting[0]
            if self._is("names each try anew"):
                again = again.replace(f'"{request_id}"', f'"{request_id}-again"')
            assert self._socket is not None
            await self._socket.send(again)
            return
        del self._pending[request_id]
        if not waiting[1].done():
            waiting[1].set_result(message)

    async def _hear(self, cmd: str, data: Json) -> None:
        match cmd:
            case "MESSAGE":
                self._say(heard="message", data=data["data"])
            case "WEBRTC_OFFER":
                await self._hear_offer(data["from"], data.get("call", ""))
            case "WEBRTC_ANSWER":
                self._offering.discard(data["from"])
                self._say(heard="answer", **{"from": data["from"]})
            case "WEBRTC_HANGUP":
                peer, call = data["from"], data.get("call", "")
                if call == self._calls.get(peer) or self._is("ends any call"):
                    ended = self._calls.pop(peer, "")
                    self._say(heard="hangup", **{"from": peer}, call=ended)
            case "WEBRTC_INFO":
                pass  # it shows nothing of that
            case "TOKEN_EXPIRING":
                if not self._is("ignores the token's end"):
                    self._start(self._ask("REFRESH_TOKEN", {"token": self._token}))
            case "RECONNECT":
                wait_s = (data["afterMs"] + data["jitterMs"] * random.random()) / 1000
                self._start(self._leave(0.0 if self._is("hurries at a drain") else wait_s))
            case event if event in ROOM_EVENTS:
                if self._is("fears to be moved") and data["room"] not in self._rooms and "members" in data:
                    self._is_over = True
                    assert self._socket is not None
                    await self._socket.close(3002)
            case _:
                if self._is("fears the unknown"):
                    self._is_over = True
                    assert self._socket is not None
                    await self._socket.close(3002)

    async def _hear_offer(self, peer: str, call: str) -> None:
        is_glare = peer in self._offering
        self._calls[peer] = call
        self._first_call.setdefault(peer, call)
        self._say(heard="offer", **{"from": peer}, call=call)
        if not is_glare:
            self._ringing.add(peer)
            self._start(self._ring(peer, call))
        else:
            self._start(
                self._signal("WEBRTC_HANGUP" if self._is("hangs up at glare") else "WEBRTC_ANSWER", peer)
            )

    async def _ring(self, peer: str, call: str) -> None:
        if not self._is("rings in silence"):
            await self._signal("WEBRTC_INFO", peer, {"ringing": True})
        await asyncio.sleep(self._rings_s)
        if peer in self._ringing and self._calls.get(peer) == call and not self._is("rings for ever"):
            self._say(heard="hangup", **{"from": peer}, call=call)
            await self._signal("WEBRTC_HANGUP", peer, {"reason": "timeout"})

    async def _leave(self, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        with contextlib.suppress(ConnectionClosed, OSError):
            await self._connect()

    async def _ask(self, cmd: str, data: Json) -> Json:
        request_id = "1" if self._is("uses an id twice") else f"small-{next(self._ids)}"
        module = {} if self._is("writes no module") else {"module": "ROOM"}
        frame = json.dumps({"requestId": request_id, **module, "cmd": cmd, "data": data})
        answer: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._pending[request_id] = frame, answer
        with contextlib.suppress(ConnectionClosed):
            assert self._socket is not None
            await self._socket.send(frame)
        return await answer

    async def _signal(self, cmd: str, to: str, what: Json = HANGS_UP) -> None:
        if cmd == "WEBRTC_OFFER":
            self._offering.add(to)
        call = (self._first_call if self._is("names the first call") else self._calls).get(to)
        sender = "somebody" if self._is("calls itself somebody") else "me"
        body = {"from": sender, "to": to, "data": what, **({"call": call} if call else {})}
        await self._ask(cmd, body)

    async def _join(self, number: int, room: str) -> None:
        self._rooms.add(room)
        answer = await self._ask("JOIN", {"room": room})
        members: list[str] = []
        while answer["code"] == 200:
            members += [member["userId"] for member in answer["data"]["members"]]
            following = answer["data"].get("next")
            if not following or self._is("reads one page"):
                self._say(id=number, members=members)
                return
            answer = await self._ask("MEMBERS", {"room": room, "after": following})
        if self._is("leaves when refused"):
            self._is_over = True
            assert self._socket is not None
            await self._socket.close(3002)
        if not self._is("keeps refusals to itself"):
            self._say(id=number, failed=answer["reason"])
