"""The connection to NATS, with every option of nats-py set on purpose.

nats-py's defaults give up after 60 reconnects, notice a dead broker after minutes, replay a buffer of
messages that are not waited for any more, and let half a million messages pile up behind a slow callback.
"""

import asyncio
import logging
import re
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import ParseResult, urlparse

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.errors import SlowConsumerError

from tieline.runtime import metrics
from tieline.runtime.guard import bug_guard
from tieline.runtime.message import Message, block
from tieline.runtime.nats_client import NatsClient
from tieline.runtime.nats_parser import Listener
from tieline.runtime.settings import BrokerLogin, SettingsError
from tieline.runtime.unreadable import Unreadable

PING_INTERVAL_S: Final = 2
"""Between pings to the broker: two unanswered ones make a dead connection noticed within 6 s."""

MAX_OUTSTANDING_PINGS: Final = 2

CONNECT_TIMEOUT_S: Final = 2
"""For one attempt; a broker on the same network answers in milliseconds."""

RECONNECT_WAIT_S: Final = 0.25
"""Between two attempts on one server: short, because every second without the broker is one without calls."""

LOG_EVERY_S: Final = 5.0
"""Between two log lines about a broker that is away: there are four attempts a second on each server."""

DRAIN_S: Final = 2.0
"""For the broker to confirm that no more messages come: without a broker, none do."""

MAX_PENDING_SEND_BYTES: Final = 8 * 1024 * 1024
"""What may wait to be written to a broker that does not read: past it, sending fails instead of piling up."""

NO_LOGIN: Final = BrokerLogin()

DEFAULT_PORT: Final = 4222
"""Of a broker whose URL names none."""

_ADDRESS: Final = re.compile(r"(nats://|tls://)?[^\s/]+/?")

_UNANSWERABLE: Final = re.compile(r'permissions violation for publish to "[^"]*\.reply\.[^"]*"')
"""What the broker says when it does not let an answer pass: it is late, or whoever asks has named one
place for many answers, as no process of ours does."""

_log = logging.getLogger(__name__)

Callback = Callable[[], None]


class BrokerAway(Exception):
    """The broker cannot be reached, does not read, or takes no message this long: nothing was sent.

    It may be back in a moment.
    """


class Broker:
    """One process's connection to NATS.

    Sending is synchronous: it hands the bytes to nats-py's buffer, or raises `BrokerAway`. Nothing is kept
    for a broker that is away: a caller that needs an answer asks again (`requests`).
    """

    def __init__(self, client: NatsClient, on_away: list[Callback], on_back: list[Callback]) -> None:
        self.client = client
        self._on_away = on_away
        self._on_back = on_back

    @property
    def is_connected(self) -> bool:
        """Whether the broker answers, as far as is known now."""
        return bool(self.client.is_connected)

    @property
    def is_alone(self) -> bool:
        """Whether the node that it is connected to has streams, and shares them with no other."""
        return self.client.is_alone

    def when_away(self, callback: Callback) -> None:
        """Call `callback` each time the connection is lost."""
        self._on_away.append(callback)

    def when_back(self, callback: Callback) -> None:
        """Call `callback` each time it has come back, with all subscriptions made again."""
        self._on_back.append(callback)

    def send(
        self, subject: str, payload: bytes, reply: str = "", headers: Mapping[str, str] | bytes = b""
    ) -> None:
        """Publish one message. `subject` must be well formed: nothing checks it here.

        An empty one is that of an answer for which nobody asked: it is not sent, or the broker would hang up.

        `headers` as bytes is a whole block, as `message.block` makes it.

        Raises:
            BrokerAway: not sent.
        """
        client = self.client
        if not client.takes(len(payload), MAX_PENDING_SEND_BYTES):
            raise BrokerAway
        if not subject:
            return
        client.write(subject, reply, payload, headers if isinstance(headers, bytes) else block(headers))

    def on_flush(self, callback: Callback) -> None:
        """Call `callback` once, at the end of this turn of the loop; what it sends goes out with the rest."""
        self.client.on_flush(callback)

    async def subscribe(self, subject: str, listener: Listener, queue: str = "") -> Subscription:
        """Listen to a subject, alone or as one of a queue group. Made again after every reconnect.

        `listener` must return soon: until it does, nothing else is read from the broker. Messages wait
        meanwhile in the sockets, and then in the broker, which disconnects a reader that is too slow.
        """
        return await self.client.listen(subject, queue, listener)

    async def drain(self, subscription: Subscription) -> None:
        """Unsubscribe after delivering what has already arrived."""
        try:
            async with asyncio.timeout(DRAIN_S):
                await subscription.drain()  # type: ignore[no-untyped-call]
        except (NatsError, OSError) as error:  # a timeout is one
            _log.warning("not drained: what was asked of us is asked again", extra={"error": repr(error)})

    async def flush(self) -> None:
        """Wait until the broker has received everything sent before, subscriptions too.

        Raises:
            BrokerAway: it did not answer in time.
        """
        if not self.client.is_connected:  # nats-py would return as if all were well
            raise BrokerAway
        try:
            await self.client.flush(timeout=CONNECT_TIMEOUT_S)
        except (NatsError, OSError) as error:
            raise BrokerAway from error

    async def settle(self) -> None:
        """Flush, however long that takes: a broker that goes away meanwhile has everything when it is back.

        For what was subscribed to, which is subscribed to again.
        """
        while True:
            try:
                await self.flush()
            except BrokerAway:
                await asyncio.sleep(RECONNECT_WAIT_S)
            else:
                return

    async def close(self) -> None:
        """Send what is still buffered, then disconnect."""
        if self.client.is_connected:
            try:
                await self.flush()
            except BrokerAway:
                _log.warning("closing without the broker's word that it has everything")
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self.client.close()
        except (NatsError, OSError) as error:
            _log.warning("hung up on a broker that was gone", extra={"error": repr(error)})

    def abandon(self) -> None:
        """Disconnect at once, without what is still buffered, and never reconnect."""
        self.client.abandon()


async def connect(
    urls: str,
    name: str,
    login: BrokerLogin = NO_LOGIN,
    inbox: str = "",
    on_failure: Callable[[Exception], None] | None = None,
) -> Broker:
    """Connect to the first of `urls` (comma-separated) that answers, and reconnect for ever.

    `inbox` is the prefix of the subjects for the answers to what nats-py itself asks, for JetStream.
    Waits for a broker that is not up yet, or does not let us in (yet), saying so every few seconds; what is
    told of each failure is `on_failure`, where there is somebody who waits for the end of it.

    Raises:
        SettingsError: `urls` can never be connected to, or the login is unusable.
    """
    on_away: list[Callback] = []
    on_back: list[Callback] = []
    logged_at = -LOG_EVERY_S
    guard = bug_guard(_log, "broker away or back: a bug")
    unreadable = Unreadable(_log)

    async def disconnected() -> None:
        metrics.NATS_CONNECTED.set(0)
        if client.is_closed:  # by `close`
            return
        client.forget_unsent()
        _log.warning("broker away")
        for callback in on_away:
            with guard:
                callback()

    async def reconnected() -> None:
        metrics.NATS_CONNECTED.set(1)
        metrics.NATS_RECONNECTS.inc()
        _log.warning("broker back", extra={"broker": _place(client.connected_url)})
        for callback in on_back:
            with guard:
                callback()

    async def failed(error: Exception) -> None:
        nonlocal logged_at
        if on_failure is not None:
            on_failure(error)
        if isinstance(error, SlowConsumerError):
            metrics.NATS_ERRORS.labels("slow_consumer").inc()
            _log.error("messages dropped: a subscription is too slow", extra={"subject": error.subject})
            return
        if _UNANSWERABLE.search(str(error)):
            unreadable.note("asker", error)
            return
        metrics.NATS_ERRORS.labels("other").inc()
        if not isinstance(error, OSError | NatsError):  # a bug, of ours or of nats-py
            _log.error("broker error", exc_info=error)
        elif client.is_connected:
            _log.warning("broker error", extra={"error": repr(error)})
        elif (now := asyncio.get_running_loop().time()) - logged_at >= LOG_EVERY_S:
            logged_at = now
            extra = {"error": repr(error), "brokers": [_place(urlparse(url)) for url in servers]}
            _log.warning("waiting for the broker", extra=extra)

    def on_listener_error(error: Exception) -> None:
        metrics.NATS_ERRORS.labels("other").inc()
        _log.error("broker error", exc_info=error)

    servers = [_with_scheme(url.strip()) for url in urls.split(",")]
    demands_tls = bool(login.ca or login.certificate) or any(url.startswith("tls://") for url in servers)
    client = NatsClient(on_listener_error, demands_tls=demands_tls)
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
            skip_subject_validation=True,  # subjects are the caller's
            inbox_prefix=inbox or f"_INBOX_{name}",
            **_credentials(login, demands_tls),
        )
    except asyncio.CancelledError:
        client.abandon()
        raise
    except NatsError as error:  # where it may help, nats-py itself tries again for ever
        raise SettingsError(
            f"TIELINE_NATS_URL: no broker can be reached at such an address: {error}"
        ) from None
    metrics.NATS_CONNECTED.set(1)
    return Broker(client, on_away, on_back)


def _credentials(login: BrokerLogin, demands_tls: bool) -> dict[str, Any]:
    """Turn a login into options of nats-py.

    Raises:
        SettingsError: it is half a login, or there are no such certificates.
    """
    if bool(login.user) != bool(login.password):
        raise SettingsError("TIELINE_NATS_USER and TIELINE_NATS_PASSWORD go together: one of them is not set")
    if bool(login.certificate) != bool(login.key):
        raise SettingsError("TIELINE_NATS_CERT and TIELINE_NATS_KEY go together: one of them is not set")
    options: dict[str, Any] = {"user": login.user, "password": login.password} if login.user else {}
    if demands_tls:
        try:
            options["tls"] = ssl.create_default_context(cafile=login.ca or None)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(
                f"TIELINE_NATS_CA: no certificates can be read from {login.ca!r}: {error}"
            ) from None
    if login.certificate:
        try:
            options["tls"].load_cert_chain(login.certificate, login.key)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(
                f"TIELINE_NATS_CERT, TIELINE_NATS_KEY: no certificate with its key can be read from"
                f" {login.certificate!r} and {login.key!r}: {error}"
            ) from None
    return options


def _with_scheme(url: str) -> str:
    """Make a bare host a URL, as nats-py does.

    Raises:
        SettingsError: it is an address of something else than a broker; the text shows no credentials.
    """
    address = _ADDRESS.fullmatch(url)
    if address is None:
        raise SettingsError(
            "TIELINE_NATS_URL: an address is nats://HOST:PORT or tls://HOST:PORT, and WebSocket is not spoken"
            " here; several have commas between them"
        )
    return url if address[1] else f"nats://{url}"


def _place(url: ParseResult | None) -> str:
    """Return host and port for a log, without the credentials that a URL may hold."""
    return f"{url.hostname}:{url.port or DEFAULT_PORT}" if url else ""


__all__ = ["Broker", "BrokerAway", "Message", "Msg", "Subscription", "connect"]
