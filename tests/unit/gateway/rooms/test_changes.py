"""A change of a room as it is read from the log, and as clients are told of it."""

import msgspec
import pytest

from gateway.rooms.changes import (
    UNNAMED,
    Change,
    name_before_all,
    name_of,
    name_of_list,
    position_in,
    read,
    told_singly,
    told_together,
)
from tests.unit.gateway.rooms.hall import (
    ALICE,
    BOB,
    CAROL,
    HALL,
    JOINED_AT,
    change,
    messages_in,
    nonce_of,
    short,
)
from tieline.wire.internal import codec
from tieline.wire.replies import Member

NONCE = "00ff" * 4


@pytest.mark.parametrize(
    ("what", "cmd", "data"),
    [
        (change(7, ALICE), "MEMBER_JOINED", {}),
        (change(7, ALICE, "left", reason="kicked"), "MEMBER_LEFT", {"reason": "kicked"}),
        (change(7, ALICE, "updated", status="away"), "MEMBER_UPDATED", {"status": "away"}),
    ],
)
def test_one_change_is_one_event(what: Change, cmd: str, data: dict[str, str]) -> None:
    told = told_singly([what])
    (event,) = messages_in(told.data)
    assert event == {
        "requestId": f"room-7-{nonce_of(7)}",
        "module": "ROOM",
        "cmd": cmd,
        "code": 200,
        "msg": "success",
        "data": {"room": HALL, "userId": ALICE, "number": 7, **data},
    }
    assert told.last == 7


def test_who_comes_while_it_is_away_is_told_as_away() -> None:
    came, away = messages_in(told_singly([change(7, ALICE, status="away")]).data)
    assert (short(came["requestId"]), came["cmd"]) == ("room-7-after-6", "MEMBER_JOINED")
    assert (short(away["requestId"]), away["cmd"]) == ("room-7", "MEMBER_UPDATED")
    assert away["data"]["status"] == "away"


def test_what_only_lists_show_is_no_event() -> None:
    assert change(7, ALICE, "updated", is_silent=True).event == b""


def test_several_changes_are_told_together_as_they_ended() -> None:
    told = told_together(
        HALL,
        [
            change(1, ALICE),
            change(2, BOB),
            change(3, CAROL, "updated", status="away"),
            change(4, BOB, "left", reason="left"),
            change(5, ALICE, "updated", status="away"),
        ],
    )
    (event,) = messages_in(told.data)
    away = {"status": "away", "voice": True, "joinedAt": JOINED_AT}
    assert short(event["requestId"]) == "room-5"
    assert event["data"] == {
        "room": HALL,
        "number": 5,
        "joined": [{"userId": ALICE, **away}],
        "left": [{"userId": BOB, "reason": "left"}],
        "updated": [{"userId": CAROL, **away}],
    }


def test_a_member_is_what_the_change_says() -> None:
    assert change(7, ALICE, status="away").member == Member(ALICE, "away", True, JOINED_AT)


def test_an_entry_of_another_version_is_not_read() -> None:
    with pytest.raises(msgspec.MsgspecError):
        read(HALL, ALICE, 7, b"\x91\xa3New", b"")


def test_an_entry_without_a_nonce_is_told_under_no_one_s() -> None:
    stored = codec.encode(change(7, ALICE).entry)
    (event,) = messages_in(read(HALL, ALICE, 7, stored, b"").event)
    assert position_in(event["requestId"]) == (7, 7, UNNAMED)


@pytest.mark.parametrize(("late_s", "is_late"), [(0.0, False), (60.0, False), (60.1, True), (3600.0, True)])
def test_what_is_stored_long_after_it_was_decided_is_late(late_s: float, is_late: bool) -> None:
    assert change(7, ALICE, late_s=late_s).is_late is is_late


def test_what_does_not_say_when_it_was_decided_is_never_late() -> None:
    stored = codec.encode(msgspec.structs.replace(change(7, ALICE).entry, at=0))
    headers = b"NATS/1.0\r\nNats-Time-Stamp: 2026-01-01T00:00:00Z\r\n\r\n"
    assert not read(HALL, ALICE, 7, stored, headers).is_late


@pytest.mark.parametrize("name", [name_of(42, NONCE), name_of_list(42, NONCE)])
def test_number_and_nonce_can_be_read_from_the_name(name: str) -> None:
    assert position_in(name) == (42, 42, NONCE)


@pytest.mark.parametrize(("whole_to", "read"), [(7, 7), (42, 42), (43, 42), (10**15, 42)])
def test_no_name_says_more_than_its_change(whole_to: int, read: int) -> None:
    assert position_in(name_before_all(42, NONCE, whole_to)) == (42, read, NONCE)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "room-",
        "room-7",
        "room-7-list",
        f"room-0-{NONCE}",
        f"room-x-{NONCE}",
        f"room-1x-{NONCE}",
        f"xroom-1-{NONCE}",
        f"room-1-{NONCE}-x",
        f"room-1-{NONCE}0",
        f"room-1-{NONCE.upper()}",
        f"room-{'9' * 17}-{NONCE}",
        f"room-٣-{NONCE}",
    ],
)
def test_other_names_have_no_number(name: str) -> None:
    assert position_in(name) is None
