"""One gateway process: `python -m gateway`, configured by the environment alone."""

import asyncio
import logging
import os
import secrets
import sys
import warnings
from pathlib import Path

from gateway.admission.addresses import read_networks
from gateway.admission.handshake import Admission
from gateway.admission.key_server import KeyServer, is_url
from gateway.admission.keys import Key, UnusableKey, read_pem
from gateway.admission.origins import Origins, read_origins
from gateway.admission.tokens import Tokens
from gateway.client.connection import Connection
from gateway.client.ice_servers import IceServers, read_urls
from gateway.client.keepalive import Pace
from gateway.client.session import Terms
from gateway.delivery.barriers import Marks
from gateway.delivery.catch_up import CatchUp
from gateway.delivery.connections import Live
from gateway.delivery.mailbox import Mailbox
from gateway.demo import Pages
from gateway.sessions.arrivals import Arrivals
from gateway.sessions.departures import Departures, Drain
from gateway.sessions.lease import Lease
from gateway.sessions.reconciliation import RollCall
from gateway.sessions.registry import Registry
from gateway.sessions.signals import Signals
from tieline.runtime.broker import connect
from tieline.runtime.ops import BROKER_AWAY, STARTING, Ready, bound_port, serve_ops
from tieline.runtime.process import run, unless_stopped
from tieline.runtime.requests import Requests
from tieline.runtime.settings import (
    Count,
    NotNegative,
    Port,
    Positive,
    ProcessSettings,
    Seconds,
    SettingsError,
)
from tieline.wire.ids import GatewayId
from tieline.wire.subjects import Subjects

LISTEN_BACKLOG = 4096
"""Connections that may wait to be accepted: a gateway's worth of clients that come back at once."""

SAFE_SECRET_BYTES = 32
"""What HS256 asks for (RFC 7518, section 3.2): as many as its hash has."""

EXIT_PORT_TAKEN = 69  # EX_UNAVAILABLE of sysexits.h

_log = logging.getLogger("gateway")


class GatewaySettings(ProcessSettings, frozen=True, kw_only=True):
    """What a gateway is told by its environment."""

    jwt_secret: str = ""
    jwt_secret_previous: str = ""
    jwt_public_key: str = ""
    """In PEM form, or the path of a file in that form."""
    jwks_url: str = ""
    origins: str = ""
    """Of pages beside the gateway's own that may connect, with commas between them; "*": all."""
    trusted_proxies: str = ""
    """Addresses and networks of proxies that are believed where a client comes from."""
    listen_host: str = "0.0.0.0"
    listen_port: Port = 8080
    max_connections: Count = 0
    """0: no limit."""
    gateway_lease: Seconds = 10
    resume_window: Seconds = 30
    rate_limit: Count = 0
    """Messages a second a connection; 0: no limit."""
    ping_interval: Seconds = Pace().ping_interval_s
    drain_wait: NotNegative = 5
    """For the balancer to see that this gateway is not ready; no client is sent away before."""
    drain_spread: NotNegative = 2
    """Over which the clients are sent away."""
    pong_timeout: Seconds = Pace().pong_timeout_s
    demo: bool = False
    """Serve the demo page, and tokens for whoever asks: never where it matters who somebody is."""
    stun_urls: str = ""
    turn_urls: str = ""
    """Both with commas between them."""
    turn_secret: str = ""
    """What coturn calls its `static-auth-secret`."""
    turn_ttl: Positive = 3600
    """An hour: a credential is looked at when a relay is allocated, so it outlasts many calls of a page that
    fetched it once, and whoever steals one can use it no longer than that."""

    @property
    def longest_stop_s(self) -> float:
        """The drain comes on top."""
        return 10.0 + self.drain_wait + 2 * self.drain_spread


def ice_servers_of(settings: GatewaySettings) -> IceServers:
    """Read the STUN and TURN servers that clients are told.

    Raises:
        SettingsError: a URL is none, or TURN servers are named and no secret for them.
    """
    stun = read_urls("TIELINE_STUN_URLS", settings.stun_urls, ("stun", "stuns"))
    turn = read_urls("TIELINE_TURN_URLS", settings.turn_urls, ("turn", "turns"))
    if turn and not settings.turn_secret:
        raise SettingsError(
            "TIELINE_TURN_URLS is set, but TIELINE_TURN_SECRET is not: a TURN server lets nobody in without"
            " credentials, and they are made with the secret that it was given (static-auth-secret of coturn)"
        )
    return IceServers(stun, turn, settings.turn_secret, settings.turn_ttl)


def tokens_of(settings: GatewaySettings) -> Tokens:
    """Read what tokens are verified with.

    Raises:
        SettingsError: nothing is named, or something that cannot be used.
    """
    if not (settings.jwt_secret or settings.jwt_public_key or settings.jwks_url):
        raise SettingsError(
            "TIELINE_JWT_SECRET is not set, and neither is TIELINE_JWT_PUBLIC_KEY or TIELINE_JWKS_URL:"
            " nobody could be let in"
        )
    if settings.jwks_url and not is_url(settings.jwks_url):
        raise SettingsError(f"TIELINE_JWKS_URL: {settings.jwks_url!r} is no http:// or https:// URL")
    for secret in filter(None, (settings.jwt_secret, settings.jwt_secret_previous)):
        if len(secret.encode()) < SAFE_SECRET_BYTES:
            _log.warning("a secret for tokens is so short that it may be guessed")
    keys: tuple[Key, ...] = ()
    if settings.jwt_public_key:
        try:
            keys = read_pem(_pem_of(settings.jwt_public_key))
        except (OSError, ValueError, UnusableKey) as problem:
            raise SettingsError(f"TIELINE_JWT_PUBLIC_KEY: {problem}") from None
    return Tokens(settings.jwt_secret, settings.jwt_secret_previous, keys, fetches=bool(settings.jwks_url))


def pages_of(settings: GatewaySettings) -> Pages | None:
    """Read the demo's files, if it is on.

    Raises:
        SettingsError: there is no secret to sign its tokens with.
    """
    if not settings.demo:
        return None
    if not settings.jwt_secret:
        raise SettingsError("TIELINE_DEMO is on, but TIELINE_JWT_SECRET, which signs its tokens, is not set")
    return Pages(settings.jwt_secret)


def _pem_of(value: str) -> str:
    return value if "-----BEGIN" in value else Path(value).read_text()


async def main(settings: GatewaySettings, stopping: asyncio.Event) -> None:
    """Serve clients until `stopping`, then close them with 1012.

    Raises:
        SettingsError: settings that are each usable alone are not so together.
    """
    tokens = tokens_of(settings)
    pages = pages_of(settings)
    terms = Terms(ice_servers_of(settings), tokens, settings.rate_limit)
    origins = Origins(read_origins("TIELINE_ORIGINS", settings.origins))
    proxies = read_networks("TIELINE_TRUSTED_PROXIES", settings.trusted_proxies)
    gateway = GatewayId(f"g{os.getpid()}-{secrets.token_hex(4)}")
    ready = Ready(STARTING)
    ops = await serve_ops(settings.ops_host, settings.ops_port, ready.why_not)
    _log.info("gateway starts", extra={"gateway": gateway, "ops_port": bound_port(ops)})
    broker = await unless_stopped(
        stopping, connect(settings.nats_url, f"tieline-gateway-{gateway}", settings.nats_login)
    )
    broker.when_away(lambda: ready.hold(BROKER_AWAY))
    broker.when_back(lambda: ready.clear(BROKER_AWAY))
    subjects = Subjects(settings.namespace)
    requests = Requests(broker, subjects.gateway(gateway, "reply"))
    await requests.start()
    async with asyncio.TaskGroup() as background, asyncio.TaskGroup() as clients:
        key_server = KeyServer(settings.jwks_url, tokens, background) if settings.jwks_url else None
        keeping = [background.create_task(key_server.keep())] if key_server is not None else []
        refresh_keys = None if key_server is None else key_server.refresh
        admission = Admission(tokens, origins, proxies, refresh_keys)
        pace = Pace(settings.ping_interval, settings.pong_timeout)
        live = Live(broker, subjects)
        mailbox = Mailbox(requests, subjects)
        marks = Marks(broker, subjects, gateway)
        departures = Departures(requests, subjects, live, marks)
        arrivals = Arrivals(
            requests,
            subjects,
            gateway,
            live,
            mailbox,
            marks,
            departures,
            pace,
            settings.resume_window,
            terms,
        )
        catch_up = CatchUp(broker, live, mailbox, marks, clients)
        RollCall(broker, requests, subjects, live, clients)
        registry = Registry(
            broker,
            requests,
            Signals(broker, requests, subjects),
            subjects,
            clients,
            admission,
            gateway,
            live,
            arrivals,
            departures,
            pace,
            settings.max_connections,
        )
        await broker.subscribe(subjects.gateway(gateway, "close"), registry.on_close)
        await broker.subscribe(subjects.gateway(gateway, "alive"), registry.on_alive)
        await broker.subscribe(subjects.mailbox_elections(), catch_up.on_election)
        await marks.start()
        lease = Lease(
            requests,
            subjects,
            gateway,
            settings.gateway_lease,
            lost=registry.lease_lost,
        )
        await unless_stopped(stopping, lease.take())
        keeping.append(background.create_task(lease.keep()))
        if key_server is not None and not tokens.has_own_keys:
            await unless_stopped(stopping, key_server.good.wait())
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(
                lambda: Connection(registry, loop, pages),
                settings.listen_host,
                settings.listen_port,
                backlog=LISTEN_BACKLOG,
            )
        except OSError as error:
            where = f"{settings.listen_host}, port {settings.listen_port}"
            sys.stderr.write(f"gateway: cannot listen on {where}: {error}\n")
            sys.exit(EXIT_PORT_TAKEN)
        ready.clear(STARTING)
        await stopping.wait()
        _log.info("gateway stops", extra={"connections": len(live)})
        ready.hold("draining")
        await departures.drain(Drain(settings.drain_wait, settings.drain_spread))
        server.close()
        for task in keeping:
            task.cancel()
    ops.close()
    await broker.close()


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message="The HMAC key is")  # said above, once, as a line of the log
    run("gateway", GatewaySettings, main)
