"""Consume what expires in the bucket: each expiry once, by whichever presence process is alive.

A timer is a key with a TTL. When it passes, the server leaves a marker that says so; a durable consumer,
shared by all presence processes, hands each marker to one of them, and to another one if that one dies
before it has acknowledged it.
"""

import asyncio
import contextlib
import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig

from presence.changes import Changes
from presence.gateways import Gateways
from presence.rules import endings, session
from presence.store import StoreUnavailable
from tieline import metrics
from tieline.runtime.broker import Broker, BrokerAway, Msg
from tieline.runtime.cancelling import cancellable
from tieline.runtime.guard import bug_guard
from tieline.runtime.unreadable import Unreadable
from tieline.wire import jetstream_headers
from tieline.wire.ids import ConnectionId, GatewayId, RoomId, UserId
from tieline.wire.partitions import FIRST, unplaced
from tieline.wire.permissions import TIMERS
from tieline.wire.subjects import Keys, identifier

ACK_WAIT_S: Final = 20.0
"""After so long without a word the marker is handed to another process; ending a full gateway's sessions
takes longer than that, and says in between that it is at it."""

WORKING_S: Final = 5.0
"""How often it says so."""

FETCH_WAIT_S: Final = 5.0
"""How long one fetch waits for something to expire."""

GATHER_S: Final = 0.2
"""Between two fetches, unless the last one has brought all that it asked for. A timer is handed out when it
is set as well as when it has expired, and those that are set meanwhile come together. So much later an expiry
is carried out at most."""

RETRY_S: Final = 1.0
"""Between attempts when the broker or the bucket does not answer."""

CARRIED_OUT_TTL_S: Final = 1
"""How long what takes the place of a carried out marker stays; JetStream takes nothing shorter."""

AT_ONCE: Final = 64
"""Expiries that one process carries out side by side. The next one begins when any of them is done: to end
the sessions of a gateway takes seconds, and the offers of others must not wait for that."""

CarryOut = Callable[[], Awaitable[object]]
"""Carries out one expiry."""


async def closed_already(_room: RoomId) -> None:
    """Close no room, where no backend asks for that."""


_log = logging.getLogger(__name__)


class Timers:
    """The loop that consumes expiries. `stream` is the bucket's stream, `prefix` its subject prefix."""

    def __init__(
        self,
        broker: Broker,
        stream: str,
        prefix: str,
        gateways: Gateways,
        changes: Changes,
        retry_s: float = RETRY_S,
        at: int = FIRST,
        at_once: int = AT_ONCE,
        close: Callable[[RoomId], Awaitable[None]] = closed_already,
    ) -> None:
        """Take also which partition of the bucket that is, and how many expiries go side by side.

        `close` puts more of the members out of a room that is being closed (`presence.closings`).
        """
        self._close = close
        self._at = at
        self._at_once = at_once
        self._broker = broker
        self._stream = stream
        self._prefix = prefix
        self._gateways = gateways
        self._changes = changes
        self._retry_s = retry_s
        self._unreadable = Unreadable(_log)
        self._stopping = False

    def stop(self) -> None:
        """Have `run` return, when its next fetch does; cancelling it as well makes that at once."""
        self._stopping = True

    async def run(self) -> None:
        """Consume until stopped."""
        while not self._stopping:
            with bug_guard(_log, "timers pause: a bug"):  # nats-py's, after which it is asked anew
                try:
                    await self._consume()
                except (NatsError, OSError) as error:  # a TimeoutError is one
                    _log.warning("timers pause", extra={"error": repr(error)})
            if not self._stopping:
                await asyncio.sleep(self._retry_s)

    async def _consume(self) -> None:
        context = self._broker.client.jetstream()
        config = ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, ack_wait=ACK_WAIT_S, max_ack_pending=10_000)
        subscription = await context.pull_subscribe(
            self._prefix + Keys.timers(), durable=TIMERS, stream=self._stream, config=config
        )
        failure: Exception | None = None
        try:
            async with asyncio.TaskGroup() as firing:
                try:
                    await self._fire_what_comes(subscription, firing)
                except Exception as error:  # raised in the group, it would end what is under way
                    failure = error
        finally:
            with contextlib.suppress(NatsError):  # without a broker there is nothing to unsubscribe from
                await subscription.unsubscribe()
        if failure is not None:
            raise failure

    async def _fire_what_comes(
        self, subscription: JetStreamContext.PullSubscription, firing: asyncio.TaskGroup
    ) -> None:
        """Carry out expiries as tasks of a group, and fetch as many as there are places."""
        under_way: set[asyncio.Task[None]] = set()
        while not self._stopping:
            if len(under_way) == self._at_once:
                await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                continue
            asked = self._at_once - len(under_way)
            try:
                markers = await cancellable(subscription.fetch(asked, timeout=FETCH_WAIT_S))
            except TimeoutError:  # nothing has expired
                continue
            for marker in markers:
                task = firing.create_task(self._fire(marker))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            if len(markers) < asked:
                await asyncio.sleep(GATHER_S)

    async def _fire(self, marker: Msg) -> None:
        """Carry out one expiry; settings and cancellations of timers pass here too, and mean nothing.

        A marker that meets a bug is not acknowledged: another process gets it, maybe of another version. One
        that is carried out is removed: it would take up room for as long as one waits for a process.
        """
        with bug_guard(_log, "expiry not carried out: a bug", key=marker.subject):
            settle = marker.ack
            expired = jetstream_headers.has_expired(marker.headers)
            try:
                carry_out = self._read(marker) if expired else None
            except ValueError as error:  # another process would not understand it either
                self._unreadable.note("timer", error, "a timer of no known kind")
                carry_out = None
            if carry_out is not None:
                try:
                    async with asyncio.TaskGroup() as firing:
                        alive = firing.create_task(_say_working(marker))
                        await carry_out()
                        alive.cancel()
                except* (StoreUnavailable, BrokerAway) as errors:
                    _log.warning("expiry failed", extra={"error": repr(errors.exceptions)})
                    settle, expired = functools.partial(marker.nak, delay=self._retry_s), False
            with contextlib.suppress(NatsError):  # without a broker the marker is handed out again, later
                await settle()
                if expired:
                    self._remove(marker)

    def _remove(self, marker: Msg) -> None:
        """Replace a marker by one that goes at once, unless the timer has been set again."""
        headers = jetstream_headers.deleting(marker.metadata.sequence.stream, CARRIED_OUT_TTL_S)
        with contextlib.suppress(BrokerAway):
            self._broker.send(marker.subject, b"", headers=headers)

    def _read(self, marker: Msg) -> CarryOut:
        """Read what expires, and count it; returns how that is carried out.

        Raises:
            ValueError: it is no timer of a kind that is known.
        """
        _, kind, *tokens = unplaced(marker.subject[len(self._prefix) :]).split(".")
        names = [identifier(token) for token in tokens]
        match kind, names:
            case "offer", [offerer, target, generation]:
                one, other = UserId(offerer), UserId(target)
                expire = functools.partial(endings.expire, one, other, generation)
                carry_out: CarryOut = functools.partial(self._changes.negotiation, one, other, expire)
            case "lease", [gateway]:
                before = marker.metadata.sequence.stream
                carry_out = functools.partial(self._lease_ran_out, GatewayId(gateway), before)
            case "away", [user, connection]:
                waiting, lost = UserId(user), ConnectionId(connection)
                expired = marker.metadata.sequence.stream
                carry_out = functools.partial(self._away_ran_out, waiting, lost, expired)
            case "close", [room]:
                carry_out = functools.partial(self._close, RoomId(room))
            case _:
                raise ValueError(f"a timer of no known kind: {marker.subject!r}")
        metrics.TIMERS_FIRED.labels(kind).inc()
        return carry_out

    async def _away_ran_out(self, user: UserId, lost: ConnectionId, expired: int) -> None:
        """End a session that was not resumed; or what is left of the calls of one that was replaced."""
        give_up = functools.partial(session.give_up, user, lost, expired=expired)
        await self._changes.user(user, give_up, also=(Keys.away_timer(user, lost),))
        await self._changes.end_old_calls(user)

    async def _lease_ran_out(self, gateway: GatewayId, before: int) -> None:
        dead = await self._gateways.lease_ran_out(gateway, before=before, at=self._at)
        _log.warning("gateway lease ran out", extra={"gateway": gateway, "dead": dead})


async def _say_working(marker: Msg) -> None:
    while True:
        await asyncio.sleep(WORKING_S)
        with contextlib.suppress(NatsError):  # whether the work can go on is found out by the work itself
            await marker.in_progress()
