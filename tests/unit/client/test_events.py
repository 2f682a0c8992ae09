"""The events an application gets: exported, comparable, and the same fields as the server writes."""

import typing

import msgspec
import pytest

import tieline.client
from tieline.client import messages
from tieline.client.events import Candidate, Event, Message
from tieline.wire import replies
from tieline.wire.ids import RoomId, UserId

ROOM, BOB = RoomId("r"), UserId("bob")
EVENTS = typing.get_args(Event)


@pytest.mark.parametrize("kind", EVENTS)
def test_every_event_can_be_imported_from_the_package(kind: type) -> None:
    assert kind.__name__ in tieline.client.__all__
    assert getattr(tieline.client, kind.__name__) is kind


@pytest.mark.parametrize("kind", typing.get_args(Message))
def test_what_comes_as_a_frame_carries_its_request_id(kind: type[msgspec.Struct]) -> None:
    assert "request_id" in kind.__struct_fields__


@pytest.mark.parametrize(
    ("cmd", "body"),
    [
        ("MEMBER_JOINED", replies.MemberJoined(ROOM, BOB)),
        ("MEMBER_LEFT", replies.MemberLeft(ROOM, BOB, "kicked")),
        ("MEMBER_UPDATED", replies.MemberUpdated(ROOM, BOB, "away")),
        ("TOKEN_EXPIRING", replies.TokenExpiring(1_700_000_000_000)),
        ("RECONNECT", replies.Reconnect(10, 20)),
    ],
)
def test_an_event_has_the_fields_that_the_server_writes(cmd: str, body: msgspec.Struct) -> None:
    event = messages.decode(replies.success("e", cmd, body))
    assert type(event).__name__ == type(body).__name__
    assert msgspec.structs.asdict(event) == {**msgspec.structs.asdict(body), "request_id": "e"}


def test_an_event_cannot_be_changed() -> None:
    event = Candidate(BOB, 1)
    for field in event.__struct_fields__:
        with pytest.raises(AttributeError):
            setattr(event, field, None)
