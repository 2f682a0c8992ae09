"""The way from a real mailbox to clients: followed, released, dropped. Losses are `test_catch_up`."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.client.deliveries import NOTHING, PART_BYTES, Missed
from gateway.client.duplicates import name_of
from gateway.client.session import Session
from gateway.delivery.delivery import Delivery
from presence.mailbox import make_mailbox
from tests.broker.runtime.watching import happens, watch
from tests.support.nats_server import NatsServer
from tests.unit.gateway.client.alice import PLAIN, signal_ask
from tests.unit.gateway.client.harness import AN_HOUR_S, Harness, connected, event
from tests.unit.wire import samples
from tieline.runtime.broker import Broker, BrokerAway, connect
from tieline.runtime.requests import NoAnswer, Requests
from tieline.verification.tokens import Claims
from tieline.wire import jetstream_headers
from tieline.wire.ids import CallId, ConnectionId, GatewayId, SecretHash, SessionId, UserId
from tieline.wire.internal.signals import Accepted
from tieline.wire.subjects import Subjects

SUBJECTS = Subjects("t")


class Way:
    """One client, and the way on which it gets what others send."""

    def __init__(self, broker: Broker, tasks: asyncio.TaskGroup) -> None:
        self.broker = broker
        self._requests = Requests(broker, SUBJECTS.replies("test", "1"))
        self.delivery = Delivery(broker, self._requests, SUBJECTS, GatewayId("g"), tasks, PART_BYTES)
        claims = Claims("alice", AN_HOUR_S, rooms="*")
        self.alice = Session(SessionId("s-1"), ConnectionId("c-1"), claims, SecretHash(b""), False, PLAIN)
        self.harness: Harness = connected(self.alice)

    async def start(self) -> None:
        await make_mailbox(self.broker, SUBJECTS, "memory", 1, 30)
        await self._requests.start()
        await self.delivery.start()

    async def follow(self) -> None:
        await self.delivery.follow(self.harness.connection, self.alice)

    async def send(self, *names: str) -> None:
        """Have events stored, and pushed if the session is followed."""
        for name in names:
            self.broker.send(SUBJECTS.user(UserId("alice"), SessionId("s-1")), event(name))
        await self.delivery.settled()


@pytest.fixture
async def way(pip_nats: NatsServer) -> AsyncIterator[Way]:
    broker = await connect(pip_nats.url, "test")
    async with asyncio.TaskGroup() as tasks:
        way = Way(broker, tasks)
        await way.start()
        yield way
        await broker.close()


async def test_what_is_stored_after_it_is_followed_waits_for_its_release(way: Way) -> None:
    await way.follow()
    await way.send("a", "b")
    assert way.harness.names() == []

    way.delivery.release(way.alice, NOTHING)

    assert way.harness.names() == ["a", "b"]


async def test_what_is_stored_after_its_release_comes_at_once(way: Way) -> None:
    await way.follow()
    way.delivery.release(way.alice, NOTHING)

    await way.send("a")

    assert way.harness.names() == ["a"]
    assert way.delivery.suspected_losses == 0


async def test_what_was_stored_before_is_missed_and_comes_first(way: Way) -> None:
    await way.send("a", "b", "c")
    await way.follow()
    await way.send("d")

    missed = await way.delivery.missed(way.alice, "a")
    way.delivery.release(way.alice, missed)

    assert (missed.known, missed.fresh) == ([name_of(event("a"))], [event("b"), event("c"), event("d")])
    assert way.harness.names() == ["b", "c", "d"]
    await way.send("e")
    assert way.harness.names() == ["e"]
    assert way.delivery.suspected_losses == 0


async def test_whoever_has_hung_up_hears_no_more_offers_of_that_call(way: Way) -> None:
    await way.follow()
    way.delivery.release(way.alice, NOTHING)
    ask = signal_ask(way.alice, "WEBRTC_HANGUP")
    way.alice.router_answered(ask, Accepted("relayed", call=CallId("c-1")))
    for call in ("c-1", "c-2"):
        offer = samples.frame(samples.signal_message("WEBRTC_OFFER") | {"requestId": call})
        headers = jetstream_headers.named(call, CallId(call))
        way.broker.send(SUBJECTS.user(UserId("alice"), SessionId("s-1")), offer, headers=headers)
    await way.delivery.settled()
    assert way.harness.names() == ["c-2"]

    await way.delivery.drop(way.alice)
    way.alice.router_answered(ask, Accepted("relayed", call=CallId("c-2")))


async def test_after_it_is_dropped_nothing_comes(way: Way) -> None:
    await way.follow()
    way.delivery.release(way.alice, NOTHING)

    await way.delivery.drop(way.alice)
    await way.send("a")

    assert way.harness.names() == []
    way.delivery.release(way.alice, Missed([], [event("b")]))
    await way.delivery.drop(way.alice)
    assert way.harness.names() == []


async def test_without_a_broker_no_session_can_be_followed(way: Way, pip_nats: NatsServer) -> None:
    away, _ = watch(way.broker)
    pip_nats.kill()
    await happens(away)

    with pytest.raises(BrokerAway):
        await way.follow()
    with pytest.raises(BrokerAway):
        await way.delivery.settled()
    assert way.delivery.suspected_losses == 1


async def test_a_session_that_is_followed_without_a_broker_can_be_dropped(
    way: Way, pip_nats: NatsServer
) -> None:
    await way.follow()
    away, _ = watch(way.broker)
    pip_nats.kill()
    await happens(away)

    await way.delivery.drop(way.alice)

    way.delivery.release(way.alice, Missed([], [event("a")]))
    assert way.harness.names() == []


async def test_what_is_stored_can_be_told_as_long_as_the_mailbox_answers(way: Way) -> None:
    assert await way.delivery.stores()
    await way.broker.client.jetstream().delete_stream(SUBJECTS.mailbox())
    assert not await way.delivery.stores()


async def test_while_too_many_wait_only_little_is_replayed(way: Way) -> None:
    await way.send("a")
    await way.follow()
    assert (await way.delivery.missed(way.alice, "")).fresh == [event("a")]

    for number in range(2):
        await way.send(f"{number} {'x' * 50_000}")

    with pytest.raises(NoAnswer, match="too many"):
        await way.delivery.missed(way.alice, "")


def of_call(cmd: str, call: str) -> tuple[bytes, bytes]:
    """A frame of a call, and the headers with which a router stores it."""
    frame = b'{"cmd":"%b","id":"%b-%b"}' % (cmd.encode(), cmd.encode(), call.encode())
    return frame, jetstream_headers.named(f"{cmd}-{call}", call)


@pytest.mark.parametrize("is_held", [False, True])
async def test_an_offer_stored_after_its_calls_end_is_not_delivered(way: Way, is_held: bool) -> None:
    await way.follow()
    if not is_held:
        way.delivery.release(way.alice, NOTHING)
    words = [of_call("WEBRTC_HANGUP", "old"), of_call("WEBRTC_OFFER", "old"), of_call("WEBRTC_OFFER", "new")]
    for frame, headers in words:
        way.broker.send(SUBJECTS.user(UserId("alice"), SessionId("s-1")), frame, headers=headers)
    await way.delivery.settled()
    if is_held:
        way.delivery.release(way.alice, NOTHING)
    end, _, offer = (frame for frame, _ in words)
    assert way.harness.texts() == [end, offer]
