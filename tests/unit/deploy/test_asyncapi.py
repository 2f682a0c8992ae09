"""docs/asyncapi.json is what the wire's structs make of it, and a sound AsyncAPI document."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from deploy.asyncapi.document import PATH, as_json, document
from tests.support.traffic import Traffic
from tieline.wire import envelope, replies
from tieline.wire.codes import CloseCode, ErrorCode, HandshakeError
from tieline.wire.ids import RoomId, UserId
from tieline.wire.replies import MemberJoined, Roster

DOCUMENT = document()


def refs(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "$ref":
                yield inner
            else:
                yield from refs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from refs(inner)


def told(*frames: bytes) -> Traffic:
    traffic = Traffic(DOCUMENT)
    for frame in frames:
        traffic.received(frame)
    return traffic


def test_the_document_is_up_to_date() -> None:
    assert PATH.read_text(encoding="utf-8") == as_json(), "make asyncapi writes it anew"


def test_every_reference_leads_somewhere() -> None:
    for ref in refs(DOCUMENT):
        found: Any = DOCUMENT
        for step in ref.removeprefix("#/").split("/"):
            found = found[step]
        assert found


def test_every_payload_is_a_sound_schema() -> None:
    for message in DOCUMENT["components"]["messages"].values():
        assert jsonschema_rs.meta.is_valid(
            {"$schema": "http://json-schema.org/draft-07/schema#", **message["payload"]}
        )


def test_an_operation_takes_its_messages_from_its_channel() -> None:
    channel = DOCUMENT["channels"]["client"]["messages"]
    for operation in DOCUMENT["operations"].values():
        assert operation["channel"] == {"$ref": "#/channels/client"}
        for message in [*operation["messages"], *operation.get("reply", {}).get("messages", [])]:
            assert message["$ref"].rpartition("/")[2] in channel


def test_every_command_has_the_reply_of_the_table() -> None:
    replied = {command.reply for command in envelope.COMMANDS.values() if command.reply}
    assert replied == set(replies.REPLIES)


def test_the_document_has_every_code() -> None:
    codes = [each["code"] for each in DOCUMENT["channels"]["client"]["x-close-codes"]]
    assert codes == [code.value for code in CloseCode]
    reasons = DOCUMENT["components"]["messages"]["error"]["payload"]["oneOf"]
    assert [each["properties"]["reason"]["const"] for each in reasons] == [each.reason for each in ErrorCode]


def test_what_the_server_says_is_described() -> None:
    event = MemberJoined(room=RoomId("a"), user_id=UserId("bob"), number=3)
    traffic = told(
        replies.success("1", "JOIN", Roster(room=RoomId("a"), members=(), number=3)),
        replies.success("2", "MEMBER_JOINED", event),
        replies.ack("3", "WEBRTC_OFFER", "relayed", "0123456789abcdef", "online", tells=True),
        replies.error("4", "JOIN", ErrorCode.ROOM_FULL),
    )
    assert traffic.strangers == []
    heard = {"JOIN.reply", "MEMBER_JOINED.event", "ack", "error", "ROOM_FULL"}
    assert not heard & traffic.unheard()


@pytest.mark.parametrize(
    "frame",
    [
        replies.success("1", "MEMBER_JOINED", {"room": "a"}),
        replies.success("1", "MEMBER_VANISHED", {"room": "a", "userId": "bob"}),
        replies.error("1", "JOIN", ErrorCode.ROOM_FULL).replace(b"1000", b"400"),
    ],
)
def test_what_the_document_does_not_describe_is_kept(frame: bytes) -> None:
    assert told(frame).strangers == [frame.decode()]


def test_what_the_server_has_said_itself_is_not_what_it_relays() -> None:
    hangup = replies.HangupBody(
        sender=UserId("bob"), to=UserId("me"), data=replies.ServerHangup(reason="left")
    )
    traffic = told(replies.success("1", "WEBRTC_HANGUP", hangup))
    assert "WEBRTC_HANGUP.event" not in traffic.unheard()
    assert "WEBRTC_HANGUP.relayed" in traffic.unheard()


def test_a_refusal_before_the_upgrade_counts() -> None:
    traffic = Traffic(DOCUMENT)
    full, limited = HandshakeError.FULL, HandshakeError.RATE_LIMITED
    traffic.refused(full.status, replies.denial(full.status, full.msg, full.reason))
    traffic.refused(limited.status, replies.denial(limited.status, limited.msg, limited.reason, "connects"))
    assert traffic.strangers == []
    assert not {"refused: FULL", "refused: RATE_LIMITED"} & traffic.unheard()
    assert {"refused: BANNED", "RATE_LIMITED"} <= traffic.unheard()


@pytest.mark.parametrize("status", [200, 500])
def test_a_refusal_that_is_not_described_is_kept(status: int) -> None:
    traffic = Traffic(DOCUMENT)
    body = replies.denial(503, "服务器连接已满", "FULL")
    traffic.refused(status, body)
    traffic.refused(503, b"out of order")
    assert traffic.strangers == [body.decode(), "out of order"]
    assert "refused: FULL" in traffic.unheard()


def test_what_cannot_be_read_stops_nobody() -> None:
    traffic = told(b"[" * 100_000, b'{"\\ud800":1}', b"\xff")
    traffic.sent(b'{"\\ud800":1}')
    assert traffic.strangers == ['{"\\ud800":1}']


def test_a_close_code_that_is_never_sent_is_kept() -> None:
    traffic = Traffic(DOCUMENT)
    traffic.ended(CloseCode.GOING_AWAY)
    assert traffic.strangers == ["the close code 1001"]


def test_a_close_code_that_came_counts() -> None:
    traffic = Traffic(DOCUMENT)
    assert "4502" in traffic.unheard()
    traffic.ended(CloseCode.KICKED)
    assert "4502" not in traffic.unheard()


def test_a_sent_command_counts_and_noise_does_not() -> None:
    traffic = Traffic(DOCUMENT)
    traffic.sent(json.dumps({"requestId": "1", "module": "ROOM", "cmd": "PING"}).encode())
    traffic.sent(b"\xff")
    traffic.sent(b'{"cmd":"JOIN"}')
    assert "PING" not in traffic.unheard()
    assert "JOIN" in traffic.unheard()
    traffic.received(b"\xff")
    assert traffic.strangers == []
