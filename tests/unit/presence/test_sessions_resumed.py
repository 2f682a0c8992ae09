"""Sessions whose connection was lost: they wait, are resumed, or end."""

import asyncio

import pytest

from tests.unit.presence.lifetime import HeldUpStore
from tests.unit.presence.presence_process import OFFER_TIMEOUT_S, RESUME_WINDOW_S, PresenceProcess, in_words
from tests.unit.presence.requests import opening
from tests.unit.presence.rules.frames import NOW
from tests.unit.presence.two_users import ALICE, CELLAR, HALL, closed_by, known, since, with_both
from tieline.wire.codes import CloseCode
from tieline.wire.ids import ConnectionId, SessionId, UserId
from tieline.wire.internal.answers import SessionGone
from tieline.wire.internal.sessions import CloseSession, EndSession, Opened
from tieline.wire.subjects import Keys


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
        SessionId("alice-s1"),
        True,
        {HALL: NOW, CELLAR: NOW},
        offer_timeout_s=OFFER_TIMEOUT_S,
        lost_at=NOW,
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
