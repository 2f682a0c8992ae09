"""What the backend decides about rooms while a gateway is cut off, beside a newer token, or amid an order."""

import functools
from collections.abc import Awaitable, Callable

import pytest

from presence.rules.orders import OVERTAKEN, Place, of_room
from presence.standings import Standings
from tests.unit.presence.presence_process import PresenceProcess
from tests.unit.presence.requests import opening, registering
from tests.unit.presence.rules.frames import NOW
from tests.unit.presence.test_moderation import ALICE, CELLAR, GATEWAY, HALL, forget, rooms_of
from tieline.wire.codes import ErrorCode
from tieline.wire.ids import GatewayId, RoomId
from tieline.wire.internal import codec
from tieline.wire.internal.answers import Done, Refused
from tieline.wire.internal.backend import AddMember, Affected, CloseRoom, Disconnect, RemoveMember
from tieline.wire.internal.directions import BackendOrder, PresenceReply
from tieline.wire.subjects import Keys

FOR_EVER = 1_000_000
SECRETS = pytest.mark.parametrize("secret", ["", "alice's"], ids=["ended", "away"])
"""Presence ends a session whose gateway is taken for dead, unless it can be resumed."""


async def cut_off(secret: str) -> PresenceProcess:
    """Alice is in the hall, and her gateway is taken for dead."""
    process = PresenceProcess()
    process.do_all_hear = True
    await process.open(opening("alice", "hall", secret=secret, hears=True))
    await process.gateways.lease_ran_out(GATEWAY, before=FOR_EVER)
    process.log.entries.clear()
    return process


async def is_back(process: PresenceProcess, secret: str, *rooms: str) -> PresenceReply:
    """Let the gateway register Alice, who is in these rooms as far as it knows, or in the hall."""
    alice = opening("alice", "hall", secret=secret, hears=True)
    return await process.ask(registering(alice, dict.fromkeys(rooms or ("hall",), NOW)))


def told(process: PresenceProcess) -> list[tuple[str, str, bool]]:
    """List what the rooms have heard of Alice since: the change, the room, and whether she is told."""
    return [(each.change.kind, each.room, each.change.tells_user) for each in process.log.entries]


@SECRETS
async def test_who_was_put_out_meanwhile_stays_out_and_is_told(secret: str) -> None:
    process = await cut_off(secret)
    await process.ask(RemoveMember("1", 60.0, ALICE, HALL))
    assert await is_back(process, secret) == Done()
    assert await rooms_of(process, "alice") == set()
    assert told(process) == [("left", HALL, True)]
    assert await is_back(process, secret) == Done()
    assert told(process) == [("left", HALL, True)], "once"


@SECRETS
async def test_of_rooms_that_it_was_given_meanwhile_its_gateway_hears(secret: str) -> None:
    process = await cut_off(secret)
    await process.ask(AddMember("1", 60.0, ALICE, CELLAR))
    assert await is_back(process, secret) == Done(also_in=(CELLAR,))
    assert await rooms_of(process, "alice") == {HALL, CELLAR}
    assert ("joined", CELLAR, False) in told(process)
    assert await is_back(process, secret, "hall", "cellar") == Done()


async def test_what_is_decided_of_who_was_forgotten_replaces_nobody() -> None:
    process = await cut_off("alice's")
    await forget(process)
    await process.ask(AddMember("1", 60.0, ALICE, CELLAR))
    assert await is_back(process, "alice's") == Done(also_in=(CELLAR,))
    assert await rooms_of(process, "alice") == {HALL, CELLAR}


async def test_who_may_not_come_back_into_a_room_is_told() -> None:
    process = await cut_off("")
    await forget(process)
    await process.ask(RemoveMember("1", 60.0, ALICE, HALL, kept_out_s=60.0))
    assert await is_back(process, "", "hall", "cellar") == Done()
    assert await rooms_of(process, "alice") == {CELLAR}
    assert [entry for entry in told(process) if entry[0] == "left"] == [("left", HALL, True)]


async def test_a_newer_token_takes_no_room_that_the_backend_gives() -> None:
    process = PresenceProcess()
    await process.open(opening("alice", "hall", granted=("hall",)))
    await process.ask(AddMember("1", 60.0, ALICE, CELLAR))
    assert await process.regrant("alice", "hall", rooms=("hall", "cellar")) == Done(also_in=(CELLAR,))
    assert await process.regrant("alice", rooms=("hall", "cellar")) == Done(also_in=(CELLAR,))
    assert await process.regrant("alice", "*") == Done()
    assert await rooms_of(process, "alice") == {CELLAR}


class PutOutMeanwhile(PresenceProcess):
    """One whose gateway makes a session a member, and finds it put out before it can say so, once."""

    meanwhile: Callable[[], Awaitable[object]] | None = None

    async def _ask_gateway(self, gateway: GatewayId, what: str, order: bytes, patience_s: float) -> bytes:
        answer = await super()._ask_gateway(gateway, what, order, patience_s)
        if what != "join" or self.meanwhile is None:
            return answer
        put_out, self.meanwhile = self.meanwhile, None
        await put_out()
        return codec.encode(Refused(ErrorCode.NOT_IN_SAME_ROOM.name))


async def with_alice() -> PutOutMeanwhile:
    process = PutOutMeanwhile()
    process.living_gateways.add(GATEWAY)
    await process.open(opening("alice", "hall", hears=True))
    return process


@pytest.mark.parametrize(
    ("put_out", "answer", "rooms"),
    [
        (RemoveMember("2", 60.0, ALICE, CELLAR), OVERTAKEN, set()),
        (RemoveMember("2", 60.0, ALICE, CELLAR, kept_out_s=60.0), OVERTAKEN, set()),
        (CloseRoom("2", 60.0, CELLAR), OVERTAKEN, set()),
        (Disconnect("2", 60.0, ALICE), Affected(0), {CELLAR}),
        (RemoveMember("2", 60.0, ALICE, HALL), Affected(0), {CELLAR}),
    ],
    ids=["removed", "kept out", "closed", "disconnected", "put out of another room"],
)
async def test_who_is_put_out_before_its_gateway_answers(
    put_out: BackendOrder, answer: PresenceReply, rooms: set[RoomId]
) -> None:
    """An order that came later and is about the room counts, and this one says so; else it is carried out."""
    process = await with_alice()
    process.meanwhile = functools.partial(process.ask, put_out)
    assert await process.ask(AddMember("1", 60.0, ALICE, CELLAR)) == answer
    assert process.meanwhile is None
    opened = await process.open(opening("alice", number=2, granted=()))
    assert set(opened.rooms) == rooms
    assert [key for key in process.store.contents() if key.startswith("given.")] == [
        Keys.given(room, ALICE) for room in rooms
    ]


async def test_an_overtaken_order_leaves_nothing_to_fall_back_on() -> None:
    """A later one that gives the same room meanwhile, and takes that back, has nobody's word before it."""
    process = await with_alice()
    later = Place(ALICE, of_room(CELLAR), process.clock() * 1000 + 1, room=CELLAR)
    standings = Standings(process.records, process.clock)
    process.meanwhile = functools.partial(standings.give, CELLAR, later, most=3)
    assert await process.ask(AddMember("1", 60.0, ALICE, CELLAR)) == OVERTAKEN
    await standings.take_back(CELLAR, later)
    assert (await standings.read(ALICE)).given == ()
