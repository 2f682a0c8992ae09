"""Everybody is sent what is missing, from a real mailbox, when pushes were lost or may have been."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.admission.tokens import Claims
from gateway.client.session import Session
from gateway.delivery.barriers import Marks
from gateway.delivery.catch_up import CatchUp
from gateway.delivery.connections import Ear, Live
from gateway.delivery.mailbox import MAX_MISSED, Mailbox
from presence.mailbox import make_mailbox
from tests.broker.runtime.watching import happens, watch
from tests.support.nats_server import NatsServer
from tests.support.waiting import until
from tests.unit.gateway.client.alice import PLAIN
from tests.unit.gateway.client.stage import AN_HOUR_S, Stage, connected, event
from tieline.runtime.broker import Broker, connect
from tieline.runtime.message import Message
from tieline.runtime.requests import Requests
from tieline.wire import internal
from tieline.wire.ids import ConnectionId, GatewayId, SecretHash, SessionId, UserId
from tieline.wire.subjects import Subjects

SUBJECTS = Subjects("t")
ELECTED = Message(SUBJECTS.mailbox_elections(), "", b"{}", b"")


class Listening:
    """One user of the gateway, and everything that has come to his client."""

    def __init__(self, gateway: "SmallGateway", user: str) -> None:
        self._gateway = gateway
        self.user = UserId(user)
        claims = Claims(user, AN_HOUR_S, rooms="*")
        self.session = Session(
            SessionId(f"s-{user}"), ConnectionId(f"c-{user}"), claims, SecretHash(b""), False, PLAIN
        )
        self.stage: Stage = connected(self.session)
        self.names: list[str] = []

    def send(self, *names: str) -> None:
        """Have somebody publish events for this user."""
        for name in names:
            headers = {"Nats-Msg-Id": internal.message_id(self.user, event(name))}
            subject = SUBJECTS.user(self.user, self.session.session)
            self._gateway.broker.send(subject, event(name), headers=headers)

    async def hears(self, *names: str) -> None:
        """Wait for events, which are then all that have come."""

        def has_come() -> bool:
            self.names += self.stage.names()
            return len(self.names) >= len(names)

        await until(has_come)
        assert self.names == list(names)

    async def turn_deaf(self) -> None:
        """Lose what is pushed from now on."""
        await self._ear.subscription.unsubscribe()

    async def hear_again(self) -> None:
        """Hear what is pushed from now on, with the same ear."""
        pushed = SUBJECTS.live(self.user, self.session.session)
        self._ear.subscription = await self._gateway.broker.subscribe(pushed, self._ear.hear)

    @property
    def _ear(self) -> Ear:
        (ear,) = [ear for ear in self._gateway.live.ears() if ear.connection is self.stage.connection]
        return ear


class SmallGateway:
    """What a gateway does about deliveries, and nothing else."""

    def __init__(self, broker: Broker, tasks: asyncio.TaskGroup) -> None:
        self.broker = broker
        self.live = Live(broker, SUBJECTS)
        self.marks = Marks(broker, SUBJECTS, GatewayId("g"))
        self._requests = Requests(broker, SUBJECTS.replies("test", "1"))
        mailbox = Mailbox(self._requests, SUBJECTS)
        self.catch_up = CatchUp(broker, self.live, mailbox, self.marks, tasks)

    async def start(self) -> None:
        """Listen for replies and marks."""
        await self._requests.start()
        await self.marks.start()

    async def let_in(self, user: str) -> Listening:
        """Have one more user."""
        listening = Listening(self, user)
        self.live.add(listening.stage.connection, listening.session)
        await self.live.listen(listening.stage.connection, listening.session)
        return listening


@pytest.fixture
async def gateway(pip_nats: NatsServer) -> AsyncIterator[SmallGateway]:
    broker = await connect(pip_nats.url, "test")
    await make_mailbox(broker, SUBJECTS, "file", 1, 30)
    async with asyncio.TaskGroup() as tasks:
        small = SmallGateway(broker, tasks)
        await small.start()
        yield small
        await broker.close()


async def test_a_push_that_did_not_come_is_read_before_anything_newer_is_delivered(
    gateway: SmallGateway,
) -> None:
    alice = await gateway.let_in("alice")
    alice.send("a")
    await alice.hears("a")
    await alice.turn_deaf()
    alice.send("b", "c")
    await gateway.marks.passed()
    await alice.hear_again()

    alice.send("d")

    await alice.hears("a", "b", "c", "d")
    assert gateway.live.disturbances == 1


async def test_an_election_has_everybody_s_mailbox_read(gateway: SmallGateway) -> None:
    alice, bob = await gateway.let_in("alice"), await gateway.let_in("bob")
    alice.send("a")
    await alice.hears("a")
    await alice.turn_deaf()
    alice.send("b")
    bob.send("c")
    await bob.hears("c")

    gateway.catch_up.on_election(ELECTED)

    await alice.hears("a", "b")
    bob.send("d")
    await bob.hears("c", "d")
    assert bob.stage.close_code is None


async def test_a_disturbance_while_it_is_read_has_it_read_again(gateway: SmallGateway) -> None:
    alice = await gateway.let_in("alice")
    await alice.turn_deaf()

    gateway.catch_up.on_election(ELECTED)
    alice.send("a")
    gateway.catch_up.on_election(ELECTED)

    await alice.hears("a")
    assert not alice.stage.connection.deliveries.is_held


async def test_what_a_broker_stored_before_it_died_comes_when_it_is_back(
    gateway: SmallGateway, pip_nats: NatsServer
) -> None:
    alice = await gateway.let_in("alice")
    await alice.turn_deaf()
    alice.send("a", "b")
    await gateway.marks.passed()
    away, back = watch(gateway.broker)
    pip_nats.kill()
    await happens(away)
    assert alice.stage.connection.deliveries.is_held

    pip_nats.start()
    await happens(back)

    await alice.hears("a", "b")
    assert not alice.stage.connection.deliveries.is_held


@pytest.mark.parametrize("missing", [MAX_MISSED, MAX_MISSED + 1])
async def test_who_lacks_more_than_is_kept_is_sent_away(gateway: SmallGateway, missing: int) -> None:
    alice, bob = await gateway.let_in("alice"), await gateway.let_in("bob")
    await alice.turn_deaf()
    names = [f"e-{number}" for number in range(missing)]
    alice.send(*names)

    gateway.catch_up.on_election(ELECTED)

    if missing == MAX_MISSED:
        await alice.hears(*names)
        return
    await until(lambda: alice.stage.close_code == 4002)
    assert alice.names == []
    bob.send("a")
    await bob.hears("a")
