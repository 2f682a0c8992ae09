"""What sessions are sent by others: all of it, in order, from the mailbox to their clients.

The rest of the gateway knows no more of this folder than this class and `connections`. Behind it, `feed` has
what the mailbox pushes, `mailbox` reads what was stored, `barriers` tell that a subscription has taken
effect, and `catch_up` reads what was pushed but did not come.
"""

import asyncio
from typing import NamedTuple

from gateway.client.connection import Connection
from gateway.client.deliveries import MAX_BACKLOG_BYTES, PART_BYTES, Backlogs, Missed
from gateway.client.session import Session
from gateway.delivery.barriers import Barrier, Barriers
from gateway.delivery.catch_up import CatchUp, CatchUpBeside
from gateway.delivery.feed import Feed, Feeds
from gateway.delivery.mailbox import LONG_AT_ONCE, Mailbox
from tieline.runtime.broker import Broker, BrokerAway
from tieline.runtime.message import Message
from tieline.runtime.requests import NoAnswer, Requests
from tieline.wire.ids import GatewayId
from tieline.wire.subjects import Subjects


class Shares(NamedTuple):
    """What the ways from all partitions of the mailbox to one gateway's clients have together."""

    backlogs: Backlogs
    long: asyncio.Semaphore
    """Of the sessions of which more than a part is read."""


class Delivery:
    """The way from the mailbox to the clients of one gateway. Tasks belong to the given group."""

    def __init__(
        self,
        broker: Broker,
        requests: Requests,
        subjects: Subjects,
        gateway: GatewayId,
        tasks: asyncio.TaskGroup,
        max_backlog_bytes: int = MAX_BACKLOG_BYTES,
        shares: Shares | None = None,
    ) -> None:
        """Take also what it shares with the ways from other partitions, if there are any."""
        shares = shares or Shares(Backlogs(max_backlog_bytes), asyncio.Semaphore(LONG_AT_ONCE))
        self._broker = broker
        self._elections = subjects.mailbox_elections()
        self._barriers = Barriers(broker, subjects, gateway)
        self._mailbox = Mailbox(requests, subjects, shares.long)
        self._feeds = Feeds(broker, subjects, shares.backlogs)
        self._catch_up = CatchUp(broker, self._feeds, self._mailbox, self._barriers, tasks)

    async def start(self) -> None:
        """Watch for what may lose frames that are pushed. Call once, before the first session is followed."""
        self._broker.when_away(self._catch_up.suspect_loss)
        self._broker.when_back(self._catch_up.start)
        await self._broker.subscribe(self._elections, self._on_election)
        await self._barriers.start()

    @property
    def suspected_losses(self) -> int:
        """How often something that was pushed may have been lost so far."""
        return self._catch_up.suspected_losses

    async def follow(self, connection: Connection, session: Session) -> int:
        """Have what is stored for a session from now on pushed to its connection, once it is released.

        Returns a number behind which all of that is stored.

        Raises:
            BrokerAway, NatsError, NoAnswer: that cannot be told, or there is no broker.
        """
        feed = await self._feeds.subscribe(connection, session, self._catch_up.suspect_loss)
        feed.barrier = await self._barriers.passed()
        return feed.barrier.sequence

    async def missed(self, session: Session, last: str, has_had: int = 0, lost_at: int = 0) -> Missed:
        """Read what was stored before a session was followed, split after what the client has had.

        See `Mailbox.missed`. A number that nothing has yet is of a stream that was lost: it says nothing.

        Raises:
            NoAnswer: it cannot be read.
        """
        feed = self._feeds.get(session)
        assert feed is not None
        assert feed.barrier is not None
        if has_had > feed.barrier.sequence:
            has_had = 0
        missed = await self._mailbox.missed(
            session.user, session.session, last, feed.barrier, has_had, lost_at
        )
        if missed.size > PART_BYTES and not self._feeds.backlogs.have_room(missed.size):
            raise NoAnswer("too many others are sent what they missed")
        return missed

    def release(self, session: Session, missed: Missed) -> None:
        """Deliver what a session missed, then what was pushed meanwhile, and go on with what is pushed."""
        feed = self._feeds.get(session)
        if feed is not None:
            feed.release(missed)

    async def barrier(self) -> Barrier:
        """Send a barrier, and return when it is back. See `Barriers.passed`."""
        return await self._barriers.passed()

    def feed(self, session: Session) -> Feed | None:
        """Find the feed of a session that is followed."""
        return self._feeds.get(session)

    def suspect_loss(self) -> None:
        """Hold everything back, and read what may be missing. See `CatchUp.suspect_loss`."""
        self._catch_up.suspect_loss()

    def catch_up_beside(self, beside: CatchUpBeside) -> None:
        """Have something else caught up whenever something that is pushed may have been lost."""
        self._catch_up.beside = beside

    async def settled(self) -> None:
        """Return when everything that was stored until now has been pushed, unless it was lost.

        Raises:
            BrokerAway, NoAnswer: that cannot be told.
        """
        await self._barriers.passed()

    async def stores(self) -> bool:
        """Whether what is sent to sessions is stored and pushed; an absent broker is told elsewhere."""
        try:
            await self._barriers.passed()
        except NoAnswer:
            return False
        except BrokerAway:
            pass
        return True

    async def drop(self, session: Session) -> None:
        """Deliver nothing more to a session; nothing if it is not followed."""
        await self._feeds.drop(session)

    def _on_election(self, _message: Message) -> None:
        """Take note that another node pushes from now on; the one before may have died before it had."""
        self._catch_up.suspect_loss()
