import json

import msgspec
import pytest

from tieline.client import messages
from tieline.client.errors import Unreadable
from tieline.client.events import (
    Answer,
    AppMessage,
    Candidate,
    ErrorEvent,
    Hangup,
    Info,
    MemberJoined,
    MemberLeft,
    MemberUpdated,
    Message,
    Offer,
    Reconnect,
    TokenExpiring,
    Unknown,
)
from tieline.client.messages import Reply, RoomBatch, RoomList
from tieline.wire.codes import ErrorCode
from tieline.wire.ids import RoomId, UserId
from tieline.wire.replies import (
    HangupBody,
    Left,
    Member,
    RoomChanged,
    RoomOnly,
    Roster,
    ServerHangup,
    ack,
    error,
    success,
)

ROOM, USER, PEER = RoomId("r"), UserId("u"), UserId("a")


def relayed(cmd: str, data: object, **fields: object) -> bytes:
    """A frame as another user's client sent it."""
    frame = {"requestId": "r1", "module": "ROOM", "cmd": cmd, "data": {"from": "a", "to": "b", "data": data}}
    return json.dumps({**frame, **fields}).encode()


@pytest.mark.parametrize(
    ("frame", "event"),
    [
        (relayed("WEBRTC_OFFER", {"sdp": "x"}), Offer(PEER, {"sdp": "x"}, "r1")),
        (relayed("WEBRTC_ANSWER", None), Answer(PEER, None, "r1")),
        (relayed("WEBRTC_ICE_CANDIDATE", [1]), Candidate(PEER, [1], "r1")),
        (relayed("WEBRTC_INFO", {"muted": True}), Info(PEER, {"muted": True}, "r1")),
        (
            relayed("WEBRTC_HANGUP", {"reason": "busy"}),
            Hangup(PEER, "busy", server=False, request_id="r1"),
        ),
        (
            success("r1", "WEBRTC_HANGUP", HangupBody(PEER, UserId("b"), ServerHangup("timeout"))),
            Hangup(PEER, "timeout", server=True, request_id="r1"),
        ),
        (success("e", "MEMBER_JOINED", {"room": "r", "userId": "u"}), MemberJoined(ROOM, USER, "e")),
        (
            success("e", "MEMBER_LEFT", {"room": "r", "userId": "u", "reason": "kicked"}),
            MemberLeft(ROOM, USER, "kicked", "e"),
        ),
        (
            success("e", "MEMBER_UPDATED", {"room": "r", "userId": "u", "status": "away"}),
            MemberUpdated(ROOM, USER, "away", "e"),
        ),
        (
            success("e", "MEMBER_JOINED", {"room": "r", "userId": "u", "number": 7}),
            MemberJoined(ROOM, USER, "e", 7),
        ),
        (success("e", "MESSAGE", {"data": [1]}), AppMessage([1], request_id="e")),
        (success("e", "MESSAGE", {"room": "r", "data": None}), AppMessage(None, ROOM, "e")),
        (success("e", "TOKEN_EXPIRING", {"expiresAt": 5}), TokenExpiring(5, "e")),
        (success("e", "RECONNECT", {"afterMs": 1, "jitterMs": 2}), Reconnect(1, 2, "e")),
        (
            error("r1", "WEBRTC_OFFER", ErrorCode.TARGET_OFFLINE),
            ErrorEvent(1000, "目标用户不在线", "TARGET_OFFLINE", "WEBRTC_OFFER", "r1"),
        ),
        (error("", "", ErrorCode.BAD_MESSAGE), ErrorEvent(400, "消息格式错误", "BAD_MESSAGE", "", "")),
    ],
)
def test_what_the_server_sends_has_a_type(frame: bytes, event: Message) -> None:
    assert messages.decode(frame) == event


def test_an_ack_is_a_reply() -> None:
    reply = messages.decode(ack("r1", "WEBRTC_OFFER", "held"))
    assert isinstance(reply, Reply)
    assert (reply.cmd, reply.request_id, reply.ack) == ("WEBRTC_OFFER", "r1", "held")


@pytest.mark.parametrize(
    "disguise",
    [
        {"code": 1000, "msg": "no", "reason": "TARGET_OFFLINE"},
        {"ack": "relayed"},
        {"code": "not even a number", "msg": 7},
    ],
)
def test_a_peer_cannot_pass_its_frame_off_as_the_servers_answer(disguise: dict[str, object]) -> None:
    assert messages.decode(relayed("WEBRTC_OFFER", 1, **disguise)) == Offer(PEER, 1, "r1")


@pytest.mark.parametrize(
    "detail", [None, 7, "busy", ["busy"], {"reason": 7}, {"reason": "x", "server": "yes"}]
)
def test_a_hangup_that_makes_no_sense_is_a_hangup(detail: object) -> None:
    event = messages.decode(relayed("WEBRTC_HANGUP", detail))
    assert event == Hangup(PEER, "", server=False, request_id="r1")


@pytest.mark.parametrize(
    ("frame", "cmd"),
    [
        (b"", ""),
        (b"[]", ""),
        (b"\xff", ""),
        (b'{"cmd":7,"data":null}', ""),
        (b"[" * 100_000, ""),
        (b'{"cmd":"\xff","data":null}', ""),
        (b'{"cmd":"JOIN","data":null,"code":1000,"msg":"\xff","reason":"ROOM_FULL"}', "JOIN"),
        (success("e", "SOMETHING_NEW", {"a": 1}), "SOMETHING_NEW"),
        (success("e", "MEMBER_JOINED", {"room": "r"}), "MEMBER_JOINED"),
        (success("e", "ROOM_CHANGED", {"room": "r", "number": 7}), "ROOM_CHANGED"),
        (success("e", "ROOM_CHANGED", {"room": "r", "members": 7}), "ROOM_CHANGED"),
        (success("e", "ROOM_CHANGED", None), "ROOM_CHANGED"),
        (relayed("WEBRTC_OFFER", 0).replace(b": 0", b": 1e999"), "WEBRTC_OFFER"),
    ],
)
def test_what_cannot_be_understood_is_handed_on_as_it_came(frame: bytes, cmd: str) -> None:
    event = messages.decode(frame)
    assert isinstance(event, Unknown)
    assert (event.cmd, event.frame) == (cmd, frame)


def test_a_room_that_has_changed_is_a_batch_or_a_list() -> None:
    member = Member(USER, "online", voice=True, joined_at=1)
    changed = RoomChanged(ROOM, 7, [member], [Left(PEER, "left")], [])
    assert messages.decode(success("e", "ROOM_CHANGED", changed)) == RoomBatch(changed, "e")
    roster = Roster(ROOM, (member,), 7, count=2, next="x")
    assert messages.decode(success("e", "ROOM_CHANGED", roster)) == RoomList(roster, "e")


@pytest.mark.parametrize("data", [b'{"room":7}', b"null", b"[]"])
def test_a_reply_of_another_kind_is_unreadable(data: bytes) -> None:
    reply = Reply("LEAVE", "r1", msgspec.Raw(data))
    for kind in (RoomOnly, Roster):
        with pytest.raises(Unreadable, match="the reply to LEAVE is unreadable"):
            messages.data_of(reply, kind)


@pytest.mark.parametrize("data", [b"[" * 100_000 + b"]" * 100_000, b'"\xff"'])
def test_data_too_deep_or_not_utf8_is_unreadable(data: bytes) -> None:
    with pytest.raises(Unreadable, match="PONG"):
        messages.data_of(Reply("PONG", "r1", msgspec.Raw(data)), object)


def test_what_is_sent_has_the_envelope_of_the_api_document() -> None:
    data = messages.signal_data(UserId("user_123"), "user_456", {"type": "offer", "sdp": "v=0"})
    assert json.loads(messages.encode("id", "WEBRTC_OFFER", data)) == {
        "requestId": "id",
        "module": "ROOM",
        "cmd": "WEBRTC_OFFER",
        "code": 200,
        "msg": "success",
        "data": {"from": "user_123", "to": "user_456", "data": {"type": "offer", "sdp": "v=0"}},
    }
