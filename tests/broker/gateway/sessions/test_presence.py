"""What holds of asking presence: over a real broker, and of the fake that unit tests ask instead."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final, Protocol

import pytest

from gateway.sessions.presence import Presence, RemotePresence
from tests.support.nats_server import NatsServer
from tests.support.waiting import until
from tests.unit.gateway.sessions.presence import FakePresence
from tieline.runtime.broker import Broker, connect
from tieline.runtime.message import Message
from tieline.runtime.requests import NoAnswer, Requests
from tieline.wire.ids import NO_TOKEN, AdmissionToken, ConnectionId, GatewayId, SecretHash, SessionId, UserId
from tieline.wire.internal import codec
from tieline.wire.internal.answers import UNPROVEN, Refused
from tieline.wire.internal.directions import GatewayRequest, PresenceReply, PresenceRequest
from tieline.wire.internal.sessions import FindReplaced, KeepLease, LeaseKept, Opened, OpenSession, Replaced
from tieline.wire.subjects import Subjects

SUBJECTS: Final = Subjects("t")
LEASE: Final = KeepLease(GatewayId("g"))
QUESTION: Final = FindReplaced(((UserId("alice"), ConnectionId("c-1")),))
NO_PATIENCE_S: Final = 0.2
"""For requests that get no answer."""


class Setup(Protocol):
    """A presence to be asked, and what it answers."""

    presence: Presence

    def reply(self, kind: type[GatewayRequest], reply: PresenceReply | None) -> None:
        """Answer requests of a kind so; None: not at all."""
        ...

    def asked(self) -> list[PresenceRequest]:
        """List what was asked, each request once."""
        ...

    def go_on(self) -> None:
        """Let what was begun be answered."""
        ...

    def forget(self) -> None:
        """List what was asked before no more."""
        ...


class Fake:
    """The fake of unit tests."""

    def __init__(self) -> None:
        self._fake = FakePresence()
        self.presence: Presence = self._fake

    def reply(self, kind: type[GatewayRequest], reply: PresenceReply | None) -> None:
        self._fake.reply(kind, reply)

    def asked(self) -> list[PresenceRequest]:
        return list(self._fake.asked)

    def go_on(self) -> None:
        self._fake.answer_begun()

    def forget(self) -> None:
        self._fake.asked.clear()


class Real:
    """A gateway and a presence on one broker."""

    def __init__(self, gateway: Broker, presence: Broker) -> None:
        self._broker = presence
        self._requests = Requests(gateway, SUBJECTS.replies("test", "1"))
        self._replies: dict[type, PresenceReply | None] = {}
        self._asked: list[PresenceRequest] = []
        self.presence: Presence = RemotePresence(self._requests, SUBJECTS)

    async def start(self) -> None:
        await self._requests.start()
        await self._broker.subscribe(SUBJECTS.presences(), self._answer)
        await self._broker.flush()

    def _answer(self, message: Message) -> None:
        request = codec.decode_presence_request(message.data)
        if request not in self._asked:
            self._asked.append(request)
        reply = self._replies[type(request)]
        if reply is not None:
            self._broker.send(message.reply, codec.encode(reply))

    def reply(self, kind: type[GatewayRequest], reply: PresenceReply | None) -> None:
        self._replies[kind] = reply

    def asked(self) -> list[PresenceRequest]:
        return list(self._asked)

    def go_on(self) -> None:
        """Do nothing: what is begun is answered by itself."""

    def forget(self) -> None:
        self._asked.clear()


@pytest.fixture(params=["fake", "real"])
async def setup(request: pytest.FixtureRequest, pip_nats: NatsServer) -> AsyncIterator[Setup]:
    if request.param == "fake":
        yield Fake()
        return
    gateway, presence = [await connect(pip_nats.url, name) for name in ("gateway", "presence")]
    real = Real(gateway, presence)
    await real.start()
    yield real
    await gateway.close()
    await presence.close()


async def test_each_request_gets_the_reply_to_its_kind(setup: Setup) -> None:
    setup.reply(KeepLease, LeaseKept("run 1"))
    setup.reply(FindReplaced, Replaced((ConnectionId("c-1"),)))

    assert await setup.presence.ask(LEASE) == LeaseKept("run 1")
    assert await setup.presence.ask(QUESTION) == Replaced((ConnectionId("c-1"),))
    assert setup.asked() == [LEASE, QUESTION]


def opens(token: AdmissionToken, user: str = "alice") -> OpenSession:
    names = SessionId("s"), GatewayId("g"), ConnectionId("c")
    nothing = SecretHash(b"")
    return OpenSession(UserId(user), *names, True, (), nothing, nothing, None, token=token)


TOKEN = AdmissionToken("e.y.J")


@pytest.mark.parametrize("setup", ["real"], indirect=True)
async def test_presence_is_given_tokens_only_if_it_looks_at_them(setup: Setup) -> None:
    setup.reply(OpenSession, Opened(SessionId("s"), resumed=False, rooms={}))
    for tokens, expected in ((False, NO_TOKEN), (True, TOKEN), (False, NO_TOKEN)):
        setup.reply(KeepLease, LeaseKept("run 1", tokens=tokens))
        await setup.presence.ask(LEASE)
        setup.forget()
        await setup.presence.ask(opens(TOKEN))
        assert setup.asked() == [opens(expected)]


@pytest.mark.parametrize("setup", ["real"], indirect=True)
async def test_a_presence_that_looks_since_a_moment_ago_is_given_one(setup: Setup) -> None:
    refused = Refused(UNPROVEN)
    setup.reply(OpenSession, refused)
    assert await setup.presence.ask(opens(TOKEN)) == refused
    assert setup.asked() == [opens(NO_TOKEN), opens(TOKEN)]
    assert await setup.presence.ask(opens(NO_TOKEN)) == refused  # there is none to be given


@pytest.mark.parametrize("setup", ["real"], indirect=True)
async def test_all_that_were_asked_without_one_are_asked_again(setup: Setup) -> None:
    refused = Refused(UNPROVEN)
    setup.reply(OpenSession, refused)
    users = ("alice", "bob", "carol")
    answers = await asyncio.gather(*(setup.presence.ask(opens(TOKEN, user)) for user in users))
    assert answers == [refused] * 3
    assert [opens(TOKEN, user) in setup.asked() for user in users] == [True] * 3


async def test_a_request_without_a_reply_in_time_is_an_exception(setup: Setup) -> None:
    setup.reply(KeepLease, None)
    with pytest.raises(NoAnswer):
        await setup.presence.ask(LEASE, NO_PATIENCE_S)
    assert setup.asked() == [LEASE]


@pytest.mark.parametrize("reply", [Replaced(()), None])
async def test_a_request_that_was_begun_is_answered_once(setup: Setup, reply: PresenceReply | None) -> None:
    setup.reply(FindReplaced, reply)
    answers: list[PresenceReply | None] = []

    setup.presence.begin(QUESTION, answers.append, NO_PATIENCE_S)
    assert answers == []
    setup.go_on()

    await until(lambda: answers)
    assert answers == [reply]
