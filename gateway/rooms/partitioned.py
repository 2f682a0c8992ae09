"""What sessions are sent where the mailbox is in several partitions: each session from the one of its user.

Each partition has the mail of its users and the logs of all rooms, in one order. So what a gateway does with
a mailbox (`gateway.rooms.delivery`), it does with each, and here is only chosen between them.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gateway.client.actions import AskPresence
from gateway.client.connection import Connection
from gateway.client.deliveries import Missed
from gateway.client.mail import Had
from gateway.client.session import Session
from gateway.delivery.delivery import Delivery
from gateway.rooms.delivery import RoomDelivery
from gateway.rooms.live_rooms import LiveRooms
from gateway.rooms.memberships import Answer, Ask, Memberships
from tieline.runtime.guard import BackgroundTasks
from tieline.wire.ids import UserId
from tieline.wire.internal.backend import JoinOrder


class Part(NamedTuple):
    """One partition's way to the clients of a gateway."""

    mailbox: Delivery
    rooms: LiveRooms
    memberships: Memberships
    delivery: RoomDelivery


class PartitionedDelivery:
    """The ways from all partitions, in their order, to the clients of one gateway; see `RoomDelivery`."""

    def __init__(self, parts: Sequence[Part], place_of: Callable[[UserId], int]) -> None:
        self._parts = parts
        self._place_of = place_of

    def _of(self, session: Session) -> Part:
        return self._parts[self._place_of(session.user)]

    @property
    def suspected_losses(self) -> int:
        """How often something that was pushed may have been lost so far."""
        return sum(part.delivery.suspected_losses for part in self._parts)

    async def start(self) -> None:
        """Watch for what may lose frames that are pushed. Call once, before the first session is followed."""
        for part in self._parts:
            part.mailbox.catch_up_beside(part.rooms)
            await part.mailbox.start()

    def keep(self, background: BackgroundTasks) -> list[asyncio.Task[None]]:
        """Look now and then whether something of a room did not come, until cancelled."""
        return [background.create_task(part.rooms.keep()) for part in self._parts]

    async def follow(self, connection: Connection, session: Session, had: Had | None = None) -> int:
        """Have what is stored for a session from now on pushed to its connection. See `RoomDelivery`."""
        return await self._of(session).delivery.follow(connection, session, had)

    async def missed(self, session: Session, had: Had) -> Missed:
        """Read what was stored before a session was followed, and listen to its rooms."""
        return await self._of(session).delivery.missed(session, had)

    def release(self, session: Session, missed: Missed) -> None:
        """Deliver what a session missed, then what was pushed meanwhile, and go on with what is pushed."""
        self._of(session).delivery.release(session, missed)

    async def settled(self) -> None:
        """Return when everything that was stored until now has been pushed, unless it was lost."""
        for part in self._parts:
            await part.delivery.settled()

    async def drop(self, session: Session) -> None:
        """Deliver nothing more to a session; nothing if it is not followed."""
        await self._of(session).delivery.drop(session)

    async def stores(self) -> bool:
        """Whether what is sent to sessions is stored and pushed; an absent broker is told elsewhere."""
        return all([await part.mailbox.stores() for part in self._parts])

    async def answer(self, session: Session, ask: AskPresence, asks: Ask) -> Answer:
        """Answer a client's JOIN, LEAVE or MEMBERS; None: it cannot be answered now."""
        return await self._of(session).memberships.answer(session, ask, asks)

    async def put_in(self, session: Session, wanted: JoinOrder, asks: Ask) -> Answer:
        """Make a client a member without its asking; None: that cannot be known now."""
        return await self._of(session).delivery.put_in(session, wanted, asks)

    def note_old_presence(self) -> None:
        """Take note that a process answers that writes no logs: what is known of rooms may be wrong."""
        for part in self._parts:
            part.memberships.note_old_presence()

    def forget_rosters(self) -> None:
        """Ask presence anew who is in the rooms."""
        for part in self._parts:
            part.rooms.forget_rosters()
