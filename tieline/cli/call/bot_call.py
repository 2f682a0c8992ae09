"""One call of the bot: the peer it speaks through at the moment, what it has heard, and how it ended.

What is said to the other end, and when, is `bot`'s business.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, NamedTuple

from tieline.cli.call.peer import Peer, PeerFailed
from tieline.cli.call.sound import Recorder
from tieline.cli.call.tone import RATE, SHORTEST, measure

CONNECT_S: Final = 30.0
"""From the answer to the first packet; ICE itself gives up sooner, unless candidates are still missing."""

WORD_S: Final = 2.0
"""For the other end to say that it hangs up, after its media has said so."""

RESTART_S: Final = 30.0
"""For the other end to restart ICE after the media has stopped; browsers try within seconds."""


class PeerLost(NamedTuple):
    """The media of a talk has ended, for this reason."""

    talk: "Talk"
    reason: str


class PeerFound(NamedTuple):
    """Media flows, over this path."""

    talk: "Talk"
    path: str


News = PeerLost | PeerFound


class Talk:
    """One call with one user. `close` ends it; until then `tell` is given what becomes of its media."""

    def __init__(
        self, user: str, record: Path | None, tasks: asyncio.TaskGroup, tell: Callable[[News], None]
    ) -> None:
        self.user = user
        self.peer: Peer | None = None
        self.is_answered = False
        self._recorder = Recorder(record)
        self._record = record
        self._tasks = tasks
        self._tell = tell
        self._running: list[asyncio.Task[None]] = []

    async def use(self, peer: Peer) -> None:
        """Go on through another peer, or begin with the first."""
        await self._drop_peer()
        self.peer = peer
        self._running = [self._tasks.create_task(self._listen(peer))]

    def answered(self) -> None:
        """Both ends have described themselves: media is to come."""
        assert self.peer is not None
        if len(self._running) == 1:
            self._running.append(self._tasks.create_task(self._watch(self.peer)))
        self.is_answered = True

    async def close(self) -> None:
        """End it on this side."""
        await self._drop_peer()
        self._recorder.close()

    @property
    def has_heard(self) -> bool:
        """Whether any sound came."""
        return self._recorder.samples > 0

    @property
    def summary(self) -> str:
        """Say what was heard, and where it is kept."""
        return f"{self._heard}{self._recorded}"

    @property
    def _recorded(self) -> str:
        if self._record is None:
            return ""
        if self._recorder.problem is not None:
            return f"; could not be recorded in {self._record}: {self._recorder.problem}"
        return f"; recorded in {self._record}"

    @property
    def _heard(self) -> str:
        seconds = self._recorder.samples / RATE
        if self._recorder.samples < SHORTEST:
            return "heard nothing" if not self.has_heard else f"heard {seconds:.2f} s"
        heard = measure(self._recorder.last)
        return f"heard {seconds:.1f} s, at last mainly {heard.hz:.1f} Hz at {heard.level_db:.1f} dB"

    async def _drop_peer(self) -> None:
        for task in self._running:
            task.cancel()
        self._running = []
        if self.peer is not None:
            await self.peer.close()
            self.peer = None

    async def _listen(self, peer: Peer) -> None:
        async for frame in peer.frames():
            self._recorder.hear(frame)

    async def _watch(self, peer: Peer) -> None:
        if await _within(CONNECT_S, peer.connected()):
            self._tell(PeerFound(self, peer.path))
            if await peer.ended() == "closed":
                await asyncio.sleep(WORD_S)  # a hang-up ends this
                self._tell(PeerLost(self, "hangup"))
                return
        await asyncio.sleep(RESTART_S)  # an ICE restart brings another peer, and cancels this
        self._tell(PeerLost(self, "failed"))


async def _within(seconds: float, event: Awaitable[None]) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event
    except (TimeoutError, PeerFailed):
        return False
    return True
