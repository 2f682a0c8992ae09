"""Effects are stored in records, and read from there by later versions."""

import typing
from typing import Final

import msgspec
import pytest

from presence.rules.effects import (
    CallEffect,
    CallEnded,
    Changed,
    CloseConnection,
    EndCalls,
    EndCallsWithoutRoom,
    HangUp,
    MemberCame,
    MemberWent,
    RemoveNote,
    SessionBegan,
    SessionEnded,
    StatusChanged,
    UserEffect,
    Woken,
    is_cheap,
    is_for_others,
)
from presence.rules.negotiated import Negotiation
from presence.rules.user import User
from tests.unit.presence.rules.people import online
from tieline.wire.ids import CallId, ConnectionId, FrameDigest, GatewayId, RoomId, SessionId, UserId

ALICE, BOB = UserId("alice"), UserId("bob")
SESSION, GATEWAY, HALL = SessionId("alice-s1"), GatewayId("g1"), RoomId("hall")

OF_USERS: Final[tuple[UserEffect, ...]] = (
    Changed(ALICE),
    CloseConnection(ALICE, SESSION, GATEWAY, ConnectionId("alice-c1"), 4001),
    RemoveNote(SESSION, GATEWAY, 7),
    EndCalls(SESSION, 1000),
    EndCallsWithoutRoom("kicked", "left-7", 1000, tell_user=True),
    MemberCame(HALL, 7, 1000),
    SessionBegan(1000),
    SessionEnded(SESSION, 1000),
    MemberWent(HALL, SESSION, 7, "kicked", 1000, tell_user=True),
    StatusChanged(),
)
OF_CALLS: Final[tuple[CallEffect, ...]] = (
    HangUp(ALICE, SESSION, BOB, "timeout", "offer-1"),
    CallEnded(1000, ALICE, BOB, "timeout"),
    Woken(ALICE, SESSION, BOB, FrameDigest(b"offer-1"), CallId("call")),
)


def test_there_is_an_example_of_every_effect() -> None:
    assert {type(effect) for effect in OF_USERS} == set(typing.get_args(UserEffect))
    assert {type(effect) for effect in OF_CALLS} == set(typing.get_args(CallEffect))


@pytest.mark.parametrize("effect", OF_USERS, ids=lambda effect: type(effect).__name__)
def test_what_a_users_change_means_survives_being_stored(effect: UserEffect) -> None:
    user = msgspec.structs.replace(online(SESSION, [HALL]), pending=(effect,))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(user), type=User) == user


@pytest.mark.parametrize("effect", OF_CALLS, ids=lambda effect: type(effect).__name__)
def test_what_a_negotiations_change_means_survives_being_stored(effect: CallEffect) -> None:
    pair = Negotiation(pending=(effect,))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(pair), type=Negotiation) == pair


@pytest.mark.parametrize(
    ("effect", "encoded"),
    [
        (EndCallsWithoutRoom("left", "left-7", 1000), ["EndCallsWithoutRoom", "left", "left-7", 1000]),
        (
            MemberWent(HALL, SESSION, 7, "left", 1000),
            ["MemberWent", "hall", "alice-s1", 7, "left", 1000],
        ),
    ],
    ids=["EndCallsWithoutRoom", "MemberWent"],
)
def test_an_effect_of_an_older_version_lacks_its_last_fields(
    effect: UserEffect, encoded: list[object]
) -> None:
    stored = msgspec.msgpack.encode(encoded)
    assert msgspec.msgpack.decode(stored, type=UserEffect) == effect


def test_only_messages_that_do_no_harm_when_repeated_are_cheap() -> None:
    cheap = {type(effect) for effect in (*OF_USERS, *OF_CALLS) if is_cheap(effect)}
    assert cheap - {RemoveNote} == {Changed, CloseConnection}
    note = RemoveNote(SessionId("s1"), GatewayId("g1"), 5)
    assert is_cheap(note)
    assert not is_cheap(msgspec.structs.replace(note, last=True))


def test_others_wait_for_all_but_messages_and_notes() -> None:
    others = {type(effect) for effect in (*OF_USERS, *OF_CALLS) if not is_for_others(effect)}
    assert others == {Changed, CloseConnection, RemoveNote}
