"""Barriers that a gateway sends to itself through the mailbox.

A subscription is confirmed by the broker's node that takes it, but frames are pushed by the node that leads
the mailbox, which may hear of it later. A barrier takes the same way as the subscription and comes back the
same way as the frames: when it is back, everything that is stored from then on will be pushed to us.
"""

import asyncio
import logging
import secrets
from collections import deque
from typing import Final, NamedTuple

from tieline.runtime.broker import Broker, BrokerAway
from tieline.runtime.message import Message
from tieline.runtime.requests import NoAnswer
from tieline.runtime.unreadable import Unreadable
from tieline.wire import jetstream_headers
from tieline.wire.ids import GatewayId
from tieline.wire.subjects import Subjects

TIMEOUT_S: Final = 2.0
"""For a barrier to come back: a leader election takes about as long, and then it is lost."""

_log = logging.getLogger(__name__)


class Barrier(NamedTuple):
    """A barrier that has come back: where it is stored."""

    subject: str
    sequence: int


_LOST: Final = Barrier("", 0)
"""What has not come back in time."""


class Barriers:
    """The barriers of one gateway."""

    def __init__(self, broker: Broker, subjects: Subjects, gateway: GatewayId) -> None:
        self._broker = broker
        self._subject = subjects.mark(gateway)
        self._live_subject = subjects.live_mark(gateway)
        self._loop = asyncio.get_running_loop()
        self._awaited: dict[bytes, asyncio.Future[Barrier | None]] = {}
        """Those that were sent; None as their result: they were not."""
        self._sent: deque[tuple[float, bytes]] = deque()
        """Those of the last moments, with when each is given up."""
        self._next: asyncio.Future[Barrier | None] | None = None
        """The one that is sent at the end of this turn of the loop."""
        self._unreadable = Unreadable(_log)

    async def start(self) -> None:
        """Subscribe to barriers. Call once, before the first."""
        await self._broker.subscribe(self._live_subject, self._on_pushed)

    async def passed(self) -> Barrier:
        """Send a barrier, and return when it is back.

        All that are wanted in one turn of the loop are one, which is sent behind everything of that turn:
        many sessions that come back at once, and their rooms, need no more.

        Raises:
            BrokerAway: it was not sent.
            NoAnswer: it did not come back.
        """
        back = self._next
        if back is None:
            back = self._next = self._loop.create_future()
            self._broker.on_flush(self._send)
        barrier = await asyncio.shield(back)
        if barrier is None:
            raise BrokerAway
        if barrier is _LOST:
            raise NoAnswer(self._subject)
        return barrier

    def _send(self) -> None:
        back, self._next = self._next, None
        assert back is not None
        name = secrets.token_bytes(8)  # any gateway may send a barrier to any other: it must not guess a name
        self._awaited[name] = back  # whatever sending meets, it is given up in time
        self._sent.append((self._loop.time() + TIMEOUT_S, name))
        if len(self._sent) == 1:  # else it is looked after behind those before it
            self._loop.call_later(TIMEOUT_S, self._give_up)
        try:
            self._broker.send(self._subject, name)
        except BrokerAway:
            del self._awaited[name]
            back.set_result(None)

    def _give_up(self) -> None:
        """Give up the barriers that have not come back in time. One timer does for all of them."""
        now = self._loop.time()
        while self._sent and self._sent[0][0] <= now:
            back = self._awaited.pop(self._sent.popleft()[1], None)
            if back is not None:
                back.set_result(_LOST)
        if self._sent:
            self._loop.call_later(self._sent[0][0] - now, self._give_up)

    def _on_pushed(self, message: Message) -> None:
        back = self._awaited.get(message.data)
        if back is None:
            return
        try:
            _, sequence = jetstream_headers.position(message.headers)
        except ValueError as error:
            self._unreadable.note("barrier", error)
            return
        del self._awaited[message.data]
        back.set_result(Barrier(self._subject, sequence))
