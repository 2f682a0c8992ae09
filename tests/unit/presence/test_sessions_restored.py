"""Sessions that presence has lost, and whose gateway asks what is left of them."""

import pytest

from tests.unit.presence.presence_process import PresenceProcess
from tests.unit.presence.requests import opening, registering
from tests.unit.presence.rules.frames import NOW
from tests.unit.presence.two_users import ALICE, HALL, known, since, with_both
from tieline.wire.ids import ConnectionId, UserId
from tieline.wire.internal.answers import Done, SessionGone
from tieline.wire.internal.sessions import FindReplaced, Replaced


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
