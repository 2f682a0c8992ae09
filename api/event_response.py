"""An answer that goes on: what a follower is told (`api.following`), over its connection.

The next piece is made when the connection has taken the one before. A caller who takes none for a while is
told so, behind what it has not read yet, and is cut off.
"""

import asyncio
import contextlib
from typing import Final

from litestar.response.base import ASGIResponse
from litestar.types import HTTPResponseBodyEvent, Receive, Scope, Send

from api.following import Follower
from api.problems import NO_STORE
from api.server import DO, LET_PAST
from tieline.wire.server_sent import MEDIA_TYPE

SLOW_S: Final = 10.0
"""A caller who takes nothing for so long is cut off: it goes on where it was, on another connection."""

LAST_S: Final = 1.0
"""The same when the process is about to end, which waits for 5 s."""

_HEADERS: Final = {
    **NO_STORE,
    "Connection": "close",  # behind the last word nothing comes
    "X-Accel-Buffering": "no",  # a proxy that gathers answers would hold events back
}


class EventResponse(ASGIResponse):
    """Tells one follower, until it goes or the last word is said."""

    _should_set_content_length = False

    def __init__(self, follower: Follower) -> None:
        super().__init__(headers=_HEADERS, media_type=MEDIA_TYPE)
        self._follower = follower
        self._patience: asyncio.Timeout | None = None
        """Within which the piece that is being sent has to be taken; None: none is."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        with self._follower:
            await self.start_response(send)
            async with asyncio.TaskGroup() as answering:
                telling = answering.create_task(self._tell(scope, send))
                gone = answering.create_task(_gone(receive))
                hurrying = answering.create_task(self._hurry())
                await asyncio.wait((telling, gone), return_when=asyncio.FIRST_COMPLETED)
                for each in (telling, gone, hurrying):
                    each.cancel()

    async def _tell(self, scope: Scope, send: Send) -> None:
        async with contextlib.aclosing(self._follower.frames()) as frames:
            async for frame in frames:
                if not await self._is_taken(frame, send):
                    _let_past(scope)
                    await send(_body(self._follower.last_word("slow")))
                    break
        await send(_body(b"", is_last=True))

    async def _is_taken(self, frame: bytes, send: Send) -> bool:
        """Send one piece; returns whether the connection takes it in time."""
        patience_s = LAST_S if self._follower.ended.is_set() else SLOW_S
        try:
            async with asyncio.timeout(patience_s) as self._patience:
                await send(_body(frame))
        except TimeoutError:
            return False
        finally:
            self._patience = None
        return True

    async def _hurry(self) -> None:
        """Wait no longer than that for a piece to be taken once the process is about to end."""
        await self._follower.ended.wait()
        if self._patience is not None:
            self._patience.reschedule(asyncio.get_running_loop().time() + LAST_S)


def _let_past(scope: Scope) -> None:
    """Have the connection write what comes, if it waits for its reader."""
    let_past = (scope.get("extensions") or {}).get(LET_PAST, {}).get(DO)
    if callable(let_past):
        let_past()


def _body(piece: bytes, *, is_last: bool = False) -> HTTPResponseBodyEvent:
    return {"type": "http.response.body", "body": piece, "more_body": not is_last}


async def _gone(receive: Receive) -> None:
    """Wait until the caller has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
