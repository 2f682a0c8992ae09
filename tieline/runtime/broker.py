"""The connection to NATS, with every option of nats-py set on purpose.

nats-py's defaults give up after 60 reconnects, notice a dead broker after minutes, replay a buffer of
messages that nobody waits for any more, and let half a million messages pile up behind a slow callback.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.errors import SlowConsumerError

from tieline.runtime import metrics

PING_INTERVAL_S: Final = 2
"""Between pings to the broker: two unanswered ones make a dead connection noticed within 6 s."""

MAX_OUTSTANDING_PINGS: Final = 2

CONNECT_TIMEOUT_S: Final = 2
"""For one attempt; a broker on the same network answers in milliseconds."""

RECONNECT_WAIT_S: Final = 0.25
"""Between two attempts on one server: short, because every second without the broker is one without calls."""

DRAIN_S: Final = 2.0
"""For the broker's word that no more messages come: without a broker, none do."""

MAX_PENDING_SEND_BYTES: Final = 8 * 1024 * 1024
"""What may wait to be written to a broker that does not read: past it, sending fails instead of piling up."""

PENDING_MESSAGES: Final = 65_536
"""What may wait behind one subscription's callback before messages are dropped and counted."""

PENDING_BYTES: Final = 64 * 1024 * 1024

_log = logging.getLogger(__name__)

Listener = Callable[[], None]


class BrokerAway(Exception):
    """The broker cannot be reached, or does not read: nothing was sent. It may have come back in a moment."""


class Broker:
    """One process's connection to NATS.

    Sending is synchronous: it hands the bytes to nats-py's buffer, or raises `BrokerAway`. Nothing is kept
    for a broker that is away: whoever needs an answer asks again (`requests`).
    """

    def __init__(self, client: Client, on_away: list[Listener], on_back: list[Listener]) -> None:
        self.client = client
        self._on_away = on_away
        self._on_back = on_back

    @property
    def is_connected(self) -> bool:
        """Whether the broker answers, as far as is known now."""
        return bool(self.client.is_connected)

    def when_away(self, listener: Listener) -> None:
        """Call `listener` each time the connection is lost."""
        self._on_away.append(listener)

    def when_back(self, listener: Listener) -> None:
        """Call `listener` each time it has come back, with all subscriptions made again."""
        self._on_back.append(listener)

    def send(
        self, subject: str, payload: bytes, reply: str = "", headers: dict[str, str] | None = None
    ) -> None:
        """Publish one message. `subject` must come from `tieline.wire.subjects`: nothing checks it here.

        Raises:
            BrokerAway: not sent.
        """
        client = self.client
        if not client.is_connected or client.pending_data_size > MAX_PENDING_SEND_BYTES:
            raise BrokerAway
        publishing = client.publish(subject, payload, reply, headers)
        # With no pending limit (`connect` below) publish only appends to a buffer: it has no reason to
        # wait, and running it to its end here spares a task for every message.
        try:
            publishing.send(None)
        except StopIteration:
            return
        except NatsError as error:
            raise BrokerAway from error
        publishing.close()
        raise AssertionError("nats-py's publish waited, although it has nothing to wait for")

    async def subscribe(
        self, subject: str, callback: Callable[[Msg], Awaitable[None]], queue: str = ""
    ) -> Subscription:
        """Listen to a subject, alone or as one of a queue group. Made again after every reconnect."""
        return await self.client.subscribe(
            subject,
            queue=queue,
            cb=callback,
            pending_msgs_limit=PENDING_MESSAGES,
            pending_bytes_limit=PENDING_BYTES,
        )

    async def drain(self, subscription: Subscription) -> None:
        """Get no more messages on a subscription, after its callback has seen those that came already."""
        try:
            async with asyncio.timeout(DRAIN_S):
                await subscription.drain()  # type: ignore[no-untyped-call]
        except (NatsError, TimeoutError) as error:
            _log.warning("not drained: what was asked of us is asked again", extra={"error": repr(error)})

    async def flush(self) -> None:
        """Wait until the broker has taken everything sent before, subscriptions too.

        Raises:
            BrokerAway: it did not answer in time.
        """
        try:
            await self.client.flush(timeout=CONNECT_TIMEOUT_S)
        except (NatsError, OSError) as error:
            raise BrokerAway from error

    async def close(self) -> None:
        """Hand over what is still buffered, then hang up."""
        if self.client.is_connected:
            try:
                await self.flush()
            except BrokerAway:
                _log.warning("closing without the broker's word that it has everything")
        await self.client.close()


async def connect(urls: str, name: str) -> Broker:
    """Connect to the first of `urls` (comma-separated) that answers, and stay connected for ever.

    Waits for a broker that is not up yet, saying so every few seconds.
    """
    on_away: list[Listener] = []
    on_back: list[Listener] = []

    async def disconnected() -> None:
        metrics.NATS_CONNECTED.set(0)
        _log.warning("broker away")
        for listener in on_away:
            listener()

    async def reconnected() -> None:
        metrics.NATS_CONNECTED.set(1)
        metrics.NATS_RECONNECTS.inc()
        _log.warning("broker back", extra={"broker": client.connected_url and client.connected_url.netloc})
        for listener in on_back:
            listener()

    async def failed(error: Exception) -> None:
        if isinstance(error, SlowConsumerError):
            metrics.NATS_ERRORS.labels("slow_consumer").inc()
            _log.error("messages dropped: a subscription is too slow", extra={"subject": error.subject})
        else:
            metrics.NATS_ERRORS.labels("other").inc()
            _log.log(_gravity(error, client), "broker error", extra={"error": repr(error)}, exc_info=error)

    client = Client()
    servers = [url.strip() for url in urls.split(",")]
    complained = 0.0
    while True:
        try:
            await client.connect(
                servers,
                name=name,
                error_cb=failed,
                disconnected_cb=disconnected,
                reconnected_cb=reconnected,
                allow_reconnect=True,
                max_reconnect_attempts=-1,
                reconnect_time_wait=RECONNECT_WAIT_S,  # type: ignore[arg-type]  # seconds, fractions welcome
                connect_timeout=CONNECT_TIMEOUT_S,
                ping_interval=PING_INTERVAL_S,
                max_outstanding_pings=MAX_OUTSTANDING_PINGS,
                pending_size=0,  # no stale replay after a reconnect, and no waiting inside publish
                skip_subject_validation=True,  # every subject is built by tieline.wire.subjects
                inbox_prefix=f"_INBOX_{name}",
            )
        except (OSError, NatsError, TimeoutError) as error:
            now = asyncio.get_running_loop().time()
            if now - complained > 5:
                complained = now
                _log.warning("waiting for the broker", extra={"error": repr(error)})
            await asyncio.sleep(RECONNECT_WAIT_S)
        else:
            metrics.NATS_CONNECTED.set(1)
            return Broker(client, on_away, on_back)


def _gravity(error: Exception, client: Client) -> int:
    """Grade an error: a bug of ours in a callback, trouble with the broker, or one more vain attempt."""
    if not isinstance(error, OSError | NatsError | TimeoutError):
        return logging.ERROR
    return logging.WARNING if client.is_connected else logging.DEBUG


__all__ = ["Broker", "BrokerAway", "Msg", "Subscription", "connect"]
