"""What presence orders, and sessions that it has forgotten."""

import pytest

from gateway.client.session import Session
from tests.support.metrics import value_of
from tests.unit.gateway.client.harness import Harness
from tests.unit.gateway.sessions.scene import ALICE, GATEWAY, Scene
from tieline import metrics
from tieline.runtime.message import Message
from tieline.wire.codes import CloseCode
from tieline.wire.ids import ConnectionId, RoomId, SecretHash, SessionId
from tieline.wire.internal import codec
from tieline.wire.internal.answers import Done, Refused, SessionGone
from tieline.wire.internal.directions import GatewayRequest
from tieline.wire.internal.sessions import CloseSession, EndSession, KeepLease, Register

ALICES = ConnectionId("c-alice")
REGISTRATION = Register(
    ALICE,
    SessionId("s-alice"),
    GATEWAY,
    ALICES,
    True,
    {},
    SecretHash(b"hash"),
    hears=True,
    names_connection=True,
)


def order(connection: str, code: CloseCode, reply: str = "") -> Message:
    """An order of presence to close a connection."""
    body = CloseSession(ALICE, SessionId("s-alice"), ConnectionId(connection), code)
    return Message("t.gateway.g-1.close", reply, codec.encode(body), b"")


def session_of(harness: Harness) -> Session:
    assert harness.connection.session is not None
    return harness.connection.session


# Orders.


async def test_a_connection_is_closed_with_the_code_that_presence_says(scene: Scene) -> None:
    alice, bob = scene.here("alice"), scene.here("bob")

    scene.registrations.on_close(order("c-alice", CloseCode.KICKED))

    assert (alice.close_code, bob.close_code) == (4502, None)
    assert scene.departures.ended_with(session_of(alice)) is CloseCode.KICKED


async def test_an_order_for_a_connection_that_is_not_here_changes_nothing(scene: Scene) -> None:
    alice = scene.here("alice")

    scene.registrations.on_close(order("c-other", CloseCode.KICKED))

    assert alice.close_code is None


async def test_presence_that_asks_is_told_when_a_connection_is_closed(scene: Scene) -> None:
    alice = scene.here("alice")
    asked = order("c-alice", CloseCode.KICKED, "t.presence.p-1.reply.7")
    scene.registrations.on_close(asked)
    assert alice.close_code == CloseCode.KICKED
    scene.registrations.on_close(asked)  # it is closed already
    scene.sender.is_away = True
    scene.registrations.on_close(asked)
    assert scene.sender.sent == [("t.presence.p-1.reply.7", b"closed")] * 2


async def test_nobody_else_is_told(scene: Scene) -> None:
    scene.registrations.on_close(order("c-alice", CloseCode.KICKED, "t.user.bob.s-1"))
    assert scene.sender.sent == []


async def test_a_gateway_that_is_asked_says_that_it_is_alive(scene: Scene) -> None:
    scene.registrations.on_alive(Message("t.gateway.g-1.alive", "t.presence.p-1.reply.7", b"", b""))
    assert scene.sender.sent == [("t.presence.p-1.reply.7", b"alive")]


@pytest.mark.parametrize(
    "reply", ["", "t.user.bob.s-1", "$KV.t.user.bob", "t.gateway.g-2.reply.7", "t.presence.p-1.inbox.7"]
)
async def test_it_says_so_to_presence_and_nowhere_else(scene: Scene, reply: str) -> None:
    scene.registrations.on_alive(Message("t.gateway.g-1.alive", reply, b"", b""))
    assert scene.sender.sent == []


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\xc1",
        codec.encode(KeepLease(GATEWAY)),
        codec.encode(CloseSession(ALICE, SessionId("s\n"), ALICES, 4500)),
    ],
)
async def test_an_order_that_cannot_be_read_closes_nobody(scene: Scene, said: bytes) -> None:
    alice, dropped = scene.here("alice"), metrics.UNREADABLE_MESSAGES.labels("close")
    before = value_of(dropped)
    scene.registrations.on_close(Message("t.gateway.g-1.close", "", said, b""))
    assert alice.close_code is None
    assert value_of(dropped) == before + 1


async def test_a_close_code_of_a_newer_version_asks_to_come_back(scene: Scene) -> None:
    alice = scene.here("alice")
    newer = CloseSession(ALICE, SessionId("s-alice"), ALICES, 4999)
    scene.registrations.on_close(Message("t.gateway.g-1.close", "", codec.encode(newer), b""))
    assert alice.close_code == CloseCode.BROKER_LOST


async def test_without_a_broker_it_cannot_say_so(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.sender.is_away = True
    scene.registrations.on_alive(Message("t.gateway.g-1.alive", "t.presence.p-1.reply.7", b"", b""))
    assert [record.message for record in caplog.records] == [
        "could not say that this gateway is alive: broker away"
    ]


# One session again.


async def test_a_session_whose_token_presence_does_not_take_is_lost(scene: Scene) -> None:
    scene.presence.reply(Register, Refused("BAD_TOKEN"))
    gone = await scene.registrations.register(session_of(scene.here("alice")))
    assert gone == SessionGone(replaced=False)


async def test_a_session_is_registered_again_as_it_is_now(scene: Scene) -> None:
    alice = scene.here("alice")

    assert await scene.registrations.register(session_of(alice)) is None

    assert scene.presence.asked == [REGISTRATION]


@pytest.mark.parametrize("replaced", [True, False])
async def test_presence_may_say_that_it_cannot_be(scene: Scene, replaced: bool) -> None:
    gone = SessionGone(replaced)
    scene.presence.reply(Register, gone)
    assert await scene.registrations.register(session_of(scene.here("alice"))) == gone


async def test_no_answer_is_left_to_what_is_asked_next(scene: Scene) -> None:
    scene.presence.reply(Register, None)
    assert await scene.registrations.register(session_of(scene.here("alice"))) is None


async def test_a_session_that_ends_or_has_ended_is_not_brought_back(scene: Scene) -> None:
    alice, bob = scene.here("alice"), scene.here("bob")
    scene.departures.note_ended(ALICES, CloseCode.REPLACED)
    scene.connections.remove(session_of(bob))

    assert await scene.registrations.register(session_of(alice)) is None
    assert await scene.registrations.register(session_of(bob)) is None

    assert scene.presence.asked == []


async def test_a_session_that_ends_meanwhile_is_ended_again(scene: Scene) -> None:
    scene.presence.reply(EndSession, Done(2))
    alice = scene.here("alice")

    def leave(request: GatewayRequest) -> None:
        if isinstance(request, Register):
            scene.leaves(alice)

    scene.presence.on_ask = leave

    await scene.registrations.register(session_of(alice))
    await scene.settles()

    ending = EndSession(ALICE, ALICES, resumable=False)
    assert scene.presence.asked[0] == REGISTRATION
    assert scene.ends() == [ending, ending]


# All of them, when the lease was lost.


async def test_all_sessions_are_registered_again_when_the_lease_was_lost(scene: Scene) -> None:
    harnesses = [scene.here(f"user-{number}") for number in range(100)]

    scene.registrations.on_lease_lost()
    await scene.settles()

    registered = [ask.connection for ask in scene.presence.asked if isinstance(ask, Register)]
    assert sorted(registered) == sorted(session_of(harness).connection for harness in harnesses)
    assert {harness.close_code for harness in harnesses} == {None}


async def test_a_session_that_cannot_be_is_closed_with_the_reason(scene: Scene) -> None:
    harnesses = [scene.here(name) for name in ("alice", "bob", "carol")]
    scene.presence.reply(Register, SessionGone(replaced=True), SessionGone(replaced=False), Done())

    scene.registrations.on_lease_lost()
    await scene.settles()

    assert [harness.close_code for harness in harnesses] == [4500, 4002, None]


async def test_rooms_that_presence_alone_knows_of_are_told(scene: Scene) -> None:
    found: list[tuple[Session, tuple[RoomId, ...]]] = []
    scene.registrations._on_unknown_rooms = lambda session, rooms: found.append((session, rooms))
    alice = session_of(scene.here("alice"))
    for reply in (Done(), Done(also_in=(RoomId("hall"),)), SessionGone(replaced=False)):
        scene.presence.reply(Register, reply)
        await scene.registrations.register(alice)
    assert found == [(alice, (RoomId("hall"),))]
