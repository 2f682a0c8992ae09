"""A change of a room as it is read from the log, and as clients are told of it."""

import msgspec
import pytest

from gateway.rooms.changes import Change, name_of, name_of_list, position_in, read, told_singly, told_together
from tests.unit.gateway.rooms.hall import ALICE, BOB, CAROL, HALL, JOINED_AT, change, messages_in
from tieline.wire.replies import Member


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
        "requestId": "room-7",
        "module": "ROOM",
        "cmd": cmd,
        "code": 200,
        "msg": "success",
        "data": {"room": HALL, "userId": ALICE, "number": 7, **data},
    }
    assert told.last == 7


def test_who_comes_while_it_is_away_is_told_as_away() -> None:
    came, away = messages_in(told_singly([change(7, ALICE, status="away")]).data)
    assert (came["requestId"], came["cmd"]) == ("room-7-after-6", "MEMBER_JOINED")
    assert (away["requestId"], away["cmd"], away["data"]["status"]) == ("room-7", "MEMBER_UPDATED", "away")


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
    assert event["requestId"] == "room-5"
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
        read(HALL, ALICE, 7, b"\x91\xa3New")


@pytest.mark.parametrize("name", [name_of(42), name_of_list(42)])
def test_the_number_can_be_read_from_the_name(name: str) -> None:
    assert position_in(name) == (42, 42)


@pytest.mark.parametrize(
    "name",
    ["", "room-", "room-0", "room-x", "room-1x", "xroom-1", "room-1-x", "room-" + "9" * 17, "room-٣"],
)
def test_other_names_have_no_number(name: str) -> None:
    assert position_in(name) is None
