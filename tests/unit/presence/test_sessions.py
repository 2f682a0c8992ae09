"""Sessions that begin, replace each other and end."""

import asyncio
import random

import pytest

from presence.store import MAX_TRIES, StoreUnavailable
from tests.unit.presence.lifetime import BusyStore, uneven
from tests.unit.presence.presence_process import OFFER_TIMEOUT_S, OFFLINE_RETENTION_S, PresenceProcess
from tests.unit.presence.requests import opening, registering
from tests.unit.presence.rules.frames import NOW
from tests.unit.presence.two_users import ALICE, CELLAR, HALL, closed_by, known, with_both
from tieline.wire.codes import CloseCode
from tieline.wire.ids import ConnectionId, SessionId, UserId
from tieline.wire.internal.answers import Done, SessionGone
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.internal.rooms import ListMembers, RoomMembers
from tieline.wire.internal.sessions import CloseSession, EndSession, Opened, Tell
from tieline.wire.replies import Member
from tieline.wire.subjects import Keys


async def test_a_session_begins_in_the_rooms_it_asks_for_each_once() -> None:
    process = PresenceProcess()
    assert await process.open(opening("alice", "hall", "cellar", "hall")) == Opened(
        SessionId("alice-s1"), False, {HALL: NOW, CELLAR: NOW}, offer_timeout_s=OFFER_TIMEOUT_S
    )
    assert (await known(process, "alice")).session.status == "online"


async def test_the_members_of_its_rooms_are_told_and_the_routers_too() -> None:
    process = PresenceProcess()
    await process.open(opening("bob", "hall"))
    await process.open(opening("alice", "hall"))
    assert process.heard_by("bob") == ["alice joined hall"]
    assert process.heard_by("alice") == []
    assert [sent.subject for sent in process.heard_elsewhere("changed")] == [
        "tieline.changed.bob",
        "tieline.changed.alice",
    ]


async def test_asking_again_does_not_begin_an_ended_session_again() -> None:
    process = PresenceProcess()
    await process.open(opening("alice", "hall"))
    await process.end("alice")
    assert await process.ask(opening("alice", "hall")) == SessionGone(replaced=False)


async def test_a_replaced_session_ends_like_any_other() -> None:
    process = await with_both()
    await process.open(opening("alice", "hall", number=2, gateway="g3"))
    close = CloseSession(ALICE, SessionId("alice-s1"), ConnectionId("alice-c1"), CloseCode.REPLACED)
    assert closed_by(process) == [("tieline.gateway.g1.close", close)]
    assert process.heard_by("bob") == [
        "hangup of alice: disconnected",
        "alice left hall: disconnected",
        "alice joined hall",
    ]
    assert (await known(process, "alice")).session.id == "alice-s2"
    assert {key for key in process.store.contents() if key.startswith("session.")} == {
        "session.g3.alice-s2",
        "session.g2.bob-s1",
    }


@pytest.mark.parametrize("seed", range(60))
async def test_of_many_sessions_begun_at_once_all_but_one_are_closed(seed: int) -> None:
    process = PresenceProcess()
    process.store.lingers = uneven(random.Random(seed))
    replies = await asyncio.gather(*(process.open(opening("alice", "hall", number=n)) for n in range(1, 6)))
    process.store.lingers = None
    sessions = {reply.session for reply in replies}
    assert sessions == {f"alice-s{n}" for n in range(1, 6)}
    alice = await known(process, "alice")
    assert {close.session for _, close in closed_by(process)} == sessions - {alice.session.id}
    assert {key for key in process.store.contents() if key.startswith(("room.", "session."))} == {
        f"session.g1.{alice.session.id}",
        "room.hall.alice",
    }
    roster = await process.ask(ListMembers(ALICE, alice.session.id, HALL))
    assert roster == RoomMembers((Member(ALICE, "online", True, NOW),))


async def test_the_end_of_a_session_ends_its_calls_and_memberships() -> None:
    process = await with_both()
    assert await process.end("alice") == Done()
    assert process.heard_by("bob") == ["hangup of alice: disconnected", "alice left hall: disconnected"]
    alice = await known(process, "alice")
    assert alice.session.status == "offline"
    assert alice.rooms.keys() == {HALL, CELLAR}
    assert process.store.time_to_live(Keys.user(ALICE)) == OFFLINE_RETENTION_S
    assert not (await process.pair("alice", "bob")).is_active
    assert not [
        key for key in process.store.contents() if "alice" in key and key.startswith(("room", "session"))
    ]


async def test_a_user_is_forgotten_after_the_retention() -> None:
    process = await with_both()
    await process.end("alice")
    process.clock.pass_s(OFFLINE_RETENTION_S)
    assert await process.user("alice") is None


async def test_a_gateway_tells_its_client_by_way_of_presence() -> None:
    process = await with_both()
    assert await process.ask(Tell(ALICE, ConnectionId("alice-c1"), b"frame")) == Done()
    (sent,) = process.recorder.sent
    assert (sent.subject, sent.payload) == ("tieline.user.alice.alice-s1", b"frame")


@pytest.mark.parametrize(
    ("user", "connection", "replaced"),
    [(ALICE, "bob-c1", True), (UserId("nobody"), "alice-c1", False)],
)
async def test_without_the_connection_nothing_is_told_to_its_client(
    user: UserId, connection: str, replaced: bool
) -> None:
    process = await with_both()
    reply = await process.ask(Tell(user, ConnectionId(connection), b"forged"))
    assert reply == SessionGone(replaced)
    assert process.recorder.sent == []


async def test_the_end_of_a_replaced_connection_ends_nothing() -> None:
    process = await with_both()
    await process.open(opening("alice", "hall", number=2))
    assert await process.ask(EndSession(ALICE, ConnectionId("alice-c1"), False)) == Done()
    assert (await known(process, "alice")).session.status == "online"


async def test_the_end_of_a_session_that_never_began_is_done() -> None:
    process = PresenceProcess()
    assert await process.ask(EndSession(ALICE, ConnectionId("alice-c1"), False)) == Done()
    await process.give_up(ALICE, ConnectionId("alice-c1"))
    assert process.store.contents() == {}
    assert process.recorder.sent == []


@pytest.mark.parametrize("op", ["open", "resume", "register", "away", "end"])
async def test_a_process_that_loses_every_round_gives_up(op: str) -> None:
    process = await with_both(secret="alice's")
    if op in ("resume", "register"):
        await process.end("alice", resumable=True)
    busy = BusyStore(process.store, "user.")
    with pytest.raises(StoreUnavailable):
        await persist(process.over(busy), op)
    assert busy.refused == MAX_TRIES


async def persist(process: PresenceProcess, op: str) -> PresenceReply:
    """Try to change Alice's record, or Carol's."""
    match op:
        case "open":
            return await process.open(opening("carol"))
        case "resume":
            return await process.open(opening("alice", number=2, resume="alice's"))
        case "register":
            ask = registering(opening("alice", secret="alice's"), {"hall": NOW})
            return await process.ask(ask)
        case _:
            return await process.end("alice", resumable=op == "away")


async def test_a_record_hardly_grows_at_its_end_whatever_its_rooms() -> None:
    process = PresenceProcess()
    await process.open(opening("alice", *(f"{number:0127}" for number in range(200))))
    live = len(process.store.contents()[Keys.user(ALICE)])
    await process.end("alice")
    written = process.store.largest[Keys.user(ALICE)]
    assert live <= written < live + 256
