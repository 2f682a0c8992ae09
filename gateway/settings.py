"""What a gateway is told by its environment, and what follows from it. `__main__` alone reads it."""

from pathlib import Path
from urllib.parse import urlsplit

from gateway.admission.addresses import Network, read_networks
from gateway.admission.certificate import Certificate, Files, UnusableCertificate
from gateway.admission.entrance import MAX_HALF_OPEN, Room, room
from gateway.admission.origins import ANY, read_origins
from gateway.client.ice_servers import IceServers, read_urls
from gateway.client.terms import Pace, Terms
from gateway.demo import TOKEN_TTL_S, Pages
from gateway.limits.addresses import NO_ADDRESS_LIMITS, AddressLimits, connects_a_minute
from gateway.limits.rate import Rate, rate
from gateway.limits.rates import (
    AT_ONCE_S,
    MINUTE_S,
    NO_LIMITS,
    PAIR_AT_ONCE_S,
    PAIR_BYTES_AT_ONCE_S,
    Rates,
)
from tieline.runtime.settings import (
    Count,
    NotNegative,
    Port,
    Positive,
    Seconds,
    SettingsError,
    SigningSecret,
)
from tieline.tokens import made_for
from tieline.verification.settings import TokenSettings, names_keys, read_tokens
from tieline.verification.tokens import MAX_ROOMS, Tokens


class GatewaySettings(TokenSettings, frozen=True, kw_only=True):
    """The variables of one gateway; docs/configuration.md lists them."""

    token_in_query: bool = True
    """Whether the query may hold the token, which logs and histories keep."""
    tls_cert: str = ""
    """A file with the gateway's certificate, and those between it and an authority: clients speak TLS."""
    tls_key: str = ""
    """A file with its private key."""
    origins: str = ""
    """The origins of pages beside the gateway's own that may connect, with commas between them; "*": all."""
    trusted_proxies: str = ""
    """Addresses and networks of proxies that are believed where a client comes from."""
    listen_host: str = "0.0.0.0"
    listen_port: Port = 8080
    proxy_protocol: bool = False
    """Whether what a trusted proxy opens begins with a header of the PROXY protocol."""
    max_connections: Count = 0
    """0: as many as the process may have files open, but a reserve."""
    max_handshakes: Count = MAX_HALF_OPEN
    """Connections whose request has not been read yet; 0: a quarter of all."""
    max_connections_per_address: Count = AddressLimits().connections
    """0: no limit; as in the next one, private addresses are not counted."""
    address_connect_limit: Count = 6_000
    """Connections a minute that one address may begin; 0: no limit."""
    max_token_rooms: Count = MAX_ROOMS
    """That one token may name; 0: no limit."""
    max_waiting_bytes: Positive = 256 * 1024 * 1024
    """Of all connections: a quarter of a pod of 1 GiB."""
    gateway_lease: Seconds = 10
    resume_window: Seconds = 30
    away_delay: NotNegative = 3
    """For a lost connection to be resumed before others are told that its user is away; 0: told at once."""
    rate_limit: Count = 50
    """Messages a second a user, and twenty seconds' worth at once; 0: no limit."""
    byte_limit: Count = 65_536
    """Bytes of messages a second a user; 0: no limit."""
    pair_limit: Count = 1_200
    """Messages a minute from one user to one other; 0: no limit."""
    pair_byte_limit: Count = 16_384
    """Bytes a second from one user to one other; 0: no limit."""
    offer_limit: Count = 120
    """Offers a minute of a user; 0: no limit."""
    pair_offer_limit: Count = 30
    """Offers a minute from one user to one other; 0: no limit."""
    refresh_limit: Count = 20
    """Newer tokens a minute of a user; 0: no limit."""
    connect_limit: Count = 60
    """Connections a minute that a user may begin; 0: no limit."""
    resume_limit: Count = 30
    """Connections a minute on which a user may ask to resume; 0: no limit."""
    max_rooms: Count = 100
    """Of one user; 0: no limit."""
    ping_interval: Seconds = Pace().ping_interval_s
    drain_wait: NotNegative = 5
    """For the balancer to see that this gateway is not ready; no client is sent away before."""
    drain_spread: NotNegative = 2
    """Over which the clients are sent away."""
    pong_timeout: Seconds = Pace().pong_timeout_s
    demo: bool = False
    """Serve the demo page, and tokens without asking who wants them: never where it matters who a user is."""
    stun_urls: str = ""
    turn_urls: str = ""
    """Both with commas between them."""
    turn_secret: SigningSecret = ""
    """What coturn calls its `static-auth-secret`."""
    turn_ttl: Positive = 3600
    """An hour: a credential is looked at when a relay is allocated, so it outlasts many calls of a page that
    fetched it once, and one that is stolen can be used no longer than that."""

    @property
    def longest_away_delay_s(self) -> float:
        """A tenth of the resume window at most: while presence is not told, its timer does not run."""
        return min(self.away_delay, self.resume_window / 10)

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


def rates_of(settings: GatewaySettings) -> Rates:
    """Read how much one user may ask for."""
    if settings.limits == "off":
        return NO_LIMITS

    def a_minute(count: int, at_once: float) -> Rate:
        return rate(count / MINUTE_S, max(1.0, count * at_once))

    return Rates(
        units=rate(settings.rate_limit, settings.rate_limit * AT_ONCE_S),
        size=rate(settings.byte_limit, settings.byte_limit * AT_ONCE_S),
        pair_messages=a_minute(settings.pair_limit, PAIR_AT_ONCE_S / MINUTE_S),
        pair_size=rate(settings.pair_byte_limit, settings.pair_byte_limit * PAIR_BYTES_AT_ONCE_S),
        offers=a_minute(settings.offer_limit, 1),
        pair_offers=a_minute(settings.pair_offer_limit, 1),
        refreshes=a_minute(settings.refresh_limit, 1),
        connects=a_minute(settings.connect_limit, 0.5),
        resumes=a_minute(settings.resume_limit, 0.5),
        rooms=settings.max_rooms,
    )


def address_limits_of(settings: GatewaySettings) -> AddressLimits:
    """Read what one address may have."""
    if settings.limits == "off":
        return NO_ADDRESS_LIMITS
    connects = connects_a_minute(settings.address_connect_limit)
    return AddressLimits(settings.max_connections_per_address, connects)


def room_of(settings: GatewaySettings, sockets: int) -> Room:
    """Divide the sockets that clients may have."""
    return room(sockets, 0 if settings.limits == "off" else settings.max_handshakes)


def max_connections_of(settings: GatewaySettings, room: Room) -> int:
    """Read how many clients may be here, for whom there must be room."""
    return min(settings.max_connections or room.sessions, room.sessions)


def proxies_of(settings: GatewaySettings) -> tuple[Network, ...]:
    """Read which proxies are believed.

    Raises:
        SettingsError: one of them is no address or network, or a header is expected of none.
    """
    proxies = read_networks("TIELINE_TRUSTED_PROXIES", settings.trusted_proxies)
    if settings.proxy_protocol and not proxies:
        raise SettingsError(
            "TIELINE_PROXY_PROTOCOL is on, but TIELINE_TRUSTED_PROXIES, which names who is believed,"
            " is not set"
        )
    return proxies


def terms_of(settings: GatewaySettings, tokens: Tokens) -> Terms:
    """Read what every client is granted.

    Raises:
        SettingsError: something of it cannot be used.
    """
    return Terms(
        ice_servers_of(settings),
        tokens,
        pace=Pace(settings.ping_interval, settings.pong_timeout),
        resume_window_s=settings.resume_window,
    )


def tokens_of(settings: GatewaySettings) -> Tokens:
    """Read what tokens are verified with.

    Raises:
        SettingsError: nothing is named, or something that cannot be used.
    """
    if not names_keys(settings):
        raise SettingsError(
            "TIELINE_JWT_SECRET is not set, and neither is TIELINE_JWT_PUBLIC_KEY or TIELINE_JWKS_URL:"
            " nobody could be let in"
        )
    return read_tokens(settings, 0 if settings.limits == "off" else settings.max_token_rooms)


def certificate_of(settings: GatewaySettings) -> Certificate | None:
    """Read the certificate that clients are shown; None: they speak no TLS.

    Raises:
        SettingsError: one of its two files is not named, or they cannot be used.
    """
    if not settings.tls_cert and not settings.tls_key:
        return None
    if not (settings.tls_cert and settings.tls_key):
        raise SettingsError("TIELINE_TLS_CERT and TIELINE_TLS_KEY go together: one of them is not set")
    try:
        return Certificate(Files(Path(settings.tls_cert), Path(settings.tls_key)))
    except UnusableCertificate as problem:
        raise SettingsError(f"TIELINE_TLS_CERT, TIELINE_TLS_KEY: {problem}") from None


def pages_of(settings: GatewaySettings) -> Pages | None:
    """Read the demo's files, if it is on.

    Raises:
        SettingsError: there is no secret to sign its tokens with.
    """
    if not settings.demo:
        return None
    if not settings.jwt_secret:
        raise SettingsError("TIELINE_DEMO is on, but TIELINE_JWT_SECRET, which signs its tokens, is not set")
    origins = read_origins("TIELINE_ORIGINS", settings.origins)
    hosts = frozenset(urlsplit(origin).hostname or "" for origin in origins if origin != ANY)
    demanded = {
        "TIELINE_JWT_AUDIENCE": settings.jwt_audience,
        "TIELINE_JWT_ISSUER": settings.jwt_issuer,
        "TIELINE_JWT_TYPE": settings.jwt_type,
    }
    return Pages(
        settings.jwt_secret,
        None if ANY in origins else hosts,
        made_for=made_for(demanded),
        ttl_s=int(min(TOKEN_TTL_S, settings.token_max_life or TOKEN_TTL_S)),
    )
