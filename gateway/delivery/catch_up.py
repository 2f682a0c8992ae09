"""Bring what was stored but did not come: after the broker was away, or lost some of what it pushed.

The broker's nodes keep what is stored, but not what they were about to push when they died, or when the
connection between two of them broke. Every client is held back until what is missing has been read.
"""

import asyncio
import contextlib
import logging
from typing import Final, Protocol

from gateway.client.deliveries import Missed
from gateway.delivery.barriers import Barrier, Barriers
from gateway.delivery.feed import Feeds
from gateway.delivery.mailbox import Mailbox, News
from tieline import metrics
from tieline.runtime.broker import Broker, BrokerAway
from tieline.runtime.guard import bug_guard
from tieline.runtime.requests import NoAnswer
from tieline.runtime.single_flight import SingleFlight

RETRY_S: Final = 0.5
"""Between attempts to read the mailbox: an election takes a second or more."""

_log = logging.getLogger(__name__)


class CatchUpBeside(Protocol):
    """What comes from the mailbox beside the frames of sessions."""

    def hold(self) -> None:
        """Take nothing up any more, for something older may be missing."""
        ...

    async def catch_up(self, barrier: Barrier) -> None:
        """Bring what is missing, up to a barrier, and go on.

        Raises:
            NoAnswer, BrokerAway: that cannot be done now.
        """
        ...


class CatchUp:
    """Keeps the feeds of one gateway whole. Tasks belong to the given group."""

    def __init__(
        self, broker: Broker, feeds: Feeds, mailbox: Mailbox, barriers: Barriers, tasks: asyncio.TaskGroup
    ) -> None:
        self._broker = broker
        self._feeds = feeds
        self._mailbox = mailbox
        self._barriers = barriers
        self._reading = SingleFlight(tasks, self._read_until_whole)
        self.beside: CatchUpBeside | None = None
        """What else may have been lost, and is brought before the clients go on."""
        self.suspected_losses = 0
        """How often pushes may have been lost so far: the broker was away, it lost some, or it may have."""

    def suspect_loss(self) -> None:
        """Hold everything back, for nothing newer may come before what may be missing, and read that."""
        self.suspected_losses += 1
        self._feeds.hold()
        if self.beside is not None:
            self.beside.hold()
        self.start()

    def start(self) -> None:
        """Read what may be missing; without a broker nothing, for its return starts it."""
        if self._broker.is_connected:
            self._reading.start()

    async def _read_until_whole(self) -> None:
        """Read until no loss was suspected meanwhile; the broker's next return begins it again."""
        while self._broker.is_connected:
            losses = self.suspected_losses
            frames = None
            with (
                bug_guard(_log, "not caught up with the mailbox: a bug"),
                contextlib.suppress(NoAnswer, BrokerAway),
            ):
                frames = await self._read(losses)
            if frames is None:
                await asyncio.sleep(RETRY_S)
            elif self.suspected_losses == losses:
                _log.info("caught up with the mailbox", extra={"frames": frames})
                return

    async def _read(self, losses: int) -> int:
        """Read what is missing and release every client, unless a new loss is suspected; returns how much."""
        held = {feed: feed.held_count for feed in self._feeds.live()}  # before the barrier is sent
        barrier = await self._barriers.passed()
        feeds = self._feeds.live()
        known: dict[str, int] = {}
        for feed in feeds:  # of a session that is resumed on its own gateway there are two
            known[feed.stored_as] = min(feed.last_sequence, known.get(feed.stored_as, feed.last_sequence))
        news = await self._mailbox.news(known, barrier)
        if self.beside is not None:
            await self.beside.catch_up(barrier)
        count = incomplete = 0
        for feed in feeds:
            if self.suspected_losses != losses:  # by now, or by what was released just now
                break
            frames, newest, numbers, over = news.get(feed.stored_as, News([], feed.last_sequence))
            count += len(frames)
            missed = Missed([], frames, newest, numbers, over=over)
            incomplete += feed.release(missed, older=held.get(feed, 0))
        if incomplete:
            _log.error("messages lost: stored no more", extra={"clients": incomplete})
        metrics.REPLAYED.inc(count)
        return count
