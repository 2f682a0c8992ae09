import asyncio
import random

import pytest

from presence.member import User
from presence.records import MAX_TRIES
from presence.store import StoreUnavailable
from tests.unit.presence.frames import NOW
from tests.unit.presence.house import (
    OFFLINE_RETENTION_S,
    RESUME_WINDOW_S,
    House,
    in_words,
    opening,
    registering,
)
from tests.unit.presence.mortal import BusyStore
from tieline.wire.codes import CloseCode
from tieline.wire.ids import ConnectionId, RoomId, SessionId, UserId
from tieline.wire.internal import (
    CloseSession,
    Done,
    EndSession,
    FindReplaced,
    Opened,
    PresenceReply,
    Replaced,
    SessionGone,
    Tell,
    decode_close_session,
)
from tieline.wire.subjects import Keys

ALICE, BOB = UserId("alice"), UserId("bob")
HALL, CELLAR = RoomId("hall"), RoomId("cellar")


async def house_with_both(secret: str = "") -> House:
    """Alice and Bob in the hall, in an established call; everything before is forgotten."""
    house = House()
    await house.open(opening("alice", "hall", "cellar", secret=secret))
    await house.open(opening("bob", "hall", gateway="g2"))
    await house.signal("alice", "bob", "OFFER", "offer")
    await house.signal("bob", "alice", "ANSWER", "answer")
    house.recorder.sent.clear()
    return house


def closed_by(house: House) -> list[tuple[str, CloseSession]]:
    """List which gateways were told to close what."""
    return [(sent.subject, decode_close_session(sent.payload)) for sent in house.heard_elsewhere("gateway")]


async def known(house: House, user: str) -> User:
    """Read the record of a user who has one."""
    record = await house.user(user)
    assert record is not None
    return record


# Beginning. -------------------------------------------------------------------------------------------


async def test_a_session_begins_in_the_rooms_it_asks_for_each_once() -> None:
    house = House()
    assert await house.open(opening("alice", "hall", "cellar", "hall")) == Opened(
        SessionId("alice-s1"), False, {HALL: NOW, CELLAR: NOW}
    )
    assert (await known(house, "alice")).status == "online"


async def test_the_members_of_its_rooms_are_told_and_the_routers_too() -> None:
    house = House()
    await house.open(opening("bob", "hall"))
    await house.open(opening("alice", "hall"))
    assert house.heard_by("bob") == ["alice joined hall"]
    assert house.heard_by("alice") == []
    assert [sent.subject for sent in house.heard_elsewhere("changed")] == [
        "tieline.changed.bob",
        "tieline.changed.alice",
    ]


async def test_asking_again_for_a_session_that_has_ended_does_not_begin_it_again() -> None:
    house = House()
    await house.open(opening("alice", "hall"))
    await house.end("alice")
    assert await house.sessions.open(opening("alice", "hall")) == SessionGone(replaced=False)


async def test_a_newer_session_replaces_the_older_one_which_ends_like_any_other() -> None:
    house = await house_with_both()
    await house.open(opening("alice", "hall", number=2, gateway="g3"))
    close = CloseSession(ALICE, SessionId("alice-s1"), ConnectionId("alice-c1"), CloseCode.REPLACED)
    assert closed_by(house) == [("tieline.gateway.g1.close", close)]
    assert house.heard_by("bob") == [
        "hangup of alice: disconnected",
        "alice left hall: disconnected",
        "alice joined hall",
    ]
    assert (await known(house, "alice")).session == "alice-s2"
    assert {key for key in house.store.contents() if key.startswith("session.")} == {
        "session.g3.alice-s2",
        "session.g2.bob-s1",
    }


@pytest.mark.parametrize("seed", range(20))
async def test_of_many_sessions_that_begin_at_once_one_is_left_and_every_other_is_closed(seed: int) -> None:
    house = House()
    house.store.lingers = random.Random(seed).randrange
    replies = await asyncio.gather(*(house.open(opening("alice", "hall", number=n)) for n in range(1, 6)))
    sessions = {reply.session for reply in replies}
    assert sessions == {f"alice-s{n}" for n in range(1, 6)}
    alice = await known(house, "alice")
    assert {close.session for _, close in closed_by(house)} == sessions - {alice.session}
    assert {key for key in house.store.contents() if key.startswith(("room.", "session."))} == {
        f"session.g1.{alice.session}",
        "room.hall.alice",
    }


# Ending. ----------------------------------------------------------------------------------------------


async def test_the_end_of_a_session_ends_its_calls_and_memberships_and_leaves_a_memory() -> None:
    house = await house_with_both()
    assert await house.end("alice") == Done()
    assert house.heard_by("bob") == ["hangup of alice: disconnected", "alice left hall: disconnected"]
    alice = await known(house, "alice")
    assert alice.status == "offline"
    assert alice.rooms.keys() == {HALL, CELLAR}
    assert house.store.time_to_live(Keys.user(ALICE)) == OFFLINE_RETENTION_S
    assert not (await house.pair("alice", "bob")).is_active
    assert not [
        key for key in house.store.contents() if "alice" in key and key.startswith(("room", "session"))
    ]


async def test_a_user_is_forgotten_after_the_retention() -> None:
    house = await house_with_both()
    await house.end("alice")
    house.clock.pass_s(OFFLINE_RETENTION_S)
    assert await house.user("alice") is None


# Telling. ---------------------------------------------------------------------------------------------


async def test_a_gateway_tells_its_client_by_way_of_presence() -> None:
    house = await house_with_both()
    assert await house.sessions.tell(Tell(ALICE, ConnectionId("alice-c1"), b"frame")) == Done()
    (sent,) = house.recorder.sent
    assert (sent.subject, sent.payload) == ("tieline.user.alice.alice-s1", b"frame")


@pytest.mark.parametrize(
    ("user", "connection", "replaced"),
    [(ALICE, "bob-c1", True), (UserId("nobody"), "alice-c1", False)],
)
async def test_who_does_not_know_the_connection_tells_its_client_nothing(
    user: UserId, connection: str, replaced: bool
) -> None:
    house = await house_with_both()
    reply = await house.sessions.tell(Tell(user, ConnectionId(connection), b"forged"))
    assert reply == SessionGone(replaced)
    assert house.recorder.sent == []


async def test_the_end_of_a_connection_that_has_the_session_no_more_ends_nothing() -> None:
    house = await house_with_both()
    await house.open(opening("alice", "hall", number=2))
    assert await house.sessions.end(EndSession(ALICE, ConnectionId("alice-c1"), False)) == Done()
    assert (await known(house, "alice")).status == "online"


async def test_the_end_of_a_session_that_never_began_is_done() -> None:
    assert await House().sessions.end(EndSession(ALICE, ConnectionId("alice-c1"), False)) == Done()
    assert await House().sessions.end_session(ALICE, SessionId("alice-s1")) is None


# Going away and coming back. --------------------------------------------------------------------------


async def test_a_session_that_can_be_resumed_goes_away_and_keeps_its_rooms_and_calls() -> None:
    house = await house_with_both(secret="alice's")
    await house.end("alice", resumable=True)
    assert (await known(house, "alice")).status == "away"
    assert (await house.pair("alice", "bob")).established
    assert house.heard_by("bob") == ["alice is away in hall"]
    timer = Keys.away_timer(ALICE, ConnectionId("alice-c1"))
    assert house.store.time_to_live(timer) == RESUME_WINDOW_S


@pytest.mark.parametrize(("secret", "resumable"), [("", True), ("alice's", False)])
async def test_a_session_ends_that_cannot_be_resumed_or_said_goodbye(secret: str, resumable: bool) -> None:
    house = await house_with_both(secret=secret)
    await house.end("alice", resumable=resumable)
    assert (await known(house, "alice")).status == "offline"


async def test_who_knows_the_secret_gets_the_session_and_its_rooms_back_on_any_gateway() -> None:
    house = await house_with_both(secret="alice's")
    await house.end("alice", resumable=True)
    house.clock.pass_s(10)
    reply = await house.open(opening("alice", "attic", number=2, gateway="g3", resume="alice's", voice=False))
    assert reply == Opened(SessionId("alice-s1"), True, {HALL: NOW, CELLAR: NOW})
    alice = await known(house, "alice")
    assert (alice.status, alice.connection, alice.gateway, alice.voice) == ("online", "alice-c2", "g3", False)
    assert house.heard_by("bob") == ["alice is away in hall", "alice is online in hall"]
    assert closed_by(house) == []
    assert [key for key in house.store.contents() if key.startswith("session.") and "alice" in key] == [
        "session.g3.alice-s1"
    ]


async def test_each_going_and_coming_is_told_in_a_frame_of_its_own() -> None:
    house = await house_with_both(secret="alice's")
    for number in range(2, 5):
        await house.end("alice", resumable=True)
        await house.open(opening("alice", number=number, resume="alice's"))
    assert [
        in_words(sent.payload) for sent in sorted(house.told_to("bob"), key=house.recorder.sent.index)
    ] == [
        "alice is away in hall",
        "alice is online in hall",
    ] * 3


async def test_a_wrong_secret_gets_a_new_session_and_ends_the_older_one() -> None:
    house = await house_with_both(secret="alice's")
    await house.end("alice", resumable=True)
    reply = await house.open(opening("alice", number=2, resume="not alice's"))
    assert reply == Opened(SessionId("alice-s2"), False, {})
    assert "alice left hall: disconnected" in house.heard_by("bob")


async def test_resuming_closes_a_connection_that_still_lives_and_tells_nobody_of_an_absence() -> None:
    house = await house_with_both(secret="alice's")
    await house.open(opening("alice", number=2, gateway="g3", resume="alice's"))
    close = CloseSession(ALICE, SessionId("alice-s1"), ConnectionId("alice-c1"), CloseCode.REPLACED)
    assert closed_by(house) == [("tieline.gateway.g1.close", close)]
    assert house.heard_by("bob") == []
    await house.sessions.end(EndSession(ALICE, ConnectionId("alice-c1"), True))
    assert (await known(house, "alice")).status == "online"


async def test_asking_again_for_a_resumption_after_the_next_one_takes_nothing_from_that() -> None:
    house = await house_with_both(secret="alice's")
    late = opening("alice", number=2, gateway="g3", resume="alice's")
    await house.open(late)
    await house.open(opening("alice", number=3, resume="alice's"))
    house.recorder.sent.clear()
    assert await house.sessions.open(late) == SessionGone(replaced=True)
    assert (await known(house, "alice")).connection == "alice-c3"
    assert house.recorder.sent == []


async def test_rooms_that_the_new_token_does_not_grant_are_left() -> None:
    house = await house_with_both(secret="alice's")
    await house.end("alice", resumable=True)
    house.recorder.sent.clear()
    reply = await house.open(opening("alice", number=2, resume="alice's", granted=("cellar",)))
    assert reply.rooms == (await known(house, "alice")).rooms == {CELLAR: NOW}
    assert house.heard_by("bob") == ["hangup of alice: kicked", "alice left hall: kicked"]
    assert not (await house.pair("alice", "bob")).is_active


async def test_a_session_that_was_not_resumed_in_its_window_ends() -> None:
    house = await house_with_both(secret="alice's")
    await house.end("alice", resumable=True)
    await house.sessions.give_up_waiting(ALICE, ConnectionId("alice-c1"))
    assert house.heard_by("bob") == [
        "alice is away in hall",
        "hangup of alice: disconnected",
        "alice left hall: disconnected",
    ]


async def test_the_end_of_the_window_means_nothing_to_a_session_that_was_resumed_or_ended() -> None:
    house = await house_with_both(secret="alice's")
    await house.sessions.give_up_waiting(UserId("nobody"), ConnectionId("alice-c1"))
    await house.end("alice", resumable=True)
    await house.open(opening("alice", number=2, resume="alice's"))
    await house.sessions.give_up_waiting(ALICE, ConnectionId("alice-c1"))
    await house.sessions.give_up_waiting(ALICE, ConnectionId("alice-c2"))
    assert (await known(house, "alice")).status == "online"


# Registering. -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["forgotten", "ended", "away", "known"])
async def test_a_gateway_restores_what_presence_has_lost(how: str) -> None:
    house = House()
    await house.open(opening("bob", "hall"))
    alice = opening("alice", "hall", secret="alice's")
    if how != "forgotten":
        await house.open(alice)
        house.clock.pass_s(20)
    if how in ("ended", "away"):
        await house.end("alice", resumable=how == "away")
    house.recorder.sent.clear()
    assert await house.sessions.register(registering(alice, {"hall": NOW - 5})) == Done()
    record = await known(house, "alice")
    assert (record.status, record.session, record.secret) == ("online", "alice-s1", alice.secret)
    assert record.rooms == {HALL: NOW - 5 if how in ("forgotten", "ended") else NOW}
    assert (
        house.heard_by("bob")
        == {
            "forgotten": ["alice joined hall"],
            "ended": ["alice joined hall"],
            "away": ["alice is online in hall"],
            "known": [],
        }[how]
    )
    assert "session.g1.alice-s1" in house.store.contents()


async def test_a_gateway_whose_session_has_gone_on_elsewhere_is_told_so() -> None:
    house = await house_with_both(secret="alice's")
    stale = registering(opening("alice"), {"hall": NOW})
    await house.open(opening("alice", number=2, resume="alice's"))
    assert await house.sessions.register(stale) == SessionGone(replaced=True)
    await house.open(opening("alice", number=3))
    assert await house.sessions.register(stale) == SessionGone(replaced=True)


# What a gateway may have missed. ----------------------------------------------------------------------


async def test_a_gateway_is_told_which_of_its_connections_are_replaced_and_of_no_other() -> None:
    house = House()
    for user in ("alice", "bob", "carol", "dan", "eve"):
        await house.open(opening(user, secret=f"{user}'s"))
    await house.open(opening("alice", number=2, gateway="g3", resume="alice's"))  # resumed elsewhere
    await house.open(opening("bob", number=2, resume="bob's"))  # resumed here
    await house.open(opening("carol", number=2, gateway="g3"))  # a new session
    await house.end("dan")  # ended, and nobody else has it
    asked = [("alice", 1), ("bob", 1), ("bob", 2), ("carol", 1), ("dan", 1), ("eve", 1), ("nobody", 1)]
    ask = FindReplaced(tuple((UserId(user), ConnectionId(f"{user}-c{number}")) for user, number in asked))
    assert await house.sessions.find_replaced(ask) == Replaced(
        (ConnectionId("alice-c1"), ConnectionId("bob-c1"), ConnectionId("carol-c1"))
    )


# Never getting through. -------------------------------------------------------------------------------


@pytest.mark.parametrize("op", ["open", "resume", "register", "away", "end"])
async def test_who_never_gets_a_write_through_gives_up(op: str) -> None:
    house = await house_with_both(secret="alice's")
    if op in ("resume", "register"):
        await house.end("alice", resumable=True)
    busy = BusyStore(house.store, "user.")
    with pytest.raises(StoreUnavailable):
        await persist(house.over(busy), op)
    assert busy.refused == MAX_TRIES


async def persist(house: House, op: str) -> PresenceReply:
    """Try to change Alice's record, or Carol's."""
    match op:
        case "open":
            return await house.open(opening("carol"))
        case "resume":
            return await house.open(opening("alice", number=2, resume="alice's"))
        case "register":
            ask = registering(opening("alice", secret="alice's"), {"hall": NOW})
            return await house.sessions.register(ask)
        case _:
            return await house.end("alice", resumable=op == "away")
