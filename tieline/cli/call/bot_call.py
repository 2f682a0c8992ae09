"""One call of the bot: its present peer, the sound that has come, and how the call ended.

Signals to the other end are sent by `bot`.
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

HANGUP_S: Final = 2.0
"""For the hang-up of the other end to arrive, after its media has ended."""

RESTART_S: Final = 30.0
"""For the other end to restart ICE after the media has stopped; browsers try within seconds."""


class MediaStopped(NamedTuple):
    """The media of a call has ended, for this reason."""

    call: "BotCall"
    reason: str


class MediaFlows(NamedTuple):
    """Media flows, over this path."""

    call: "BotCall"
    path: str


MediaEvent = MediaStopped | MediaFlows


class BotCall:
    """One call with one user. `close` ends it; until then `report` gets the events of its media."""

    def __init__(
        self, user: str, record: Path | None, tasks: asyncio.TaskGroup, report: Callable[[MediaEvent], None]
    ) -> None:
        self.user = user
        self.peer: Peer | None = None
        self.is_answered = False
        self._recorder = Recorder(record)
        self._record = record
        self._tasks = tasks
        self._report = report
        self._running: list[asyncio.Task[None]] = []

    async def use(self, peer: Peer) -> None:
        """Replace the peer by another, or begin with the first."""
        await self._drop_peer()
        self.peer = peer
        self._running = [self._tasks.create_task(self._listen(peer))]

    def answered(self) -> None:
        """Note that both ends have sent a description: media is to come."""
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
        """A sentence for people: which sound came, and where it is kept."""
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
            self._report(MediaFlows(self, peer.path))
            if await peer.ended() == "closed":
                await asyncio.sleep(HANGUP_S)  # a hang-up ends this
                self._report(MediaStopped(self, "hangup"))
                return
        await asyncio.sleep(RESTART_S)  # an ICE restart brings another peer, and cancels this
        self._report(MediaStopped(self, "failed"))


async def _within(seconds: float, event: Awaitable[None]) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event
    except (TimeoutError, PeerFailed):
        return False
    return True
