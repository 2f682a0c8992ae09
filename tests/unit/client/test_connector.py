"""Which failures are worth another attempt, with which token, at which gateway, and what may have arrived."""

import asyncio
import socket
from collections.abc import Iterator, Mapping
from typing import cast

import pytest
from websockets.asyncio.server import ServerConnection

from tests.support.waiting import within
from tests.unit.client.minimal_gateway import event, serving, welcome
from tests.unit.client.reading import ended, resumed
from tests.unit.client.resuming_gateways import Backend, FixedJitter, Gateway, denied
from tieline.client import Closed, Denied, GaveUp, Unreachable, connect
from tieline.client.connector import TOKEN_TRIES, Connector, Established, TokenSource
from tieline.client.gateway_pool import GatewayPool


def no_query() -> Mapping[str, str]:
    return {}


def connector_to(*urls: str, token: str | TokenSource = "ann", timeout_s: float = 20) -> Connector:
    return Connector(GatewayPool(urls, FixedJitter()), token, {"acks": "1"}, timeout_s)


async def connected(connector: Connector) -> Established:
    """Reconnect without a wait, and close that connection again."""
    outcome = await within(connector.reconnect(no_query, at_once=True))
    assert isinstance(outcome, Established)
    await outcome.connection.close()
    return outcome


@pytest.fixture
def refusing_url() -> Iterator[str]:
    """An address at which the system itself refuses connections."""
    with socket.socket() as bound:  # bound, but not listening: no other process can have it meanwhile
        bound.bind(("127.0.0.1", 0))
        yield f"ws://127.0.0.1:{bound.getsockname()[1]}/ws"


async def abort(connection: ServerConnection) -> None:
    connection.transport.abort()


class Tokens:
    """A source of tokens: what it gives or raises, one after the other."""

    def __init__(self, *given: object) -> None:
        self.left = list(given)

    async def __call__(self) -> str:
        given = self.left.pop(0)
        if isinstance(given, BaseException):
            raise given
        return cast("str", given)


async def test_the_next_connection_is_to_another_gateway(
    backend: Backend, gateway: Gateway, other_gateway: Gateway, jitter: FixedJitter
) -> None:
    async with connect((gateway.url, other_gateway.url), "ann", resume=True, jitter=jitter) as ann:
        assert ann.url == gateway.url
        backend.cut("ann")
        await resumed(ann)
        assert ann.url == other_gateway.url
        backend.cut("ann")
        await resumed(ann)
        assert ann.url == gateway.url


@pytest.mark.parametrize("status", [503, 429])
async def test_retry_after_is_obeyed(
    backend: Backend, gateway: Gateway, jitter: FixedJitter, status: int
) -> None:
    async with connect(gateway.url, "ann", resume=True, jitter=jitter) as ann:
        gateway.http_refusals.append(denied(status, Retry_After="1"))
        backend.cut("ann")
        await resumed(ann)
        _, refused, let_in = gateway.attempts
        assert 1 <= let_in - refused < 3


async def test_retry_after_is_for_the_gateway_that_sent_it(
    backend: Backend, gateway: Gateway, other_gateway: Gateway, jitter: FixedJitter
) -> None:
    async with connect((gateway.url, other_gateway.url), "ann", resume=True, jitter=jitter) as ann:
        other_gateway.http_refusals.append(denied(503, Retry_After="60"))
        for _ in range(2):
            backend.cut("ann")
            await resumed(ann)
            assert ann.url == gateway.url
        assert (len(gateway.attempts), len(other_gateway.attempts)) == (3, 1)


async def test_an_expired_token_is_followed_by_a_fresh_one(
    backend: Backend, gateway: Gateway, jitter: FixedJitter
) -> None:
    async with connect(gateway.url, Tokens("ann.1", "ann.2"), resume=True, jitter=jitter) as ann:
        await backend.close("ann", 4501)
        await resumed(ann)
        assert backend.tokens == ["ann.1", "ann.2"]


async def test_a_fresh_token_may_be_refused_once(
    backend: Backend, gateway: Gateway, jitter: FixedJitter
) -> None:
    tokens = Tokens("ann.1", "ann.2", "ann.3", "ann.4", "ann.5", "ann.6")
    async with connect(gateway.url, tokens, resume=True, jitter=jitter) as ann:
        for _ in range(2):
            gateway.http_refusals.append(denied(401))
            backend.cut("ann")
            await resumed(ann)
        assert backend.tokens == ["ann.1", "ann.3", "ann.5"]
        gateway.http_refusals += [denied(401)] * 2
        tokens.left.append("ann.7")
        backend.cut("ann")
        end = await ended(ann)
        assert isinstance(end, GaveUp)
        assert isinstance(end.last, Denied)
        assert end.last.code == 401
        assert not tokens.left


async def test_a_token_source_in_trouble_is_asked_again(
    backend: Backend, gateway: Gateway, jitter: FixedJitter
) -> None:
    troubles = (
        *(ConnectionRefusedError(), TimeoutError(), KeyError("no such user"), asyncio.CancelledError()),
        *("", "<html>502</html>\r\n", None, {"token": "ann"}),
    )
    tokens = Tokens("ann", *troubles, "ann.2")
    async with connect(gateway.url, tokens, resume=True, jitter=jitter) as ann:
        backend.cut("ann")
        await resumed(ann)
        assert ann.last_failure is None
        assert backend.tokens == ["ann", "ann.2"]
        assert not tokens.left


async def test_how_long_a_token_source_may_be_in_trouble_can_be_said(
    backend: Backend, gateway: Gateway, jitter: FixedJitter
) -> None:
    broken = KeyError("no such user")
    is_first = iter((True,))

    async def tokens() -> str:
        if next(is_first, False):
            return "ann"
        raise broken

    async with connect(gateway.url, tokens, resume=True, give_up_after_s=0.2, jitter=jitter) as ann:
        backend.cut("ann")
        end = await ended(ann)
        assert isinstance(end, GaveUp)
        assert end.last is ann.last_failure is broken


async def test_the_first_connection_tries_each_gateway_once(
    backend: Backend, gateway: Gateway, other_gateway: Gateway
) -> None:
    urls = ("ws://127.0.0.1:1/ws", gateway.url, other_gateway.url)
    gateway.http_refusals.append(denied(503, Retry_After="60"))
    async with connect(urls, "ann") as ann:
        assert ann.url == other_gateway.url
    gateway.http_refusals.append(denied(503))
    with pytest.raises(Denied, match="503"):
        async with connect(urls[:2], "ann", resume=True):
            pytest.fail("connected")
    gateway.http_refusals.append(denied(403))
    with pytest.raises(Denied, match="403"):
        async with connect(urls[1:], "ann", resume=True):
            pytest.fail("connected")
    assert len(other_gateway.attempts) == 1
    with pytest.raises(ValueError, match="no URL"):
        async with connect((), "ann"):
            pytest.fail("connected")


async def test_a_first_failure_that_is_final_is_raised_at_once() -> None:
    gateway = Gateway()
    async with gateway.open(Backend()):
        gateway.http_refusals.append(denied(403))
        with pytest.raises(Denied, match="403"):
            await connector_to(gateway.url, gateway.url).connect_first({})
    assert len(gateway.attempts) == 1


async def test_a_token_source_that_breaks_at_first_is_raised(gateway: Gateway) -> None:
    connector = connector_to(gateway.url, gateway.url, token=Tokens(KeyError("no such user")))
    with pytest.raises(KeyError):
        await connector.connect_first({})
    assert gateway.attempts == []


async def test_the_url_has_the_query_of_all_and_of_the_attempt(backend: Backend) -> None:
    gateway, turns = Gateway(), iter("12")
    async with gateway.open(backend):
        gateway.http_refusals.append(denied(503))
        connector = connector_to(gateway.url)
        outcome = await within(connector.reconnect(lambda: {"resume": next(turns)}, at_once=True))
        assert isinstance(outcome, Established)
        await outcome.connection.close()
        assert outcome.url == gateway.url
    assert backend.queries == [{"acks": "1", "resume": "2"}]


@pytest.mark.parametrize("status", [400, 403, 404, 426])
async def test_a_final_refusal_is_returned(gateway: Gateway, status: int) -> None:
    connector = connector_to(gateway.url)
    gateway.http_refusals += [denied(503), denied(status)]
    outcome = await within(connector.reconnect(no_query, at_once=True))
    assert isinstance(outcome, Denied)
    assert outcome.code == status
    assert connector.last_failure is outcome
    assert len(gateway.attempts) == 2


async def test_success_leaves_no_failure(gateway: Gateway) -> None:
    connector = connector_to(gateway.url)
    gateway.http_refusals.append(denied(503))
    await connected(connector)
    assert connector.last_failure is None
    assert not connector.is_attempting
    assert len(gateway.attempts) == 2


async def test_a_token_that_cannot_be_one_is_final(gateway: Gateway) -> None:
    outcome = await within(connector_to(gateway.url, token="a\n").reconnect(no_query, at_once=True))
    assert isinstance(outcome, ValueError)
    assert gateway.attempts == []


async def test_a_fixed_token_that_is_refused_is_final(gateway: Gateway) -> None:
    connector = connector_to(gateway.url)
    assert not connector.may_get_better_token
    gateway.http_refusals.append(denied(401))
    outcome = await within(connector.reconnect(no_query, at_once=True))
    assert isinstance(outcome, Denied)
    assert outcome.code == 401


async def test_a_token_source_is_asked_again_a_few_times_only(gateway: Gateway) -> None:
    tokens = Tokens(*"abcdef")
    connector = connector_to(gateway.url, token=tokens)
    assert connector.may_get_better_token
    gateway.http_refusals += [denied(401)] * TOKEN_TRIES
    assert isinstance(await within(connector.reconnect(no_query, at_once=True)), Denied)
    assert len(tokens.left) == 6 - TOKEN_TRIES
    assert not connector.may_get_better_token
    await connected(connector)
    assert connector.may_get_better_token


async def test_an_attempt_that_broke_off_may_have_replaced(gateway: Gateway) -> None:
    async with serving(abort) as url:
        connector = connector_to(url, gateway.url)
        assert not connector.may_have_replaced
        established = await within(connector.connect_first({}))
        await established.connection.close()
    assert established.url == gateway.url
    assert connector.may_have_replaced


async def test_an_attempt_under_way_may_have_replaced() -> None:
    arrived = asyncio.Event()

    async def silent(connection: ServerConnection) -> None:
        arrived.set()
        await connection.wait_closed()

    async with serving(silent) as url, asyncio.TaskGroup() as tasks:
        connector = connector_to(url)
        connecting = tasks.create_task(connector.reconnect(no_query, at_once=True))
        await within(arrived.wait())
        assert connector.is_attempting
        assert connector.may_have_replaced
        connecting.cancel()


async def test_a_refusal_before_the_upgrade_replaced_nothing(gateway: Gateway) -> None:
    connector = connector_to(gateway.url)
    gateway.http_refusals.append(denied(503))
    await connected(connector)
    assert not connector.may_have_replaced


async def test_a_refused_tcp_connection_replaced_nothing(gateway: Gateway, refusing_url: str) -> None:
    connector = connector_to(refusing_url, refusing_url, gateway.url)
    established = await within(connector.connect_first({}))
    await established.connection.close()
    assert not connector.may_have_replaced


async def test_a_token_source_that_failed_replaced_nothing(gateway: Gateway) -> None:
    connector = connector_to(gateway.url, token=Tokens(TimeoutError(), "ann"))
    await connected(connector)
    assert not connector.may_have_replaced


@pytest.mark.parametrize(
    "first", [event("MEMBER_JOINED", {}), welcome("a").replace("maxMessageBytes", "x"), "?"]
)
async def test_what_does_not_begin_with_a_welcome_is_no_gateway(first: str) -> None:
    async def something_else(connection: ServerConnection) -> None:
        await connection.send(first)
        await connection.wait_closed()

    async with serving(something_else) as url:
        with pytest.raises(Unreachable, match="welcome"):
            async with connect(url, "a"):
                pytest.fail("connected")


async def test_a_server_that_sends_nothing_is_unreachable() -> None:
    async def silent(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with serving(silent) as url:
        with pytest.raises(Unreachable, match="no welcome"):
            async with connect(url, "a", reply_timeout_s=0.05):
                pytest.fail("connected")


async def test_a_server_that_closes_at_once_says_why() -> None:
    async def final(connection: ServerConnection) -> None:
        await connection.close(4501, "token expired")

    async with serving(final) as url:
        with pytest.raises(Closed) as closed:
            await within(connect(url, "a").__aenter__())
        assert (closed.value.code, closed.value.reason) == (4501, "token expired")
