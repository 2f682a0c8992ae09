"""What a gateway makes of its settings, and which of them cannot be used."""

import json
import time
from pathlib import Path

import jwt
import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request

from gateway.client.ice_servers import IceServers
from gateway.client.terms import Pace, Terms
from gateway.limits.addresses import NO_ADDRESS_LIMITS, AddressLimits
from gateway.limits.rate import UNLIMITED, rate
from gateway.limits.rates import NO_LIMITS, Rates
from gateway.limits.user_budget import UserBudget
from gateway.settings import (
    GatewaySettings,
    address_limits_of,
    certificate_of,
    ice_servers_of,
    max_connections_of,
    pages_of,
    proxies_of,
    rates_of,
    room_of,
    terms_of,
    tokens_of,
)
from tests.support.certificates import self_signed
from tests.unit.verification.issuer import EC, ED, NOW, RSA
from tieline.runtime.settings import SettingsError, read_settings
from tieline.verification.settings import demands_of
from tieline.verification.tokens import NO_DEMANDS, BadToken, Demands, NotForHere, Tokens, TooManyRooms
from tieline.wire.ids import UserId

SECRET = "a secret that is long enough for HMAC-SHA256"
TURN_SECRET = "north wind"


def settings(**variables: str) -> GatewaySettings:
    """What the environment says; one secret is always there."""
    variables = {"JWT_SECRET": SECRET, **variables}
    return read_settings(GatewaySettings, {f"TIELINE_{name}": value for name, value in variables.items()})


def admits(tokens: Tokens, token: str) -> bool:
    try:
        return tokens.verify(token, NOW).sub == "alice"
    except BadToken:
        return False


# STUN and TURN servers.


def test_without_urls_there_are_no_ice_servers() -> None:
    assert ice_servers_of(settings()) == IceServers((), (), "", 3600)


def test_settings_name_several_urls_with_commas_between_them() -> None:
    servers = ice_servers_of(
        settings(
            STUN_URLS="stun:a, stuns:b:5349,",
            TURN_URLS="turn:c:3478?transport=tcp,turns:[2001:db8::1]:443?transport=tcp",
            TURN_SECRET=TURN_SECRET,
            TURN_TTL="60",
        )
    )

    assert servers == IceServers(
        ("stun:a", "stuns:b:5349"),
        ("turn:c:3478?transport=tcp", "turns:[2001:db8::1]:443?transport=tcp"),
        TURN_SECRET,
        60,
    )


def problem_of(**given: str) -> str:
    with pytest.raises(SettingsError) as problem:
        ice_servers_of(settings(**given))
    return str(problem.value)


def test_relays_without_a_secret_are_an_error() -> None:
    assert problem_of(TURN_URLS="turn:a").startswith(
        "TIELINE_TURN_URLS is set, but TIELINE_TURN_SECRET is not"
    )


@pytest.mark.parametrize(
    ("variable", "url", "problem"),
    [
        ("STUN_URLS", "a.example.org", "does not begin with stun: or stuns:"),
        ("STUN_URLS", "turn:a", "does not begin with stun: or stuns:"),
        ("TURN_URLS", "stun:a", "does not begin with turn: or turns:"),
        ("TURN_URLS", "https://a", "does not begin with turn: or turns:"),
        ("TURN_URLS", "TURN:a", "does not begin with turn: or turns:"),
        ("TURN_URLS", "turn", "is not of the form turn:host or turn:host:port (no slashes)"),
        ("TURN_URLS", "turn:", "is not of the form turn:host or turn:host:port (no slashes)"),
        ("TURN_URLS", "turn://a", "is not of the form turn:host or turn:host:port (no slashes)"),
        ("TURN_URLS", "turns:a:0", "is not of the form turns:host or turns:host:port (no slashes)"),
        ("TURN_URLS", "turns:a:65536", "is not of the form turns:host or turns:host:port (no slashes)"),
        ("TURN_URLS", "turn:user@a", "is not of the form turn:host or turn:host:port (no slashes)"),
        ("TURN_URLS", "turn:::1", "is not of the form turn:host or turn:host:port (no slashes)"),
        ("TURN_URLS", "turn:a?transport=sctp", "is not of the form turn:host or turn:host:port (no slashes)"),
        ("STUN_URLS", "stun:a?transport=udp", "names a transport, which only turn: and turns: have"),
    ],
)
def test_a_url_that_no_client_could_use_is_named(variable: str, url: str, problem: str) -> None:
    found = problem_of(**{variable: f" {url} ", "TURN_SECRET": TURN_SECRET})

    assert found == f"TIELINE_{variable}: {url!r} {problem}"


def test_a_problem_never_shows_the_secret() -> None:
    assert TURN_SECRET not in problem_of(TURN_URLS="turn:a b", TURN_SECRET=TURN_SECRET)


# What every client is granted.


def test_terms_are_what_the_settings_say() -> None:
    given = settings(PING_INTERVAL="20", PONG_TIMEOUT="5", RESUME_WINDOW="9")
    tokens = tokens_of(given)

    terms = terms_of(given, tokens)

    assert terms == Terms(IceServers(), tokens, Pace(20, 5), 9)


# What one user may ask for.


def test_the_default_limits_are_those_of_the_settings() -> None:
    assert rates_of(settings()) == Rates()


def test_each_limit_is_what_its_setting_says() -> None:
    given = settings(
        RATE_LIMIT="7",
        BYTE_LIMIT="1000",
        PAIR_LIMIT="60",
        PAIR_BYTE_LIMIT="500",
        OFFER_LIMIT="30",
        PAIR_OFFER_LIMIT="6",
        REFRESH_LIMIT="3",
        CONNECT_LIMIT="10",
        RESUME_LIMIT="20",
        MAX_ROOMS="4",
    )
    assert rates_of(given) == Rates(
        units=rate(7, 140),
        size=rate(1000, 20_000),
        pair_messages=rate(1, 12),
        pair_size=rate(500, 16_000),
        offers=rate(0.5, 30),
        pair_offers=rate(0.1, 6),
        refreshes=rate(0.05, 3),
        connects=rate(10 / 60, 5),
        resumes=rate(20 / 60, 10),
        rooms=4,
    )


def test_one_a_minute_is_one_a_minute() -> None:
    given = rates_of(settings(CONNECT_LIMIT="1", RESUME_LIMIT="1", PAIR_LIMIT="1"))
    assert given.connects == given.resumes == given.pair_messages == rate(1 / 60, 1)
    alice = UserBudget(UserId("alice"), given)
    first, second, third = (alice.connect(False, now) for now in (100.0, 130.0, 160.0))
    assert (first, third) == (None, None)
    assert second is not None
    assert second.seconds == pytest.approx(30)


def test_off_and_0_lift_limits() -> None:
    assert rates_of(settings(LIMITS="off", RATE_LIMIT="7", MAX_ROOMS="4")) == NO_LIMITS
    assert rates_of(settings(RATE_LIMIT="0")) == Rates()._replace(units=UNLIMITED)


# What tokens are verified with.


def test_a_key_may_be_given_itself_or_as_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys.pem"
    file.write_text(RSA.pem + ED.pem)
    for value, issuers in ((EC.pem, [EC]), (str(file), [RSA, ED])):
        tokens = tokens_of(GatewaySettings(jwt_public_key=value))
        assert all(admits(tokens, issuer.token()) for issuer in issuers)
        assert tokens.has_own_keys


def test_without_anything_to_verify_with_there_is_no_gateway() -> None:
    with pytest.raises(SettingsError, match="TIELINE_JWT_SECRET is not set, and neither is"):
        tokens_of(GatewaySettings())
    assert not tokens_of(GatewaySettings(jwks_url="https://issuer.example/keys")).has_own_keys


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (
            GatewaySettings(jwt_public_key="/nowhere/key.pem"),
            "TIELINE_JWT_PUBLIC_KEY: neither a key in PEM form nor the path",
        ),
        (
            GatewaySettings(jwt_public_key="-----BEGIN"),
            "TIELINE_JWT_PUBLIC_KEY: it holds no -----BEGIN PUBLIC KEY",
        ),
        (GatewaySettings(jwt_public_key="\0"), "TIELINE_JWT_PUBLIC_KEY: "),
        (
            GatewaySettings(jwks_url="file:///etc/passwd"),
            "TIELINE_JWKS_URL: 'file:///etc/passwd' is no http:// or",
        ),
    ],
)
def test_settings_that_cannot_be_used_are_named(settings: GatewaySettings, problem: str) -> None:
    with pytest.raises(SettingsError) as found:
        tokens_of(settings)
    assert str(found.value).startswith(problem)


def test_a_private_key_that_was_given_by_mistake_is_not_shown() -> None:
    with pytest.raises(SettingsError) as found:
        tokens_of(GatewaySettings(jwt_public_key=RSA.private_pem))
    assert "private key" in str(found.value)
    assert RSA.private_pem.splitlines()[1] not in str(found.value)


def test_tokens_are_made_for_whoever_unless_settings_say_for_whom() -> None:
    assert demands_of(settings()) is NO_DEMANDS
    given = settings(
        JWT_AUDIENCE="calls, https://calls.example",
        JWT_ISSUER="us,",
        JWT_TYPE="application/AT+jwt",
        TOKEN_MAX_LIFE="3600",
    )
    assert demands_of(given) == Demands(
        frozenset(("calls", "https://calls.example")), frozenset(("us",)), frozenset(("at+jwt",)), 3600
    )
    with pytest.raises(NotForHere):
        tokens_of(given).verify(jwt.encode({"sub": "a", "exp": NOW + 60}, SECRET), NOW)


@pytest.mark.parametrize("name", ["JWT_AUDIENCE", "JWT_ISSUER", "JWT_TYPE"])
@pytest.mark.parametrize("empty", [",", " ", " , ,"])
def test_a_list_of_nothing_is_no_demand_but_a_mistake(name: str, empty: str) -> None:
    with pytest.raises(SettingsError, match=f"TIELINE_{name}: .* names nothing"):
        tokens_of(settings(**{name: empty}))


def test_keys_are_fetched_without_tls_only_where_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    url = "http://keys.example/keys"
    with pytest.raises(
        SettingsError, match=r"TIELINE_JWKS_URL: 'http://keys.example/keys' is fetched without TLS"
    ):
        tokens_of(settings(JWKS_URL=url))
    tokens_of(settings(JWKS_URL="http://127.0.0.1:1/keys", JWT_AUDIENCE="calls"))
    assert caplog.records == []
    tokens_of(settings(JWKS_URL=url, JWKS_HTTP="1", JWT_AUDIENCE="calls"))
    (line,) = caplog.records
    assert "TIELINE_JWKS_HTTP" in line.message


def test_an_issuer_s_tokens_for_others_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    tokens_of(settings(JWKS_URL="https://keys.example/keys", JWT_ISSUER="us"))
    (line,) = caplog.records
    assert "TIELINE_JWT_AUDIENCE" in line.message


def test_a_certificate_goes_with_its_key(tmp_path: Path) -> None:
    assert certificate_of(settings()) is None
    for one in ("TLS_CERT", "TLS_KEY"):
        with pytest.raises(SettingsError, match="TIELINE_TLS_CERT and TIELINE_TLS_KEY go together"):
            certificate_of(settings(**{one: "x.pem"}))
    with pytest.raises(SettingsError, match=r"^TIELINE_TLS_CERT, TIELINE_TLS_KEY: .*No such file"):
        certificate_of(settings(TLS_CERT=f"{tmp_path}/a", TLS_KEY=f"{tmp_path}/b"))
    pair = self_signed(tmp_path)
    assert certificate_of(settings(TLS_CERT=str(pair.certificate), TLS_KEY=str(pair.key))) is not None


# The demo.


def test_the_demo_is_off_unless_asked_for() -> None:
    assert pages_of(settings()) is None
    assert pages_of(settings(DEMO="0")) is None
    assert pages_of(settings(DEMO="1")) is not None


def test_the_demo_needs_a_secret_to_sign_with() -> None:
    with pytest.raises(SettingsError, match="TIELINE_DEMO is on, but TIELINE_JWT_SECRET"):
        pages_of(settings(JWT_SECRET="", JWKS_URL="https://issuer.example/keys", DEMO="1"))


def asked_for_a_token(host: str, **variables: str) -> int:
    pages = pages_of(settings(DEMO="1", **variables))
    assert pages is not None
    answer = pages.answer(Request("/token?user=ann&room=demo", Headers({"Host": host})))
    assert answer is not None
    return answer.status_code


def test_the_demo_s_names_are_those_of_the_pages_that_may_connect() -> None:
    assert asked_for_a_token("demo.example") == 421
    assert asked_for_a_token("demo.example:8080", ORIGINS="https://demo.example, http://b.example:1") == 200
    assert asked_for_a_token("evil.example", ORIGINS="https://demo.example") == 421
    assert asked_for_a_token("evil.example", ORIGINS="*") == 200


def test_the_demo_s_tokens_are_what_the_gateway_demands() -> None:
    given = settings(
        DEMO="1", JWT_AUDIENCE="calls,mail", JWT_ISSUER="us", JWT_TYPE="at+jwt", TOKEN_MAX_LIFE="60"
    )
    pages = pages_of(given)
    assert pages is not None
    answer = pages.answer(Request("/token?user=ann&room=demo", Headers({"Host": "localhost"})))
    assert answer is not None
    token = json.loads(answer.body or b"")["token"]
    claims = tokens_of(given).verify(token, time.time())
    assert (claims.sub, claims.exp - claims.iat) == ("ann", 60)


# What comes before a session.


@pytest.mark.parametrize(
    ("variables", "sockets", "half_open", "connections"),
    [
        ({}, 100_000, 1_000, 99_000),
        ({"MAX_CONNECTIONS": "500"}, 100_000, 1_000, 500),
        ({"MAX_CONNECTIONS": "5000"}, 896, 224, 672),
        ({"MAX_HANDSHAKES": "10"}, 896, 10, 886),
        ({"MAX_HANDSHAKES": "0"}, 896, 224, 672),
        ({"LIMITS": "off"}, 100_000, 25_000, 75_000),
    ],
)
def test_sockets_are_divided_between_newcomers_and_the_others(
    variables: dict[str, str], sockets: int, half_open: int, connections: int
) -> None:
    said = settings(**variables)
    room = room_of(said, sockets)
    assert (room.half_open, max_connections_of(said, room)) == (half_open, connections)


def test_by_default_an_address_has_limits_that_a_company_never_meets() -> None:
    assert address_limits_of(settings()) == AddressLimits()
    assert address_limits_of(settings(LIMITS="off")) == NO_ADDRESS_LIMITS
    few = address_limits_of(settings(MAX_CONNECTIONS_PER_ADDRESS="7", ADDRESS_CONNECT_LIMIT="60"))
    assert few.connections == 7
    assert few.connects == rate(1, 60)


def test_a_header_of_proxies_needs_proxies() -> None:
    assert proxies_of(settings()) == ()
    with_proxies = settings(PROXY_PROTOCOL="1", TRUSTED_PROXIES="10.0.0.0/8")
    assert len(proxies_of(with_proxies)) == 1
    with pytest.raises(SettingsError, match="TIELINE_PROXY_PROTOCOL is on, but TIELINE_TRUSTED_PROXIES"):
        proxies_of(settings(PROXY_PROTOCOL="1"))


def test_rooms_of_a_token_are_limited_unless_limits_are_off() -> None:
    many = jwt.encode({"sub": "a", "exp": 3e8, "rooms": [str(room) for room in range(300)]}, SECRET)
    with pytest.raises(TooManyRooms):
        tokens_of(settings()).verify(many, 0)
    for said in (settings(LIMITS="off"), settings(MAX_TOKEN_ROOMS="300")):
        assert tokens_of(said).verify(many, 0).user == "a"
