"""Events as CloudEvents: what stands in them, and how they are put together."""

import json
from typing import get_args

import msgspec
import pytest

from tieline.wire import cloud_events
from tieline.wire.cloud_events import KINDS, Call, CallKind, Member, MemberKind
from tieline.wire.ids import CallId, RoomId, UserId

AT = 1_700_000_000_007
MEMBER = cloud_events.of_member("blue", "member.joined", "m1", AT, Member(RoomId("大厅"), UserId("alice")))
CALL = cloud_events.of_call(
    "blue", "call.offered", "c1", AT, Call(UserId("alice"), UserId("bob"), CallId("0123456789abcdef"))
)


def test_an_event_is_a_cloud_event_with_all_that_one_must_have() -> None:
    assert json.loads(cloud_events.encode(MEMBER)) == {
        "specversion": "1.0",
        "id": "m1",
        "source": "/tieline/blue",
        "type": "tieline.member.joined",
        "subject": "room/大厅",
        "time": "2023-11-14T22:13:20.007Z",
        "datacontenttype": "application/json",
        "data": {"room": "大厅", "user": "alice"},
    }


def test_what_happens_to_one_call_has_one_subject() -> None:
    assert CALL.subject == "call/0123456789abcdef"


def test_an_offer_that_began_no_call_is_about_who_was_called() -> None:
    refused = cloud_events.of_call(
        "blue", "call.refused", "r1", AT, Call(UserId("alice"), UserId("bob"), reason="target_offline")
    )
    assert refused.subject == "user/bob"
    assert json.loads(cloud_events.encode(refused))["data"] == {
        "caller": "alice",
        "callee": "bob",
        "reason": "target_offline",
    }


def test_an_event_is_read_again_as_far_as_it_is_looked_at() -> None:
    kept = cloud_events.read(cloud_events.encode(CALL))
    assert (kept.id, kept.kind, kept.subject) == ("c1", "call.offered", "call/0123456789abcdef")


@pytest.mark.parametrize("garbage", [b"", b"[]", b'{"id":1}'])
def test_garbage_is_no_event(garbage: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        cloud_events.read(garbage)


def test_a_number_is_added_without_reading_the_event() -> None:
    numbered = json.loads(cloud_events.numbered(cloud_events.encode(CALL), 42))
    assert numbered["sequence"] == "00000000000000000042"
    assert numbered["id"] == "c1"


def test_a_batch_is_a_list_of_events() -> None:
    each = cloud_events.encode(CALL)
    assert [event["id"] for event in json.loads(cloud_events.batch_of([each, each]))] == ["c1", "c1"]


def test_every_kind_is_listed() -> None:
    assert (*get_args(MemberKind), *get_args(CallKind)) == KINDS


def test_two_facts_have_two_names() -> None:
    assert cloud_events.event_id("a", "bc") != cloud_events.event_id("ab", "c")


@pytest.mark.parametrize(
    ("user", "room", "is_about"),
    [
        ("", "", True),
        ("alice", "", True),
        ("carol", "", False),
        ("", "大厅", True),
        ("", "hall", False),
        ("alice", "大厅", True),
        ("carol", "大厅", False),
    ],
)
def test_an_event_is_about_whom_its_data_name(user: str, room: str, is_about: bool) -> None:
    rooms = (RoomId("cellar"), RoomId("大厅"))
    call = Call(UserId("bob"), UserId("alice"), CallId("0123456789abcdef"), rooms=rooms)
    called = cloud_events.of_call("blue", "call.ended", "c2", AT, call)
    for event in (MEMBER, called):
        assert cloud_events.concerned(cloud_events.encode(event)).is_about(user, room) is is_about


def test_an_event_that_cannot_be_read_is_about_nobody() -> None:
    assert not cloud_events.concerned(b"garbage").is_about("alice", "")
