"""Bring what was stored but did not come: after the broker was away, or lost some of what it pushed.

The broker's nodes keep what is stored, but not what they were about to push when they died, or when a line
between two of them broke. Everybody is held (`live`) until what is missing has been read.
"""

import asyncio
import logging
from typing import Final

from gateway.delivery.barriers import Marks
from gateway.delivery.connections import Live
from gateway.delivery.mailbox import MAX_MISSED, Mailbox, Missed
from tieline import metrics
from tieline.runtime.broker import Broker, BrokerAway
from tieline.runtime.message import Message
from tieline.runtime.requests import NoAnswer
from tieline.wire.codes import CloseCode

RETRY_S: Final = 0.5
"""Between attempts to read the mailbox: an election takes a second or more."""

_log = logging.getLogger(__name__)


class CatchUp:
    """Keeps every connection of one gateway whole. Tasks belong to the given group."""

    def __init__(
        self, broker: Broker, live: Live, mailbox: Mailbox, marks: Marks, tasks: asyncio.TaskGroup
    ) -> None:
        self._broker = broker
        self._live = live
        self._mailbox = mailbox
        self._marks = marks
        self._tasks = tasks
        self._is_running = False
        live.when_disturbed(self._start)
        broker.when_away(live.disturbed)
        broker.when_back(self._start)

    def on_election(self, _message: Message) -> None:
        """Take note that another node pushes from now on; the one before may have died before it had."""
        self._live.disturbed()

    def _start(self) -> None:
        if not self._is_running and self._broker.is_connected:
            self._is_running = True
            self._tasks.create_task(self._run())

    async def _run(self) -> None:
        """Read until nothing was disturbed meanwhile; the broker's next return begins it again."""
        try:
            while self._broker.is_connected:
                disturbances = self._live.disturbances
                try:
                    frames = await self._read(disturbances)
                except (NoAnswer, BrokerAway):
                    await asyncio.sleep(RETRY_S)
                    continue
                if self._live.disturbances == disturbances:
                    _log.info("caught up with the mailbox", extra={"frames": frames})
                    return
        finally:
            self._is_running = False

    async def _read(self, disturbances: int) -> int:
        """Read what is missing and let everybody go on, unless it was disturbed again; returns how much."""
        mark = await self._marks.passed()
        ears = self._live.ears()
        heard: dict[str, int] = {}
        for ear in ears:  # of a session that is resumed on its own gateway there are two
            heard[ear.kept] = min(ear.heard, heard.get(ear.kept, ear.heard))
        news = await self._mailbox.news(heard, mark)
        if self._live.disturbances != disturbances:
            return 0
        count = 0
        for ear in ears:
            frames, newest = news.get(ear.kept, ([], ear.heard))
            count += len(frames)
            if len(frames) > MAX_MISSED:
                ear.connection.close(CloseCode.BROKER_LOST)  # what came before those is kept no more
                continue
            ear.connection.deliveries.release(Missed([], frames, is_whole=True))
            ear.has_read(newest)
        metrics.REPLAYED.inc(count)
        return count
