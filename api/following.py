"""Callers who follow the stream of events over HTTP, as server-sent events: each from a place of its own.

Nothing waits here for a caller: who is slow is not read for, and the events stay in the stream. Callers who
are at the same place share one reading. What they are sent, and how that ends, is in
docs/webhooks.md#following-events; how it goes over a connection is `api.event_response`.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Final, Literal, Protocol

from tieline import metrics
from tieline.event_stream import LAG_S, MOST_LOST, ROUND_S, News, Read
from tieline.webhook_bucket import Unavailable
from tieline.wire import cloud_events, server_sent
from tieline.wire.server_sent import EndReason

HEARTBEAT_S: Final = 10.0
"""Between two words to a caller to whom there is nothing to tell: balancers mostly close what is silent for
60 s, and it has a place that is not too old when its connection is lost."""

RETRY_S: Final = 1.0
"""Between attempts when the stream does not answer."""

AWAY_S: Final = 10.0
"""After so long without an answer a caller is told to ask again, and then why it is not answered."""


class Source(Protocol):
    """The stream of events; `tieline.event_stream.EventStream` is one."""

    async def begin(self) -> int:
        """Return the place behind which comes what happens from now on.

        Raises:
            NoStream: there is no stream.
            Unavailable: no answer.
        """
        ...

    async def read(self, after: int) -> list[Read]:
        """Read some of the events behind a place, in order. Raises `Unavailable`."""
        ...


class Full(Exception):
    """As many callers follow as may, or the process is about to end."""


class Follower:
    """One caller. Use it as a context: it keeps a place among so many."""

    def __init__(self, following: "Following", after: int, user: str, room: str) -> None:
        self._following = following
        self.place = after
        """Up to which it is read for."""
        self.told = after
        """Up to which it has taken what it was sent."""
        self._user = user
        self._room = room
        self.why: EndReason | Literal["gone"] = "gone"
        """Why it ends; the caller may go by itself at any time."""
        self.ended = asyncio.Event()
        """The last word is to be said: the process is about to end, or may tell this caller nothing more."""
        self._ends_because: EndReason = "stopping"

    def __enter__(self) -> "Follower":
        return self

    def __exit__(self, *_: object) -> None:
        self._following.leave(self)

    def end(self, reason: EndReason) -> None:
        """Have the last word said."""
        if not self.ended.is_set():
            self._ends_because = reason
            self.ended.set()

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """Give what is to be sent, piece by piece; the last one says why it ends."""
        loop = asyncio.get_running_loop()
        spoken_at = answered_at = loop.time()
        yield server_sent.opening(self.told)
        while not self.ended.is_set():
            try:
                read = await self._following.read(self.place)
            except Unavailable:
                if loop.time() - answered_at > self._following.away_s:
                    self.told = self.place
                    yield self.last_word("unavailable")
                    return
                await self._pause(RETRY_S)
                continue
            answered_at = loop.time()
            if frame := self._frame(read):
                spoken_at = loop.time()
                yield frame
                self.told = self.place
            elif loop.time() - spoken_at >= self._following.heartbeat_s:
                spoken_at = loop.time()
                yield server_sent.heartbeat(self.place)
                self.told = self.place
            elif not read:
                await self._news(spoken_at + self._following.heartbeat_s - loop.time())
        self.told = self.place
        yield self.last_word(self._ends_because)

    def last_word(self, reason: EndReason) -> bytes:
        """Say that the stream ends, and from where to go on."""
        self.why = reason
        return server_sent.end(self.told, reason)

    def _frame(self, read: list[Read]) -> bytes:
        """Write what of these events is wanted, and move on behind them."""
        if not read:
            return b""
        lost = read[0].sequence - self.place - 1
        frames = [server_sent.gap(0 if lost > MOST_LOST else lost)] if lost > 0 else []
        frames += [
            server_sent.event(each.sequence, each.event.body)
            for each in read
            if each.event is not None and not each.only_for and self._is_wanted(each.event.body)
        ]
        self.place = read[-1].sequence
        return b"".join(frames)

    def _is_wanted(self, body: bytes) -> bool:
        if not self._user and not self._room:
            return True
        return cloud_events.concerned(body).is_about(self._user, self._room)

    async def _news(self, patience_s: float) -> None:
        """Wait until there is something new, for so long at most, or until the process is about to end."""
        news = self._following.news
        if news.last > self.place:
            await self._pause(LAG_S)
            return
        async with asyncio.TaskGroup() as waiting:
            heard = waiting.create_task(news.after(self.place, max(0.0, min(patience_s, ROUND_S))))
            ended = waiting.create_task(self.ended.wait())
            await asyncio.wait((heard, ended), return_when=asyncio.FIRST_COMPLETED)
            heard.cancel()
            ended.cancel()

    async def _pause(self, for_s: float) -> None:
        """Wait so long, or until the process is about to end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(for_s):
                await self.ended.wait()


class Following:
    """All who follow, so many at most. Readings belong to the given group."""

    def __init__(
        self,
        source: Source,
        news: News,
        most: int,
        tasks: asyncio.TaskGroup,
        heartbeat_s: float = HEARTBEAT_S,
        away_s: float = AWAY_S,
    ) -> None:
        self._source = source
        self.news = news
        self._most = most
        self._tasks = tasks
        self.heartbeat_s = heartbeat_s
        self.away_s = away_s
        self._followers: dict[Follower, asyncio.TimerHandle | None] = {}
        """Each with what ends it when it may follow no longer; None: nothing does."""
        self._readings: dict[int, asyncio.Task[list[Read] | Unavailable]] = {}
        self._is_ended = False

    def __len__(self) -> int:
        return len(self._followers)

    async def begin(self, after: int | None, user: str, room: str, for_s: float | None = None) -> Follower:
        """Let somebody follow from behind a place, None: from now on; and for so long, None: for good.

        Raises:
            Full: no more may.
            NoStream: there is no stream.
            Unavailable: it does not answer.
        """
        self._demand_room()
        last = await self._source.begin()
        self._demand_room()
        follower = Follower(self, last if after is None else min(after, last), user, room)
        ending = None
        if for_s is not None:
            ending = asyncio.get_running_loop().call_later(max(0.0, for_s), follower.end, "expired")
        self._followers[follower] = ending
        metrics.API_EVENT_STREAMS.set(len(self._followers))
        return follower

    def _demand_room(self) -> None:
        if self._is_ended or len(self._followers) >= self._most:
            raise Full

    def leave(self, follower: Follower) -> None:
        """Give the place of one to another one."""
        if ending := self._followers.pop(follower, None):
            ending.cancel()
        metrics.API_EVENT_STREAMS.set(len(self._followers))
        metrics.API_EVENT_STREAMS_ENDED.labels(follower.why).inc()

    async def read(self, after: int) -> list[Read]:
        """Read behind a place, once for all who are there. Raises `Unavailable`."""
        reading = self._readings.get(after)
        if reading is None:
            reading = self._readings[after] = self._tasks.create_task(self._read(after))
            reading.add_done_callback(lambda _: self._readings.pop(after, None))
        found = await asyncio.shield(reading)
        if isinstance(found, Unavailable):
            raise found
        return found

    async def _read(self, after: int) -> list[Read] | Unavailable:
        try:
            return await self._source.read(after)
        except Unavailable as error:  # raised in the group, it would end what others read
            return error

    def end(self) -> None:
        """Tell all that it ends, and let nobody begin any more."""
        self._is_ended = True
        for follower in self._followers:
            follower.end("stopping")
