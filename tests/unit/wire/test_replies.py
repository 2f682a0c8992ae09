import json

import msgspec
import pytest

from tests.unit.wire.samples import HOSTILE_IDS, REFUSALS
from tieline.wire import envelope, replies
from tieline.wire.codes import ErrorCode, HandshakeError
from tieline.wire.ids import RoomId, SessionId, UserId
from tieline.wire.replies import (
    HangupBody,
    IceServer,
    IceServerList,
    Member,
    MemberJoined,
    MemberLeft,
    Reconnect,
    RoomOnly,
    Roster,
    ServerHangup,
    TokenExpiring,
    TokenRefreshed,
    Welcome,
)

ALICE, BOB, ROOM = UserId("alice"), UserId("bob"), RoomId("room_1")
HEAD = '{"requestId":"r-1","module":"ROOM","cmd":"%s","code":200,"msg":"success","data":'


def text_of(cmd: str, data: object) -> str:
    return replies.success("r-1", cmd, data).decode()


def test_a_welcome_says_how_long_offers_wait_to_who_hears_of_calls() -> None:
    welcome = Welcome(ALICE, SessionId("s"), "secret", False, (), 30, 25, 65536, 60)

    assert text_of("WELCOME", welcome).endswith('"maxMessageBytes":65536,"offerTimeout":60}}')


def test_an_ack_and_a_refusal_name_the_call_where_one_is_given() -> None:
    assert replies.ack("r-1", "WEBRTC_OFFER", "relayed", "0123").decode() == (
        HEAD % "WEBRTC_OFFER" + 'null,"ack":"relayed","call":"0123"}'
    )
    kept = replies.ack("r-1", "WEBRTC_OFFER", "held", "0123", "away", tells=True, kept_s=45.0).decode()
    assert kept.endswith('"ack":"held","call":"0123","status":"away","tells":true,"keptFor":45.0}')
    refusal = replies.error(
        "r-1", "WEBRTC_ANSWER", ErrorCode.NO_MATCHING_OFFER, fate="replaced", call="0123"
    ).decode()
    assert refusal.endswith('"data":null,"reason":"NO_MATCHING_OFFER","fate":"replaced","call":"0123"}')
    over = replies.error("r-1", "WEBRTC_ANSWER", ErrorCode.NO_MATCHING_OFFER, fate="ended").decode()
    assert over.endswith('"reason":"NO_MATCHING_OFFER","fate":"ended"}')


def test_the_welcome_is_spelled_as_the_protocol_shows_it() -> None:
    welcome = Welcome(
        user_id=UserId("user_123"),
        session_id=SessionId("public id"),
        resume_token="secret",
        resumed=False,
        rooms=(ROOM,),
        resume_window=30,
        ping_interval=25,
        max_message_bytes=65536,
    )

    assert replies.success("", "WELCOME", welcome).decode() == (
        '{"requestId":"","module":"ROOM","cmd":"WELCOME","code":200,"msg":"success","data":{'
        '"userId":"user_123","sessionId":"public id","resumeToken":"secret","resumed":false,'
        '"rooms":["room_1"],"resumeWindow":30,"pingInterval":25,"maxMessageBytes":65536}}'
    )


def test_ice_servers_are_spelled_as_browsers_take_them() -> None:
    servers = IceServerList(
        (IceServer(("stun:s:1", "stun:t")), IceServer(("turn:u?transport=udp",), "99:alice", "aGk=")), 600
    )

    assert text_of("ICE_SERVERS", servers) == (
        HEAD % "ICE_SERVERS" + '{"iceServers":[{"urls":["stun:s:1","stun:t"]},'
        '{"urls":["turn:u?transport=udp"],"username":"99:alice","credential":"aGk="}],"ttl":600}}'
    )


def test_the_end_of_a_newer_token_is_told() -> None:
    assert text_of("REFRESH_TOKEN", TokenRefreshed(1_700_000_000_000)) == (
        HEAD % "REFRESH_TOKEN" + '{"expiresAt":1700000000000}}'
    )


@pytest.mark.parametrize("cmd", ["JOIN", "MEMBERS"])
def test_a_roster_names_each_member_with_status_voice_and_time(cmd: str) -> None:
    roster = Roster(
        ROOM,
        (Member(ALICE, "online", True, 1_700_000_000_000), Member(BOB, "away", False, 1_700_000_000_001)),
    )

    assert text_of(cmd, roster) == (
        HEAD % cmd + '{"room":"room_1","members":['
        '{"userId":"alice","status":"online","voice":true,"joinedAt":1700000000000},'
        '{"userId":"bob","status":"away","voice":false,"joinedAt":1700000000001}]}}'
    )


def test_the_reply_to_leave_names_the_room() -> None:
    assert text_of("LEAVE", RoomOnly(ROOM)) == HEAD % "LEAVE" + '{"room":"room_1"}}'


@pytest.mark.parametrize("raw", [b"null", b'{ "a" : 1e999999 }', b'"\\u0041"', b"[1,\n2]", b"9" * 5000])
def test_a_pong_carries_the_very_bytes_of_the_ping_s_data(raw: bytes) -> None:
    pong = replies.success("r-1", "PONG", msgspec.Raw(raw))

    assert pong == (HEAD % "PONG").encode() + raw + b"}"


def test_member_joined_names_room_and_user() -> None:
    assert text_of("MEMBER_JOINED", MemberJoined(ROOM, ALICE)) == (
        HEAD % "MEMBER_JOINED" + '{"room":"room_1","userId":"alice"}}'
    )


@pytest.mark.parametrize("reason", ["left", "disconnected", "kicked"])
def test_member_left_names_room_user_and_reason(reason: str) -> None:
    left = msgspec.convert({"room": ROOM, "userId": ALICE, "reason": reason}, MemberLeft)

    assert text_of("MEMBER_LEFT", left) == (
        HEAD % "MEMBER_LEFT" + f'{{"room":"room_1","userId":"alice","reason":"{reason}"}}}}'
    )


@pytest.mark.parametrize("reason", ["timeout", "disconnected", "left", "kicked"])
def test_a_hangup_of_the_server_says_that_the_server_sent_it(reason: str) -> None:
    body = HangupBody(sender=BOB, to=ALICE, data=msgspec.convert({"reason": reason}, ServerHangup))

    assert text_of("WEBRTC_HANGUP", body) == (
        HEAD % "WEBRTC_HANGUP"
        + f'{{"from":"bob","to":"alice","data":{{"reason":"{reason}","server":true}}}}}}'
    )


def test_token_expiring_and_reconnect_are_camel_case() -> None:
    assert text_of("TOKEN_EXPIRING", TokenExpiring(7)) == HEAD % "TOKEN_EXPIRING" + '{"expiresAt":7}}'
    assert text_of("RECONNECT", Reconnect(1, 2)) == HEAD % "RECONNECT" + '{"afterMs":1,"jitterMs":2}}'


@pytest.mark.parametrize("cmd", envelope.SIGNAL_COMMANDS)
def test_an_ack_is_a_success_without_data(cmd: str) -> None:
    assert replies.ack("r-1", cmd, "relayed").decode() == HEAD % cmd + 'null,"ack":"relayed"}'
    assert replies.ack("r-1", cmd, "held").decode() == HEAD % cmd + 'null,"ack":"held"}'


@pytest.mark.parametrize(("code", "msg", "reason"), REFUSALS)
def test_an_error_is_its_row_of_the_protocol_s_table(code: int, msg: str, reason: str) -> None:
    assert replies.error("r-1", "WEBRTC_OFFER", ErrorCode[reason]).decode() == (
        f'{{"requestId":"r-1","module":"ROOM","cmd":"WEBRTC_OFFER","code":{code},"msg":"{msg}",'
        f'"data":null,"reason":"{reason}"}}'
    )


def test_an_error_to_an_unreadable_frame_still_has_every_field() -> None:
    assert replies.error("", "", ErrorCode.BAD_MESSAGE).decode() == (
        '{"requestId":"","module":"ROOM","cmd":"","code":400,"msg":"消息格式错误","data":null,"reason":"BAD_MESSAGE"}'
    )


@pytest.mark.parametrize("text", HOSTILE_IDS, ids=ascii)
def test_ids_of_every_kind_come_out_as_they_went_in(text: str) -> None:
    for encoded in (
        replies.success(text, "LEAVE", RoomOnly(RoomId(text))),
        replies.ack(text, "WEBRTC_OFFER", "held"),
        replies.error(text, text, ErrorCode.UNKNOWN_COMMAND),
    ):
        assert json.loads(encoded)["requestId"] == text
        assert b"\n" not in encoded
    assert json.loads(replies.error(text, text, ErrorCode.UNKNOWN_COMMAND))["cmd"] == text


@pytest.mark.parametrize("denial", HandshakeError)
def test_an_http_refusal_has_code_msg_and_reason_in_its_body(denial: HandshakeError) -> None:
    assert replies.denial(denial.status, denial.msg, denial.reason).decode() == (
        f'{{"code":{denial.status},"msg":"{denial.msg}","reason":"{denial.name}"}}'
    )


def test_an_http_refusal_names_the_limit_that_was_met() -> None:
    assert replies.denial(429, "x", "RATE_LIMITED", "flooding") == (
        b'{"code":429,"msg":"x","reason":"RATE_LIMITED","limit":"flooding"}'
    )
