"""Which upgrade requests are denied, and which clients begin to be let in."""

import asyncio
import time

import jwt
import pytest

from gateway.admission.handshake import Admission
from gateway.admission.origins import Origins
from gateway.client.connection import HANDSHAKE_S
from gateway.limits.addresses import NO_ADDRESS_LIMITS, Addresses, AddressLimits, connects_a_minute
from gateway.limits.connects import Wait
from gateway.limits.limit import Limit
from gateway.sessions.attempts import MOST_OF_A_USER
from gateway.sessions.upgrades import MOST_SETTLING, SPREAD_S, Upgrades
from tests.unit.gateway.client.harness import Harness
from tests.unit.gateway.sessions.scene import Scene
from tests.unit.verification.issuer import RSA, key_set
from tieline.verification.keys import read_key_set
from tieline.verification.tokens import Tokens
from tieline.wire.ids import UserId
from tieline.wire.internal.sessions import EndSession, OpenSession

SECRET = "a secret that is long enough for HMAC-SHA256"


def token(secret: str = SECRET) -> str:
    return jwt.encode({"sub": "alice", "exp": time.time() + 60, "rooms": "*"}, secret, "HS256")


class FakeUsers:
    """Lets users connect, or has them wait."""

    def __init__(self) -> None:
        self.wait: Wait | None = None
        self.attempts: list[tuple[str, bool]] = []

    def may_connect(self, user: UserId, resumes: bool, _now: float) -> Wait | None:
        self.attempts.append((user, resumes))
        return self.wait


class UpgradingGateway:
    """A gateway to which clients come."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.has_broker = True
        self.max_connections = 0
        self.tokens = Tokens(SECRET, fetches=True)
        self.are_keys_there = True
        self.has_bug = False
        self.may_fetch = asyncio.Event()
        self.may_fetch.set()
        self.users = FakeUsers()
        self.addresses = Addresses(NO_ADDRESS_LIMITS)
        self._upgrades: Upgrades | None = None

    async def _refresh_keys(self) -> bool:
        await self.may_fetch.wait()
        if self.has_bug:
            raise ZeroDivisionError
        if self.are_keys_there:
            self.tokens.fetched = read_key_set(key_set(RSA.jwk()))
        return self.are_keys_there

    @property
    def upgrades(self) -> Upgrades:
        """What judges, as the gateway is when the first client comes."""
        if self._upgrades is None:
            self._upgrades = self._made()
        return self._upgrades

    def _made(self) -> Upgrades:
        return Upgrades(
            admission=Admission(self.tokens, Origins(), refresh_keys=self._refresh_keys),
            arrivals=self.scene.arrivals,
            departures=self.scene.departures,
            connections=self.scene.connections,
            users=self.users,
            addresses=self.addresses,
            has_broker=lambda: self.has_broker,
            max_connections=self.max_connections,
            tasks=self.scene.tasks,
            jitter=lambda: 0.5,
        )

    async def comes(self, token_: str, address: str = "") -> Harness:
        """Let a client ask, and everything that does not wait for a test go on."""
        harness = Harness(f"/ws?token={token_}")
        harness.put(harness.request())
        ((request, response),) = harness.requests
        harness.connection.visit.address = address
        self.upgrades.on_request(harness.connection, request, response)
        await self.scene.settles()
        return harness


def reason(harness: Harness) -> str:
    """Why a client was refused; empty if it was let in."""
    data = harness.socket.taken()
    return "" if data.startswith(b"HTTP/1.1 101") else data.split(b'"reason":"')[1].split(b'"')[0].decode()


@pytest.fixture
def gateway(scene: Scene) -> UpgradingGateway:
    return UpgradingGateway(scene)


async def test_a_client_with_a_good_token_is_let_in(gateway: UpgradingGateway) -> None:
    assert reason(await gateway.comes(token())) == ""
    assert len(gateway.scene.connections) == 1


async def test_a_client_with_a_bad_token_is_denied_and_asked_about_nowhere(gateway: UpgradingGateway) -> None:
    assert (
        reason(await gateway.comes(token("another secret, which is as long as it has to be")))
        == "UNAUTHORIZED"
    )
    assert gateway.scene.presence.asked == []


async def test_a_client_whose_key_is_not_known_waits_for_fresh_keys(gateway: UpgradingGateway) -> None:
    assert reason(await gateway.comes(RSA.token(exp=time.time() + 60))) == ""


async def test_a_client_whose_key_cannot_be_had_is_denied(gateway: UpgradingGateway) -> None:
    gateway.are_keys_there = False
    assert reason(await gateway.comes(RSA.token(exp=time.time() + 60))) == "KEYS_UNAVAILABLE"


async def test_a_bug_met_while_keys_are_fetched_costs_one_client_alone(gateway: UpgradingGateway) -> None:
    gateway.has_bug = True
    harness = await gateway.comes(RSA.token(exp=time.time() + 60))
    harness.clock.advance(HANDSHAKE_S)
    assert harness.socket.is_aborted

    assert reason(await gateway.comes(token())) == ""


async def test_a_client_that_goes_while_keys_are_fetched_is_forgotten(gateway: UpgradingGateway) -> None:
    gateway.may_fetch.clear()
    harness = await gateway.comes(RSA.token(exp=time.time() + 60))
    harness.lose()
    gateway.may_fetch.set()
    await gateway.scene.settles()

    assert gateway.users.attempts == []
    assert gateway.scene.presence.asked == []


async def test_too_many_who_wait_for_keys_are_denied_at_once(gateway: UpgradingGateway) -> None:
    gateway.may_fetch.clear()
    unknown = RSA.token(exp=time.time() + 60)
    for _ in range(MOST_SETTLING):
        await gateway.comes(unknown)

    assert reason(await gateway.comes(unknown)) == "KEYS_UNAVAILABLE"
    assert reason(await gateway.comes(token())) == ""
    gateway.may_fetch.set()


async def test_a_gateway_that_drains_denies_every_client(gateway: UpgradingGateway) -> None:
    gateway.scene.departures.draining = True
    assert reason(await gateway.comes(token())) == "DRAINING"


async def test_without_a_broker_every_client_is_denied(gateway: UpgradingGateway) -> None:
    gateway.has_broker = False
    assert reason(await gateway.comes(token())) == "BROKER_UNAVAILABLE"


async def test_clients_that_are_here_and_that_arrive_fill_the_gateway(gateway: UpgradingGateway) -> None:
    gateway.max_connections = 2
    gateway.scene.here("bob")
    gateway.scene.presence.may_answer.clear()
    arriving = await gateway.comes(token())
    assert arriving.socket.taken() == b""

    assert reason(await gateway.comes(token())) == "FULL"
    gateway.scene.presence.may_answer.set()
    await gateway.scene.settles()

    assert reason(arriving) == ""


# What one user, or one address, may do.


def retry_after(data: bytes) -> int:
    """When a refusal asks to come back."""
    return int(data.split(b"Retry-After: ")[1].split(b"\r\n")[0])


async def test_a_user_that_connects_too_often_is_told_when_to_come_back(gateway: UpgradingGateway) -> None:
    gateway.users.wait = Wait(Limit.CONNECTS, 20.0)
    data = (await gateway.comes(token())).socket.taken()

    assert data.startswith(b"HTTP/1.1 429 ")
    assert b'"reason":"RATE_LIMITED","limit":"connects"}' in data
    assert retry_after(data) == 23
    assert gateway.users.attempts == [("alice", False)]
    assert gateway.scene.presence.asked == []


async def test_who_is_kept_out_for_long_comes_back_soon_after_that(gateway: UpgradingGateway) -> None:
    gateway.users.wait = Wait(Limit.FLOODING, 600.0)
    data = (await gateway.comes(token())).socket.taken()

    assert b'"limit":"flooding"' in data
    assert 600 <= retry_after(data) <= 600 + SPREAD_S


async def test_a_client_that_resumes_is_counted_as_that(gateway: UpgradingGateway) -> None:
    await gateway.comes(f"{token()}&resume=x")
    await gateway.comes(f"{token()}&resume=")

    assert gateway.users.attempts == [("alice", True), ("alice", False)]


async def test_an_attempt_that_cannot_succeed_now_is_not_counted(gateway: UpgradingGateway) -> None:
    gateway.has_broker = False
    await gateway.comes(token())
    gateway.scene.departures.draining = True
    await gateway.comes(token())

    assert gateway.users.attempts == []


HOME = "203.0.113.7"


async def test_an_address_that_connects_too_often_waits(gateway: UpgradingGateway) -> None:
    gateway.addresses = Addresses(AddressLimits(connects=connects_a_minute(1)))

    assert reason(await gateway.comes(token(), HOME)) == ""
    data = (await gateway.comes(token(), HOME)).socket.taken()
    assert b'"reason":"RATE_LIMITED","limit":"address_connects"' in data
    assert reason(await gateway.comes(token(), "203.0.113.8")) == ""


async def test_an_address_has_so_many_connections_until_one_ends(gateway: UpgradingGateway) -> None:
    gateway.addresses = Addresses(AddressLimits(connections=1))
    here = await gateway.comes(token(), HOME)
    assert reason(here) == ""
    assert reason(await gateway.comes(token(), HOME)) == "TOO_MANY_CONNECTIONS"

    here.lose()

    assert reason(await gateway.comes(token(), HOME)) == ""


@pytest.mark.parametrize("address", ["", "127.0.0.1", "10.1.2.3", "fd00::1"])
async def test_private_addresses_are_not_counted(gateway: UpgradingGateway, address: str) -> None:
    gateway.addresses = Addresses(AddressLimits(1, connects_a_minute(1)))

    assert [reason(await gateway.comes(token(), address)) for _ in range(3)] == ["", "", ""]


async def test_clients_of_one_ipv6_site_are_one_address(gateway: UpgradingGateway) -> None:
    gateway.addresses = Addresses(AddressLimits(connections=1))
    await gateway.comes(token(), "2001:db8::1")

    assert reason(await gateway.comes(token(), "2001:db8::2")) == "TOO_MANY_CONNECTIONS"


async def test_of_a_user_s_attempts_few_are_under_way_and_the_newest_waits(
    gateway: UpgradingGateway,
) -> None:
    gateway.scene.presence.may_answer.clear()
    first = [await gateway.comes(token()) for _ in range(MOST_OF_A_USER)]
    older, newer = await gateway.comes(token()), await gateway.comes(token())

    assert b'"reason":"RATE_LIMITED","limit":"upgrades"' in older.socket.taken()
    assert [waiting.socket.taken() for waiting in (*first, newer)] == [b""] * 3
    assert gateway.scene.arrivals.under_way == MOST_OF_A_USER

    gateway.scene.presence.may_answer.set()
    await gateway.scene.settles()
    assert reason(newer) == ""


async def test_an_attempt_that_was_given_up_while_it_waited_is_forgotten(gateway: UpgradingGateway) -> None:
    gateway.scene.presence.may_answer.clear()
    for _ in range(MOST_OF_A_USER):
        await gateway.comes(token())
    waiting = await gateway.comes(token())
    waiting.lose()
    asked = len(gateway.scene.presence.asked)

    gateway.scene.presence.may_answer.set()
    await gateway.scene.settles()

    assert len(gateway.scene.presence.asked) == asked
    assert reason(await gateway.comes(token())) == ""


async def test_an_attempt_waits_for_none_that_is_being_undone(gateway: UpgradingGateway) -> None:
    presence = gateway.scene.presence
    presence.reply(OpenSession, *[None] * MOST_OF_A_USER)
    presence.on_ask = lambda ask: presence.may_answer.clear() if isinstance(ask, EndSession) else None
    refused = [await gateway.comes(f"{token()}&resume=x") for _ in range(MOST_OF_A_USER)]
    assert not presence.may_answer.is_set()

    await gateway.comes(f"{token()}&resume=x")

    assert len(gateway.scene.requests(OpenSession)) == MOST_OF_A_USER + 1
    presence.may_answer.set()
    presence.on_ask = lambda _: None
    assert reason(refused[0]) == "BROKER_UNAVAILABLE"


async def test_a_bug_met_by_attempts_keeps_no_later_one_out(gateway: UpgradingGateway) -> None:
    gateway.scene.delivery.release_problem = ZeroDivisionError()
    for _ in range(MOST_OF_A_USER):
        await gateway.comes(token())

    gateway.scene.delivery.release_problem = None
    assert reason(await gateway.comes(token())) == ""


async def test_the_log_says_who_is_refused(
    gateway: UpgradingGateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    gateway.users.wait = Wait(Limit.CONNECTS, 1.0)
    await gateway.comes(token(), HOME)

    (said,) = [vars(record) for record in caplog.records if record.message == "connection refused"]
    assert (said["user"], said["address"], said["reason"]) == ("alice", HOME, "RATE_LIMITED")
