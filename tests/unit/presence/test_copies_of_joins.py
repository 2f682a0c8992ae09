"""Of two copies of a JOIN, or of a beginning, either counts: who is a member is in the roster, and no other.

A gateway asks again where it is not answered. One copy stands still at each of its awaits, while another
process carries out the other one, seats are taken or given up, or the user begins a newer session; then it
goes on.
"""

import contextlib
from typing import Final

import pytest

from presence.record_codec import entry_in
from presence.store import StoreUnavailable
from tests.unit.presence.presence_process import PresenceProcess
from tests.unit.presence.requests import opening
from tests.unit.presence.standing_still import StandingStill
from tieline.wire.ids import ConnectionId, RoomId, SessionId, UserId
from tieline.wire.internal.directions import PresenceRequest
from tieline.wire.internal.rooms import JoinRoom
from tieline.wire.subjects import Keys

ALICE, HALL = UserId("alice"), RoomId("hall")

JOIN: Final = JoinRoom(
    ALICE, SessionId("alice-s1"), HALL, hears=True, lists=True, connection=ConnectionId("alice-c1")
)
ASKED: Final[dict[str, PresenceRequest]] = {
    "join": JOIN,
    "begin": opening("alice", "hall", number=2, hears=True),
}

MEANWHILE: Final = (
    ("carol leaves", "the copy"),
    ("the copy", "carol leaves", "the copy"),
    ("carol leaves", "the copy", "dave comes"),
    ("carol leaves", "dave comes", "the copy", "dave leaves", "the copy"),
    ("carol leaves", "begins anew"),
    ("carol leaves", "the copy", "begins anew"),
)


async def begun() -> PresenceProcess:
    """Bob and Carol are in the hall, where two have room; Alice is elsewhere."""
    process = PresenceProcess(max_members=2, settles_later=True)
    process.do_all_hear = True
    for user in ("bob", "carol"):
        await process.open(opening(user, "hall", hears=True))
    for user in ("alice", "dave"):
        await process.open(opening(user, "cellar", hears=True))
    return process


async def do(process: PresenceProcess, what: str, asked: PresenceRequest) -> None:
    match what.split():
        case [_, "copy"]:
            await process.ask(asked)
        case ["begins", _]:
            await process.open(opening("alice", "hall", number=3, hears=True))
        case [user, "comes"]:
            await process.join(user, "hall")
        case [user, _]:
            await process.leave(user, "hall")


async def demand_agreement(process: PresenceProcess) -> None:
    """Demand that whoever is in the hall has an entry there, and that its log says the same."""
    for name in ("alice", "carol", "dave"):
        user, key = await process.user(name), Keys.room(HALL, UserId(name))
        assert user is not None
        entry, _ = entry_in(await process.store.read(key), key)
        said = [each.change for each in process.log.entries if (each.room, each.user) == (HALL, name)]
        newest = max(said, key=lambda change: change.revision, default=None)
        is_in = HALL in user.rooms
        if is_in:
            assert entry is not None, f"{name} has no entry"
            assert entry.session == user.session.id, f"{name} has that of another session"
        assert is_in is (newest is not None and newest.kind == "joined"), f"{name} in the log"


async def stood_still(asked: PresenceRequest, meanwhile: tuple[str, ...], at: int) -> bool:
    """Let a copy stand still while others act; False: it never did."""
    process = await begun()
    slow = StandingStill(process, at)
    slow.do_all_hear = True
    late = await slow.is_at_it(asked)
    if late is None:
        return False
    other = PresenceProcess(beside=process)
    other.do_all_hear = True
    for what in meanwhile:
        await do(other, what, asked)
    slow.still.goes_on.set()
    with contextlib.suppress(StoreUnavailable):  # nobody waits for it any more
        await late
    await demand_agreement(process)
    return True


@pytest.mark.parametrize("meanwhile", MEANWHILE, ids=", ".join)
@pytest.mark.parametrize("kind", ASKED)
async def test_who_is_a_member_is_in_the_roster(kind: str, meanwhile: tuple[str, ...]) -> None:
    at = 1
    while await stood_still(ASKED[kind], meanwhile, at):
        at += 1
    assert at > 3, "it has some awaits"
