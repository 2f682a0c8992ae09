"""Which upgrade requests are denied, and which clients begin to be let in."""

import time

import jwt
import pytest

from gateway.admission.handshake import Admission
from gateway.admission.keys import read_key_set
from gateway.admission.origins import Origins
from gateway.admission.tokens import Tokens
from gateway.client.connection import HANDSHAKE_S
from gateway.sessions.upgrades import Upgrades
from tests.unit.gateway.admission.issuer import RSA, key_set
from tests.unit.gateway.client.harness import Harness
from tests.unit.gateway.sessions.scene import Scene

SECRET = "a secret that is long enough for HMAC-SHA256"


def token(secret: str = SECRET) -> str:
    return jwt.encode({"sub": "alice", "exp": time.time() + 60, "rooms": "*"}, secret, "HS256")


class UpgradingGateway:
    """A gateway to which clients come."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.has_broker = True
        self.max_connections = 0
        self.tokens = Tokens(SECRET, fetches=True)
        self.are_keys_there = True
        self.has_bug = False

    async def _refresh_keys(self) -> bool:
        if self.has_bug:
            raise ZeroDivisionError
        if self.are_keys_there:
            self.tokens.fetched = read_key_set(key_set(RSA.jwk()))
        return self.are_keys_there

    async def comes(self, token_: str) -> Harness:
        """Let a client ask, and everything that does not wait for a test go on."""
        upgrades = Upgrades(
            admission=Admission(self.tokens, Origins(), refresh_keys=self._refresh_keys),
            arrivals=self.scene.arrivals,
            departures=self.scene.departures,
            connections=self.scene.connections,
            has_broker=lambda: self.has_broker,
            max_connections=self.max_connections,
            tasks=self.scene.tasks,
        )
        harness = Harness(f"/ws?token={token_}")
        harness.put(harness.request())
        ((request, response),) = harness.requests
        upgrades.on_request(harness.connection, request, response)
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
