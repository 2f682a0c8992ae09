"""Ask the backend's API, from an application's backend in Python: a method for each operation.

A change is sent again, with the same key, while nobody answers: so it is made once, whatever happens on the
way. The service that answers is `api/`; commands ask in the same way (`tieline.cli.backend`).
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from tieline.api import bodies
from tieline.api.answers import BETWEEN_S, RETRIED, Unavailable, read, said_in
from tieline.api.bodies import Changed, Event, Member, MemberPage, Room, RoomPage, Statistics, Token, User
from tieline.api.streaming import follow

PATIENCE_S: Final = 10.0
"""How long one request is repeated: twice as long as the API itself waits for presence."""

ANSWER_S: Final = 8.0
"""For one answer: the API gives one within 5 s."""

BodyT = TypeVar("BodyT", bound=bodies.Body)

_encode = msgspec.json.Encoder().encode


class Backend:
    """The API at one address, with one key. Use it as `async with`."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        patience_s: float = PATIENCE_S,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Take also for how long a request is repeated, and what carries it (for tests)."""
        self._patience_s = patience_s
        self._http = httpx.AsyncClient(
            base_url=url.rstrip("/") + "/v1",
            headers={"Authorization": f"Bearer {key}"},
            timeout=ANSWER_S,
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def rooms(self) -> AsyncIterator[Room]:
        """List all rooms, in the order of their names."""
        after = ""
        while True:
            page = await self._get("/rooms", RoomPage, {"after": after} if after else {})
            for room in page.rooms:
                yield room
            if not (after := page.next):
                return

    async def room(self, room: str) -> Room:
        """Look at one room."""
        return await self._get(f"/rooms/{_quoted(room)}", Room)

    async def members(self, room: str) -> AsyncIterator[Member]:
        """List all members of a room, in the order of their names."""
        after = ""
        while True:
            found = {"after": after} if after else {}
            page = await self._get(f"/rooms/{_quoted(room)}/members", MemberPage, found)
            for member in page.members:
                yield member
            if not (after := page.next):
                return

    async def member(self, room: str, user: str) -> Member:
        """Look at one member of a room."""
        return await self._get(_member(room, user), Member)

    async def add_member(self, room: str, user: str, *, once: str = "") -> Changed:
        """Make a user a member of a room, now and whenever it is connected."""
        return await self._change("PUT", _member(room, user), None, once)

    async def remove_member(self, room: str, user: str, *, once: str = "") -> Changed:
        """Put a user out of a room, and make it no member of it any more."""
        return await self._change("DELETE", _member(room, user), None, once)

    async def kick_member(self, room: str, user: str, seconds: float = 0, *, once: str = "") -> Changed:
        """Put a user out of a room, and keep it out for a while."""
        return await self._change(
            "POST", _member(room, user) + "/kick", bodies.KickOrder(seconds=seconds), once
        )

    async def close_room(self, room: str, seconds: float = 0, *, once: str = "") -> Changed:
        """Put everybody out of a room, and keep them out for a while.

        While that goes on it is asked about, for as long as a request is repeated; who is `left` then is put
        out by and by, which the same `once` asks about.
        """
        order, path = bodies.CloseOrder(seconds=seconds), f"/rooms/{_quoted(room)}/close"
        once = once or secrets.token_hex(16)
        loop = asyncio.get_running_loop()
        until = loop.time() + self._patience_s
        while True:
            changed = await self._change("POST", path, order, once)
            if not changed.left or loop.time() + BETWEEN_S > until:
                return changed
            await asyncio.sleep(BETWEEN_S)

    async def user(self, user: str) -> User:
        """Look at a user."""
        return await self._get(f"/users/{_quoted(user)}", User)

    async def disconnect_user(self, user: str, *, once: str = "") -> Changed:
        """End a user's session, and close its connection."""
        return await self._change("POST", f"/users/{_quoted(user)}/disconnect", None, once)

    async def ban_user(self, user: str, seconds: float, *, once: str = "") -> Changed:
        """Disconnect a user, and let it connect no more for a while."""
        return await self._change(
            "PUT", f"/users/{_quoted(user)}/ban", bodies.BanOrder(seconds=seconds), once
        )

    async def unban_user(self, user: str, *, once: str = "") -> Changed:
        """Let a user connect again."""
        return await self._change("DELETE", f"/users/{_quoted(user)}/ban", None, once)

    async def set_voice(self, user: str, allowed: bool, *, once: str = "") -> Changed:
        """Let a user start voice connections as its token says, or not at all."""
        order = bodies.VoiceOrder(allowed=allowed)
        return await self._change("PUT", f"/users/{_quoted(user)}/voice", order, once)

    async def end_call(self, user: str, peer: str, call: str = "", *, once: str = "") -> Changed:
        """End the call of two users: this one, or whichever they have."""
        path = f"/users/{_quoted(user)}/calls/{_quoted(peer)}/end"
        return await self._change("POST", path, bodies.EndCallOrder(call=call), once)

    async def message_user(self, user: str, data: Any, *, once: str = "") -> Changed:  # noqa: ANN401  # any JSON
        """Send a user a message."""
        order = bodies.MessageOrder(data=data)
        return await self._change("POST", f"/users/{_quoted(user)}/messages", order, once)

    async def message_room(self, room: str, data: Any, *, once: str = "") -> Changed:  # noqa: ANN401  # any JSON
        """Send every member of a room a message."""
        order = bodies.MessageOrder(data=data)
        return await self._change("POST", f"/rooms/{_quoted(room)}/messages", order, once)

    async def mint_token(self, order: bodies.TokenOrder) -> Token:
        """Mint an admission token."""
        return read(await self._send("POST", "/tokens", order, {}, {}), Token)

    async def statistics(self) -> Statistics:
        """Count what there is."""
        return await self._get("/statistics", Statistics)

    def events(
        self,
        *,
        user: str = "",
        room: str = "",
        after: int | None = None,
        on_gap: Callable[[int], None] = lambda _: None,
    ) -> AsyncIterator[Event]:
        """Follow what happens, of one user or room if that is named: from now on, or `after` a place.

        A connection that is lost is made anew, and goes on behind the last event that came. `on_gap` is told
        how many events are gone that were too old by then; 0: nobody knows.

        Raises:
            Refused: the API refuses it.
            Unavailable: nobody answers for as long as a request is repeated.
        """
        named = {name: value for name, value in (("user", user), ("room", room)) if value}
        return follow(self._http, named, after, on_gap, self._patience_s)

    async def _get(self, path: str, wanted: type[BodyT], query: Mapping[str, str] | None = None) -> BodyT:
        return read(await self._send("GET", path, None, {}, query or {}), wanted)

    async def _change(self, method: str, path: str, order: bodies.Order | None, once: str) -> Changed:
        headers = {"Idempotency-Key": once or secrets.token_hex(16)}
        return read(await self._send(method, path, order, headers, {}), Changed)

    async def _send(
        self,
        method: str,
        path: str,
        order: bodies.Order | None,
        headers: Mapping[str, str],
        query: Mapping[str, str],
    ) -> httpx.Response:
        """Send a request until it is answered.

        Raises:
            Unavailable: nobody answers.
        """
        content = b"" if order is None else _encode(order)
        headers = {**headers, "Content-Type": "application/json"} if content else headers
        loop = asyncio.get_running_loop()
        until = loop.time() + self._patience_s
        while True:
            said = ""
            try:
                answer = await self._http.request(
                    method, path, content=content, headers=headers, params=query
                )
            except httpx.TransportError as error:
                problem = str(error) or type(error).__name__
            else:
                if answer.status_code not in RETRIED:
                    return answer
                problem, said = f"it answers {answer.status_code}", said_in(answer)
            if loop.time() + BETWEEN_S > until:
                raise Unavailable(f"{self._http.base_url}: {problem}", said)
            await asyncio.sleep(BETWEEN_S)


def _quoted(name: str) -> str:
    quoted = quote(name, safe="")
    return quoted.replace(".", "%2E") if name in (".", "..") else quoted  # else they are steps of the path


def _member(room: str, user: str) -> str:
    return f"/rooms/{_quoted(room)}/members/{_quoted(user)}"
