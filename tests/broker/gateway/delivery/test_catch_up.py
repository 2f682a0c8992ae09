"""Every client is sent what is missing, from a real mailbox, when pushes were lost or may have been."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from gateway.client.deliveries import NOTHING
from gateway.client.session import Session
from gateway.delivery.delivery import Delivery
from presence.mailbox import make_mailbox
from tests.broker.runtime.watching import happens, watch
from tests.support.nats_server import NatsServer
from tests.support.waiting import until
from tests.unit.gateway.client.alice import PLAIN
from tests.unit.gateway.client.harness import AN_HOUR_S, Harness, connected, event
from tieline.runtime.broker import Broker, Subscription, connect
from tieline.runtime.message import Message
from tieline.runtime.nats_parser import Listener
from tieline.runtime.requests import Requests
from tieline.verification.tokens import Claims
from tieline.wire.digests import message_id
from tieline.wire.ids import ConnectionId, GatewayId, SecretHash, SessionId, UserId
from tieline.wire.limits import MAX_MISSED
from tieline.wire.subjects import Subjects

SUBJECTS = Subjects("t")


class LossyBroker(Broker):
    """A broker from which nothing comes on the subjects that a test names."""

    def __init__(self, broker: Broker) -> None:
        super().__init__(broker.client, [], [])
        self._broker = broker
        self.lost: set[str] = set()

    def when_away(self, listener: Callable[[], None]) -> None:
        self._broker.when_away(listener)

    def when_back(self, listener: Callable[[], None]) -> None:
        self._broker.when_back(listener)

    async def subscribe(self, subject: str, callback: Listener, queue: str = "") -> Subscription:
        def pass_on(message: Message) -> None:
            if message.subject not in self.lost:
                callback(message)

        return await super().subscribe(subject, pass_on, queue)


class Listening:
    """One user of the gateway, and everything that has come to the user's client."""

    def __init__(self, gateway: "SmallGateway", user: str) -> None:
        self._gateway = gateway
        self.user = UserId(user)
        claims = Claims(user, AN_HOUR_S, rooms="*")
        self.session = Session(
            SessionId(f"s-{user}"), ConnectionId(f"c-{user}"), claims, SecretHash(b""), False, PLAIN
        )
        self.harness: Harness = connected(self.session)
        self.names: list[str] = []

    def send(self, *names: str) -> None:
        """Have events published for this user."""
        for name in names:
            headers = {"Nats-Msg-Id": message_id(self.user, event(name))}
            subject = SUBJECTS.user(self.user, self.session.session)
            self._gateway.broker.send(subject, event(name), headers=headers)

    async def hears(self, *names: str) -> None:
        """Wait for events, which are then all that have come."""

        def has_come() -> bool:
            self.names += self.harness.names()
            return len(self.names) >= len(names)

        await until(has_come)
        assert self.names == list(names)

    def lose_pushes(self) -> None:
        """Lose what is pushed from now on."""
        self._gateway.broker.lost.add(SUBJECTS.live(self.user, self.session.session))

    def get_pushes_again(self) -> None:
        """Get what is pushed from now on."""
        self._gateway.broker.lost.clear()


class SmallGateway:
    """What a gateway does about deliveries, and nothing else."""

    def __init__(self, broker: LossyBroker, tasks: asyncio.TaskGroup) -> None:
        self.broker = broker
        self._requests = Requests(broker, SUBJECTS.replies("test", "1"))
        self.delivery = Delivery(broker, self._requests, SUBJECTS, GatewayId("g"), tasks)

    async def start(self) -> None:
        """Listen for replies, and watch for losses."""
        await self._requests.start()
        await self.delivery.start()

    def elect(self) -> None:
        """Have it told that another node leads the mailbox."""
        self.broker.send(SUBJECTS.mailbox_elections(), b"{}")

    async def let_in(self, user: str) -> Listening:
        """Have one more user."""
        listening = Listening(self, user)
        await self.delivery.follow(listening.harness.connection, listening.session)
        self.delivery.release(listening.session, NOTHING)
        return listening


@pytest.fixture
async def gateway(pip_nats: NatsServer) -> AsyncIterator[SmallGateway]:
    broker = await connect(pip_nats.url, "test")
    await make_mailbox(broker, SUBJECTS, "file", 1, 30)
    async with asyncio.TaskGroup() as tasks:
        small = SmallGateway(LossyBroker(broker), tasks)
        await small.start()
        yield small
        await broker.close()


async def test_a_push_that_did_not_come_is_read_before_newer_ones_come(
    gateway: SmallGateway,
) -> None:
    alice = await gateway.let_in("alice")
    alice.send("a")
    await alice.hears("a")
    alice.lose_pushes()
    alice.send("b", "c")
    await gateway.delivery.settled()
    alice.get_pushes_again()

    alice.send("d")

    await alice.hears("a", "b", "c", "d")
    assert gateway.delivery.suspected_losses == 1


async def test_an_election_has_the_mailbox_read_for_every_client(gateway: SmallGateway) -> None:
    alice, bob = await gateway.let_in("alice"), await gateway.let_in("bob")
    alice.send("a")
    await alice.hears("a")
    alice.lose_pushes()
    alice.send("b")
    bob.send("c")
    await bob.hears("c")

    gateway.elect()

    await alice.hears("a", "b")
    bob.send("d")
    await bob.hears("c", "d")
    assert bob.harness.close_code is None


async def test_a_loss_suspected_while_it_is_read_has_it_read_again(gateway: SmallGateway) -> None:
    alice = await gateway.let_in("alice")
    alice.lose_pushes()

    gateway.elect()
    alice.send("a")
    gateway.elect()

    await alice.hears("a")
    alice.get_pushes_again()
    alice.send("b")
    await alice.hears("a", "b")


async def test_what_a_broker_stored_before_it_died_comes_when_it_is_back(
    gateway: SmallGateway, pip_nats: NatsServer
) -> None:
    alice = await gateway.let_in("alice")
    alice.lose_pushes()
    alice.send("a", "b")
    await gateway.delivery.settled()
    away, back = watch(gateway.broker)
    pip_nats.kill()
    await happens(away)
    alice.get_pushes_again()

    pip_nats.start()
    await happens(back)
    alice.send("c")

    await alice.hears("a", "b", "c")
    alice.send("d")
    await alice.hears("a", "b", "c", "d")


async def test_a_message_that_is_lost_for_good_holds_no_client_back(gateway: SmallGateway) -> None:
    alice, bob = await gateway.let_in("alice"), await gateway.let_in("bob")
    alice.send("a")
    await alice.hears("a")
    alice.lose_pushes()
    alice.send("b")
    await gateway.delivery.settled()
    gateway.broker.lost = {
        SUBJECTS.live_mark(GatewayId("g"))
    }  # nothing is read until the mailbox has lost it
    alice.send("c")
    await until(lambda: gateway.delivery.suspected_losses == 1)
    stored = SUBJECTS.user(alice.user, alice.session.session)
    await gateway.broker.client.jetstream().purge_stream(SUBJECTS.mailbox(), subject=stored)
    gateway.broker.lost.clear()

    bob.send("d")

    await bob.hears("d")
    await alice.hears("a", "c")
    alice.send("e")
    await alice.hears("a", "c", "e")
    assert gateway.delivery.suspected_losses == 1


async def test_a_client_that_lacks_more_than_is_stored_gets_what_is(gateway: SmallGateway) -> None:
    alice, bob = await gateway.let_in("alice"), await gateway.let_in("bob")
    alice.lose_pushes()
    names = [f"e-{number}" for number in range(MAX_MISSED + 2)]
    alice.send(*names)

    gateway.elect()

    await alice.hears(*names[2:])
    assert alice.harness.close_code is None
    bob.send("a")
    await bob.hears("a")
