"""Connections that were replaced while the broker was away are closed when it is back, by a real broker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from gateway.client.session import Session
from gateway.delivery.connections import Connections
from gateway.sessions.presence import RemotePresence
from gateway.sessions.reconciliation import AT_ONCE, Reconciliation
from tests.broker.runtime.watching import happens, watch
from tests.support.nats_server import NatsServer
from tests.support.waiting import until
from tests.unit.gateway.client.alice import PLAIN
from tests.unit.gateway.client.harness import AN_HOUR_S, Harness, connected
from tieline.runtime.broker import Broker, connect
from tieline.runtime.message import Message
from tieline.runtime.requests import Requests
from tieline.verification.tokens import Claims
from tieline.wire.codes import CloseCode
from tieline.wire.ids import ConnectionId, SecretHash, SessionId
from tieline.wire.internal import codec
from tieline.wire.internal.sessions import FindReplaced, Replaced
from tieline.wire.subjects import Subjects

SUBJECTS = Subjects("t")


class Scene:
    """A gateway's connections by name, and a presence that knows which of them are replaced."""

    def __init__(self, nats: NatsServer, gateway: Broker, presence: Broker, tasks: asyncio.TaskGroup) -> None:
        self.connections = Connections()
        self.harnesses: dict[str, Harness] = {}
        self.replaced: set[str] = set()
        self.asked: set[tuple[ConnectionId, ...]] = set()
        """The connections of each question that was answered, be it once or, as it was repeated, twice."""
        self.silent = 0
        """How many questions presence does not answer."""
        self._nats = nats
        self._gateway = gateway
        self._presence = presence
        self._requests = Requests(gateway, SUBJECTS.replies("test", "1"))
        self._tasks = tasks

    async def start(self) -> None:
        await self._requests.start()
        presence = RemotePresence(self._requests, SUBJECTS)
        reconciliation = Reconciliation(
            presence, self.connections, lambda: self._gateway.is_connected, self._tasks
        )
        self._gateway.when_back(reconciliation.start)
        await self._presence.subscribe(SUBJECTS.presence("replaced"), self._answer)
        await self._presence.flush()

    def _answer(self, question: Message) -> None:
        ask = codec.decode_presence_request(question.data)
        assert isinstance(ask, FindReplaced)
        if self.silent:
            self.silent -= 1
            return
        names = tuple(connection for _, connection in ask.connections)
        self.asked.add(names)
        answer = Replaced(tuple(name for name in names if name in self.replaced))
        self._presence.send(question.reply, codec.encode(answer))

    def let_in(self, *names: str) -> None:
        for name in names:
            claims = Claims(name, AN_HOUR_S, rooms="*")
            session = Session(SessionId(name), ConnectionId(name), claims, SecretHash(b""), False, PLAIN)
            self.harnesses[name] = connected(session)
            self.connections.add(self.harnesses[name].connection, session)

    async def lose_the_broker(self) -> None:
        """Have it away for a moment."""
        both = [watch(broker) for broker in (self._gateway, self._presence)]
        self._nats.kill()
        for away, _ in both:
            await happens(away)
        self._nats.start()
        for _, back in both:
            await happens(back)

    async def until_closed(self, names: list[str]) -> None:
        """Wait until these and no others were closed because of a newer connection."""
        await until(lambda: self._closed() == names)

    def _closed(self) -> list[str]:
        codes = {name: harness.close_code for name, harness in self.harnesses.items()}
        assert set(codes.values()) <= {None, CloseCode.REPLACED}
        return [name for name, code in codes.items() if code]


@pytest.fixture
async def scene(pip_nats: NatsServer) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        gateway, presence = [await connect(pip_nats.url, name) for name in ("gateway", "presence")]
        for broker in (gateway, presence):
            stack.push_async_callback(broker.close)
        async with asyncio.TaskGroup() as tasks:
            scene = Scene(pip_nats, gateway, presence, tasks)
            await scene.start()
            yield scene


async def test_what_was_replaced_while_the_broker_was_away_is_closed_alone(scene: Scene) -> None:
    scene.let_in("alice", "bob", "carol")
    scene.replaced |= {"bob", "somebody who has gone meanwhile"}

    await scene.lose_the_broker()

    await scene.until_closed(["bob"])
    assert scene.asked == {("alice", "bob", "carol")}


async def test_without_connections_nothing_is_asked(scene: Scene) -> None:
    await scene.lose_the_broker()
    scene.let_in("alice")
    await scene.lose_the_broker()
    await until(lambda: scene.asked)
    assert scene.asked == {("alice",)}


async def test_many_are_asked_about_in_several_questions(scene: Scene) -> None:
    names = [f"user-{number}" for number in range(2 * AT_ONCE + 1)]
    scene.let_in(*names)
    scene.replaced |= {names[0], names[-1]}

    await scene.lose_the_broker()

    await scene.until_closed([names[0], names[-1]])
    assert sorted(len(some) for some in scene.asked) == [1, AT_ONCE, AT_ONCE]


async def test_a_question_without_an_answer_is_asked_again(scene: Scene) -> None:
    scene.let_in("alice")
    scene.replaced.add("alice")
    scene.silent = 2

    await scene.lose_the_broker()

    await scene.until_closed(["alice"])
    assert scene.silent == 0


async def test_each_return_of_the_broker_is_a_reason_to_ask(scene: Scene) -> None:
    names = ["alice", "bob", "carol"]
    scene.let_in(*names)
    for count, name in enumerate(names, 1):
        scene.replaced.add(name)
        await scene.lose_the_broker()
        await scene.until_closed(names[:count])
