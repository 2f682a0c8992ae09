"""Each request has a rule: what is asked finds an answer of its kind."""

from typing import Final, get_args

import pytest

from presence.rules.retell_pace import MOST_OF_ONE
from presence.store import StoreUnavailable
from tests.unit.presence.presence_process import PresenceProcess
from tests.unit.presence.requests import NO_SECRET, opening, registering
from tests.unit.presence.rules.frames import NOW, named
from tieline.wire.ids import ConnectionId, GatewayId, RoomId, SessionId, UserId
from tieline.wire.internal.answers import Done
from tieline.wire.internal.backend import (
    AddMember,
    Affected,
    Ban,
    CloseRoom,
    CountAll,
    Counted,
    Disconnect,
    EndCall,
    ListRooms,
    LookAtRoom,
    LookAtUser,
    MessageRoom,
    MessageUser,
    RemoveMember,
    RoomSeen,
    RoomsSeen,
    SetVoice,
    UserSeen,
)
from tieline.wire.internal.directions import OPERATIONS, PresenceReply, PresenceRequest
from tieline.wire.internal.rooms import JoinRoom, LeaveRoom, ListMembers, Retell, RoomMembers
from tieline.wire.internal.sessions import (
    EndSession,
    FindReplaced,
    KeepLease,
    LeaseKept,
    Opened,
    OpenSession,
    Register,
    Regrant,
    Replaced,
    Tell,
)
from tieline.wire.internal.signals import Check, Relay

ALICE, BOB, HALL, CELLAR = UserId("alice"), UserId("bob"), RoomId("hall"), RoomId("cellar")
HERS, CONNECTION = SessionId("alice-s1"), ConnectionId("alice-c1")

NUMBER = NOW * 1000
"""Of an order that is asked for now."""

ASKED: Final[dict[type[PresenceRequest], tuple[PresenceRequest, type[PresenceReply]]]] = {
    Check: (Check(ALICE, HERS, BOB, "WEBRTC_OFFER", named("offer"), b""), Relay),
    OpenSession: (opening("carol", "hall"), Opened),
    EndSession: (EndSession(ALICE, CONNECTION, resumable=True), Done),
    Register: (registering(opening("alice", "hall"), {"hall": NOW}), Done),
    Regrant: (Regrant(ALICE, HERS, True, (HALL,), (HALL,)), Done),
    Tell: (Tell(ALICE, CONNECTION, b"frame"), Done),
    FindReplaced: (FindReplaced(((ALICE, CONNECTION),)), Replaced),
    JoinRoom: (JoinRoom(ALICE, HERS, CELLAR), RoomMembers),
    LeaveRoom: (LeaveRoom(ALICE, HERS, HALL), Done),
    ListMembers: (ListMembers(ALICE, HERS, HALL), RoomMembers),
    KeepLease: (KeepLease(GatewayId("g1")), LeaseKept),
    Retell: (Retell(ALICE, HALL), Done),
    AddMember: (AddMember("01", 60.0, ALICE, CELLAR, NUMBER), Affected),
    RemoveMember: (RemoveMember("02", 60.0, ALICE, HALL, number=NUMBER), Affected),
    CloseRoom: (CloseRoom("03", 60.0, HALL, number=NUMBER), Affected),
    Disconnect: (Disconnect("04", 60.0, ALICE, NUMBER), Affected),
    Ban: (Ban("05", 60.0, ALICE, 60.0, NUMBER), Affected),
    SetVoice: (SetVoice("06", 60.0, ALICE, False, NUMBER), Affected),
    EndCall: (EndCall("07", 60.0, ALICE, BOB, number=NUMBER), Affected),
    MessageUser: (MessageUser("08", 60.0, ALICE, b"{}"), Affected),
    MessageRoom: (MessageRoom("09", 60.0, HALL, b"{}"), Affected),
    LookAtUser: (LookAtUser(ALICE), UserSeen),
    LookAtRoom: (LookAtRoom(HALL), RoomSeen),
    ListRooms: (ListRooms(), RoomsSeen),
    CountAll: (CountAll(), Counted),
}
"""A request of each kind that succeeds for Alice, and what it is answered."""


async def with_two() -> PresenceProcess:
    """Alice and Bob are in the hall."""
    process = PresenceProcess()
    for user in ("alice", "bob"):
        await process.open(opening(user, "hall"))
    return process


def test_every_request_is_tried_here() -> None:
    assert ASKED.keys() == set(get_args(PresenceRequest)) == OPERATIONS.keys()


@pytest.mark.parametrize("kind", ASKED, ids=lambda kind: OPERATIONS[kind])
async def test_a_request_is_answered_by_its_rule(kind: type[PresenceRequest]) -> None:
    request, expected = ASKED[kind]
    process = await with_two()

    assert type((await process.operations.carry_out(request)).reply) is expected


async def test_a_room_that_is_named_twice_is_entered_once() -> None:
    process = await with_two()
    ask = OpenSession(
        UserId("carol"),
        SessionId("s"),
        GatewayId("g1"),
        ConnectionId("c"),
        True,
        (HALL, CELLAR, HALL),
        NO_SECRET,
        NO_SECRET,
        None,
    )

    assert (await process.open(ask)).rooms == {HALL: NOW, CELLAR: NOW}


async def test_a_connection_that_only_seems_replaced_is_not_named() -> None:
    process = await with_two()
    await process.open(opening("alice", number=2))
    asked = FindReplaced(((ALICE, CONNECTION), (BOB, ConnectionId("bob-c1")), (UserId("x"), CONNECTION)))

    assert await process.ask(asked) == Replaced((CONNECTION,))


async def test_a_room_is_told_once_more_only_so_often() -> None:
    process = PresenceProcess()
    await process.open(opening("alice", "hall"))
    for _ in range(MOST_OF_ONE):
        assert await process.ask(Retell(ALICE, HALL)) == Done()
    told = len(process.log.entries)
    with pytest.raises(StoreUnavailable):
        await process.ask(Retell(ALICE, HALL))
    assert len(process.log.entries) == told
