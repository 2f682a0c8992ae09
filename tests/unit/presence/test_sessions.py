import asyncio
import random

import pytest

from presence.records import MAX_TRIES
from presence.rules.user import User
from presence.store import StoreUnavailable
from tests.unit.presence.lifetime import BusyStore, HeldUpStore, uneven
from tests.unit.presence.presence_process import (
    OFFER_TIMEOUT_S,
    OFFLINE_RETENTION_S,
    RESUME_WINDOW_S,
    PresenceProcess,
    in_words,
)
from tests.unit.presence.requests import opening, registering
from tests.unit.presence.rules.frames import NOW
from tieline.wire.codes import CloseCode
from tieline.wire.ids import ConnectionId, RoomId, SessionId, UserId
from tieline.wire.internal.answers import Done, SessionGone
from tieline.wire.internal.codec import decode_close_session
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.internal.rooms import ListMembers, RoomMembers
from tieline.wire.internal.sessions import CloseSession, EndSession, FindReplaced, Opened, Replaced, Tell
from tieline.wire.replies import Member
from tieline.wire.subjects import Keys

ALICE, BOB = UserId("alice"), UserId("bob")
HALL, CELLAR = RoomId("hall"), RoomId("cellar")


async def with_both(secret: str = "") -> PresenceProcess:
    """Alice and Bob in the hall, in an established call; everything before is forgotten."""
    process = PresenceProcess()
    await process.open(opening("alice", "hall", "cellar", secret=secret))
    await process.open(opening("bob", "hall", gateway="g2"))
    await process.signal("alice", "bob", "OFFER", "offer")
    await process.signal("bob", "alice", "ANSWER", "answer")
    process.recorder.sent.clear()
    return process


def closed_by(process: PresenceProcess) -> list[tuple[str, CloseSession]]:
    """List which gateways were told to close what."""
    return [(sent.subject, decode_close_session(sent.payload)) for sent in process.heard_elsewhere("gateway")]


def since(user: User) -> dict[RoomId, int]:
    """List a user's rooms, with when they were joined."""
    return {room: membership.since for room, membership in user.rooms.items()}


async def known(process: PresenceProcess, user: str) -> User:
    """Read the record of a user who has one."""
    record = await process.user(user)
    assert record is not None
    return record


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


async def test_a_session_that_is_away_keeps_its_rooms_and_calls() -> None:
    process = await with_both(secret="alice's")
    await process.end("alice", resumable=True)
    assert (await known(process, "alice")).session.status == "away"
    assert (await process.pair("alice", "bob")).established
    assert process.heard_by("bob") == ["alice is away in hall"]
    timer = Keys.away_timer(ALICE, ConnectionId("alice-c1"))
    assert process.store.time_to_live(timer) == RESUME_WINDOW_S


@pytest.mark.parametrize(("secret", "resumable"), [("", True), ("alice's", False)])
async def test_a_session_that_cannot_be_resumed_or_was_closed_ends(secret: str, resumable: bool) -> None:
    process = await with_both(secret=secret)
    await process.end("alice", resumable=resumable)
    assert (await known(process, "alice")).session.status == "offline"


async def test_whoever_knows_the_secret_resumes_on_any_gateway() -> None:
    process = await with_both(secret="alice's")
    await process.end("alice", resumable=True)
    process.clock.pass_s(10)
    reply = await process.open(
        opening("alice", "attic", number=2, gateway="g3", resume="alice's", voice=False)
    )
    assert reply == Opened(
        SessionId("alice-s1"), True, {HALL: NOW, CELLAR: NOW}, offer_timeout_s=OFFER_TIMEOUT_S
    )
    alice = await known(process, "alice")
    assert (alice.session.status, alice.session.connection, alice.session.gateway, alice.voice) == (
        "online",
        "alice-c2",
        "g3",
        False,
    )
    assert process.heard_by("bob") == ["alice is away in hall", "alice is online in hall"]
    assert closed_by(process) == []
    assert [key for key in process.store.contents() if key.startswith("session.") and "alice" in key] == [
        "session.g3.alice-s1"
    ]


async def test_each_absence_and_return_is_told_in_a_frame_of_its_own() -> None:
    process = await with_both(secret="alice's")
    for number in range(2, 5):
        await process.end("alice", resumable=True)
        await process.open(opening("alice", number=number, resume="alice's"))
    assert [
        in_words(sent.payload) for sent in sorted(process.told_to("bob"), key=process.recorder.sent.index)
    ] == [
        "alice is away in hall",
        "alice is online in hall",
    ] * 3


async def test_a_wrong_secret_gets_a_new_session_and_ends_the_older_one() -> None:
    process = await with_both(secret="alice's")
    await process.end("alice", resumable=True)
    reply = await process.open(opening("alice", number=2, resume="not alice's"))
    assert reply == Opened(SessionId("alice-s2"), False, {}, offer_timeout_s=OFFER_TIMEOUT_S)
    assert "alice left hall: disconnected" in process.heard_by("bob")


async def test_resuming_closes_a_live_connection_and_tells_no_absence() -> None:
    process = await with_both(secret="alice's")
    await process.open(opening("alice", number=2, gateway="g3", resume="alice's"))
    close = CloseSession(ALICE, SessionId("alice-s1"), ConnectionId("alice-c1"), CloseCode.REPLACED)
    assert closed_by(process) == [("tieline.gateway.g1.close", close)]
    assert process.heard_by("bob") == []
    await process.ask(EndSession(ALICE, ConnectionId("alice-c1"), True))
    assert (await known(process, "alice")).session.status == "online"


async def test_a_late_retry_of_a_resumption_takes_nothing_from_the_next() -> None:
    process = await with_both(secret="alice's")
    late = opening("alice", number=2, gateway="g3", resume="alice's")
    await process.open(late)
    await process.open(opening("alice", number=3, resume="alice's"))
    process.recorder.sent.clear()
    assert await process.ask(late) == SessionGone(replaced=True)
    assert (await known(process, "alice")).session.connection == "alice-c3"
    assert process.recorder.sent == []


async def test_rooms_that_the_new_token_does_not_grant_are_left() -> None:
    process = await with_both(secret="alice's")
    await process.end("alice", resumable=True)
    process.recorder.sent.clear()
    reply = await process.open(opening("alice", number=2, resume="alice's", granted=("cellar",)))
    assert reply.rooms == since(await known(process, "alice")) == {CELLAR: NOW}
    assert process.heard_by("bob") == ["hangup of alice: kicked", "alice left hall: kicked"]
    assert not (await process.pair("alice", "bob")).is_active


async def test_a_session_that_was_not_resumed_in_its_window_ends() -> None:
    process = await with_both(secret="alice's")
    await process.end("alice", resumable=True)
    await process.give_up(ALICE, ConnectionId("alice-c1"))
    assert process.heard_by("bob") == [
        "alice is away in hall",
        "hangup of alice: disconnected",
        "alice left hall: disconnected",
    ]


async def test_the_window_means_nothing_to_a_session_that_was_resumed() -> None:
    process = await with_both(secret="alice's")
    await process.give_up(UserId("nobody"), ConnectionId("alice-c1"))
    await process.end("alice", resumable=True)
    await process.open(opening("alice", number=2, resume="alice's"))
    await process.give_up(ALICE, ConnectionId("alice-c1"))
    await process.give_up(ALICE, ConnectionId("alice-c2"))
    assert (await known(process, "alice")).session.status == "online"


@pytest.mark.parametrize("how", ["forgotten", "ended", "away", "known"])
async def test_a_gateway_restores_what_presence_has_lost(how: str) -> None:
    process = PresenceProcess()
    await process.open(opening("bob", "hall"))
    alice = opening("alice", "hall", secret="alice's")
    if how != "forgotten":
        await process.open(alice)
        process.clock.pass_s(20)
    if how in ("ended", "away"):
        await process.end("alice", resumable=how == "away")
    process.recorder.sent.clear()
    assert await process.ask(registering(alice, {"hall": NOW - 5})) == Done()
    record = await known(process, "alice")
    assert (record.session.status, record.session.id, record.session.secret) == (
        "online",
        "alice-s1",
        alice.secret,
    )
    assert since(record) == {HALL: NOW - 5 if how in ("forgotten", "ended") else NOW}
    assert (
        process.heard_by("bob")
        == {
            "forgotten": ["alice joined hall"],
            "ended": ["alice joined hall"],
            "away": ["alice is online in hall"],
            "known": [],
        }[how]
    )
    assert "session.g1.alice-s1" in process.store.contents()


async def test_a_gateway_whose_session_has_gone_on_elsewhere_is_told_so() -> None:
    process = await with_both(secret="alice's")
    stale = registering(opening("alice"), {"hall": NOW})
    await process.open(opening("alice", number=2, resume="alice's"))
    assert await process.ask(stale) == SessionGone(replaced=True)
    await process.open(opening("alice", number=3))
    assert await process.ask(stale) == SessionGone(replaced=True)


async def test_a_gateway_is_told_which_of_its_connections_are_replaced() -> None:
    process = PresenceProcess()
    for user in ("alice", "bob", "carol", "dan", "eve"):
        await process.open(opening(user, secret=f"{user}'s"))
    await process.open(opening("alice", number=2, gateway="g3", resume="alice's"))  # resumed elsewhere
    await process.open(opening("bob", number=2, resume="bob's"))  # resumed here
    await process.open(opening("carol", number=2, gateway="g3"))  # a new session
    await process.end("dan")  # ended, and nobody else has it
    asked = [("alice", 1), ("bob", 1), ("bob", 2), ("carol", 1), ("dan", 1), ("eve", 1), ("nobody", 1)]
    ask = FindReplaced(tuple((UserId(user), ConnectionId(f"{user}-c{number}")) for user, number in asked))
    assert await process.ask(ask) == Replaced(
        (ConnectionId("alice-c1"), ConnectionId("bob-c1"), ConnectionId("carol-c1"))
    )


async def test_a_slow_process_tells_nobody_new_of_an_absence_that_is_over() -> None:
    process = await with_both(secret="alice's")
    quick, slow = PresenceProcess(beside=process), HeldUpStore(process.store, "room.hall.*")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(process.over(slow).end("alice", resumable=True))
        await slow.is_reached.wait()
        await quick.open(opening("alice", number=2, resume="alice's"))
        await quick.open(opening("carol", "hall"))
        slow.may_go_on.set()
    assert process.heard_by("carol") == []


async def test_a_restored_session_is_told_of_in_frames_of_its_own() -> None:
    process = await with_both(secret="alice's")
    alice = opening("alice", secret="alice's")
    for attempt in range(2):
        await process.signal("alice", "bob", "OFFER", f"another offer {attempt}")
        await process.end("alice", resumable=True)
        await process.give_up(ALICE, ConnectionId("alice-c1"))
        process.clock.pass_s(1)
        await process.ask(registering(alice, {"hall": NOW}))
    heard = process.heard_by("bob")
    assert (
        heard
        == [
            "alice is away in hall",
            "hangup of alice: disconnected",
            "alice left hall: disconnected",
            "alice joined hall",
        ]
        * 2
    )
    assert len(process.told_to("bob")) == len(heard), "a gateway drops what it takes for a repetition"


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
