"""The timers alone: what they ask of a client, and when."""

import pytest

from gateway.client.events import expiring
from gateway.client.keepalive import WARNING_S, Keepalive, Timers, TokenExpiry
from gateway.client.terms import Pace
from tests.unit.gateway.client.clock import Clock
from tests.unit.gateway.client.harness import session
from tests.unit.gateway.client.host import FakeHost
from tieline.wire.codes import CloseCode


class Client:
    """A `TimedClient` that keeps what happens to it."""

    def __init__(self) -> None:
        self.is_reading = True
        self.pings: list[bytes] = []
        self.closed_with: list[CloseCode] = []

    def ping(self, payload: bytes) -> None:
        self.pings.append(payload)

    def close(self, code: CloseCode) -> None:
        self.closed_with.append(code)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client() -> Client:
    return Client()


class Told(FakeHost):
    """A host that keeps the events of the gateway's own."""

    @property
    def events(self) -> list[bytes]:
        return [event for _, event in self.told]


@pytest.fixture
def host() -> Told:
    return Told()


# Pings.


def test_nothing_is_asked_before_the_interval_has_passed(clock: Clock, client: Client) -> None:
    Keepalive(client, Pace(20, 5), clock.loop)

    clock.advance(19.9)
    assert client.pings == []
    clock.advance(0.1)
    assert len(client.pings) == 1


def test_pings_keep_their_interval_whenever_they_are_answered(clock: Clock, client: Client) -> None:
    keepalive = Keepalive(client, Pace(20, 5), clock.loop)

    clock.advance(20)
    for number, delay in enumerate((0, 1, 4.9), start=1):
        assert len(client.pings) == number
        clock.advance(delay)
        keepalive.on_pong(client.pings[-1])
        clock.advance(20 - delay)

    assert client.closed_with == []


def test_a_ping_that_is_not_answered_in_time_closes(clock: Clock, client: Client) -> None:
    Keepalive(client, Pace(20, 5), clock.loop)

    clock.advance(24.9)
    assert client.closed_with == []
    clock.advance(0.1)

    assert client.closed_with == [CloseCode.PONG_TIMEOUT]
    assert clock.is_idle


@pytest.mark.parametrize("payload", [b"", b"?"])
def test_a_pong_to_something_else_is_no_answer(clock: Clock, client: Client, payload: bytes) -> None:
    keepalive = Keepalive(client, Pace(20, 5), clock.loop)
    clock.advance(20)

    keepalive.on_pong(payload)
    clock.advance(5)

    assert client.closed_with == [CloseCode.PONG_TIMEOUT]


def test_only_the_pong_to_the_last_ping_is_an_answer(clock: Clock, client: Client) -> None:
    keepalive = Keepalive(client, Pace(20, 5), clock.loop)
    clock.advance(20)
    keepalive.on_pong(client.pings[0])
    clock.advance(20)

    keepalive.on_pong(client.pings[0])
    clock.advance(5)

    assert client.closed_with == [CloseCode.PONG_TIMEOUT]


def test_while_the_client_is_not_read_its_pong_may_be_on_the_way(clock: Clock, client: Client) -> None:
    Keepalive(client, Pace(20, 5), clock.loop)
    client.is_reading = False

    clock.advance(20 + 4 * 5)
    assert client.closed_with == []
    assert len(client.pings) == 1
    client.is_reading = True
    clock.advance(5)

    assert client.closed_with == [CloseCode.PONG_TIMEOUT]


def test_a_pong_read_late_counts_and_the_pings_go_on(clock: Clock, client: Client) -> None:
    keepalive = Keepalive(client, Pace(20, 5), clock.loop)
    client.is_reading = False
    clock.advance(20 + 3 * 5)

    client.is_reading = True
    keepalive.on_pong(client.pings[0])
    clock.advance(20)

    assert client.closed_with == []
    assert len(client.pings) == 2


def test_an_interval_shorter_than_the_time_for_the_answer_is_longer(clock: Clock, client: Client) -> None:
    keepalive = Keepalive(client, Pace(1, 8), clock.loop)

    for number in range(1, 4):
        clock.advance(1 if number == 1 else 8)
        assert len(client.pings) == number
        keepalive.on_pong(client.pings[-1])

    assert client.closed_with == []


def test_once_stopped_nothing_is_asked_any_more(clock: Clock, client: Client) -> None:
    fresh, waiting = (Keepalive(client, Pace(20, 5), clock.loop) for _ in range(2))

    fresh.stop()
    clock.advance(20)
    assert len(client.pings) == 1
    waiting.stop()

    assert clock.is_idle
    clock.advance(100)
    assert client.closed_with == []


# Tokens, which go by the real time: a minute of it is left to these tests.


def test_a_token_s_end_is_announced_half_a_minute_before(clock: Clock, client: Client, host: Told) -> None:
    alice = session(token_lasts_s=1000)
    TokenExpiry(client, alice, host, clock.loop)

    clock.advance(1000 - WARNING_S - 60)
    assert host.events == []
    clock.advance(60)
    assert host.events == [expiring(alice)]
    assert client.closed_with == []
    clock.advance(1000)

    assert client.closed_with == [CloseCode.TOKEN_EXPIRED]
    assert host.events == [expiring(alice)]
    assert clock.is_idle


@pytest.mark.parametrize("left_s", [WARNING_S - 1, 0, -5])
def test_a_token_that_ends_sooner_is_announced_at_once(
    clock: Clock, client: Client, host: Told, left_s: float
) -> None:
    alice = session(token_lasts_s=left_s)
    TokenExpiry(client, alice, host, clock.loop)

    clock.advance(0)
    assert host.events == [expiring(alice)]
    clock.advance(max(0, left_s))

    assert client.closed_with == [CloseCode.TOKEN_EXPIRED]


def test_a_token_s_timer_that_was_stopped_says_nothing_any_more(
    clock: Clock, client: Client, host: Told
) -> None:
    fresh, announced = (TokenExpiry(client, session(token_lasts_s=20), host, clock.loop) for _ in range(2))

    fresh.stop()
    clock.advance(0)
    announced.stop()
    clock.advance(100)

    assert len(host.events) == 1
    assert client.closed_with == []
    assert clock.is_idle


@pytest.mark.parametrize("is_announced", [False, True])
def test_a_newer_token_s_end_counts_instead(
    clock: Clock, client: Client, host: Told, is_announced: bool
) -> None:
    alice = session(token_lasts_s=1000)
    expiry = TokenExpiry(client, alice, host, clock.loop)
    clock.advance(1000 - WARNING_S - (0 if is_announced else 60))
    told = [expiring(alice)] if is_announced else []
    assert host.events == told

    alice.claims = session(token_lasts_s=5000).claims
    expiry.reset()
    clock.advance(5000 - WARNING_S - 60)
    assert host.events == told
    clock.advance(60)
    assert host.events == [*told, expiring(alice)]
    clock.advance(5000)

    assert client.closed_with == [CloseCode.TOKEN_EXPIRED]


def test_a_newer_token_that_ends_at_once_is_announced_at_once(
    clock: Clock, client: Client, host: Told
) -> None:
    alice = session(token_lasts_s=1000)
    expiry = TokenExpiry(client, alice, host, clock.loop)

    alice.claims = session(token_lasts_s=1).claims
    expiry.reset()
    clock.advance(0)

    assert host.events == [expiring(alice)]


def test_a_timer_that_was_stopped_is_not_restarted(clock: Clock, client: Client, host: Told) -> None:
    expiry = TokenExpiry(client, session(token_lasts_s=20), host, clock.loop)
    expiry.stop()
    expiry.reset()

    clock.advance(100)
    assert host.events == []
    assert clock.is_idle


# All of them together.


def test_what_is_timed_next_replaces_what_was_timed_before(clock: Clock, client: Client, host: Told) -> None:
    timers, calls = Timers(clock.loop), []
    timers.call_after(5, lambda: calls.append("handshake"))
    timers.begin(client, session(token_lasts_s=0), host)
    timers.call_after(3, lambda: calls.append("cut"))

    clock.advance(100)

    assert calls == ["cut"]
    assert (client.pings, host.events, client.closed_with) == ([], [], [])
    assert clock.is_idle


def test_pongs_and_newer_tokens_before_a_session_are_ignored(clock: Clock) -> None:
    timers = Timers(clock.loop)

    timers.on_pong(b"?")
    timers.on_newer_token()
    timers.stop()

    assert clock.is_idle


def test_a_pong_and_a_newer_token_reach_the_timer_they_are_for(
    clock: Clock, client: Client, host: Told
) -> None:
    timers, alice = Timers(clock.loop), session(token_lasts_s=1000)
    timers.begin(client, alice, host)
    clock.advance(alice.terms.pace.ping_interval_s)

    timers.on_pong(client.pings[-1])
    alice.claims = session(token_lasts_s=1).claims
    timers.on_newer_token()
    clock.advance(0)

    assert host.events == [expiring(alice)]
    clock.advance(1)
    assert client.closed_with == [CloseCode.TOKEN_EXPIRED]
