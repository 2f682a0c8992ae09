import re
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.wire.samples import HOSTILE_IDS
from tieline.wire import internal
from tieline.wire.codes import ErrorCode
from tieline.wire.ids import (
    ConnectionId,
    FrameDigest,
    GatewayId,
    ResumeToken,
    RoomId,
    SecretHash,
    SessionId,
    UserId,
    is_valid_id,
)
from tieline.wire.internal import (
    ANSWERS,
    Accepted,
    Check,
    CloseSession,
    Delivery,
    Done,
    EndSession,
    FindReplaced,
    Happened,
    JoinRoom,
    KeepLease,
    LeaseKept,
    LeaveRoom,
    ListMembers,
    Opened,
    OpenSession,
    Outdated,
    PresenceReply,
    PresenceRequest,
    Refused,
    Register,
    Regrant,
    Relay,
    Replaced,
    Retell,
    RoomChange,
    RoomJoined,
    RoomMembers,
    RouterReply,
    SessionGone,
    Signal,
    Tell,
    asked_of,
    decode_answers,
    decode_close_session,
    decode_presence_reply,
    decode_presence_request,
    decode_room_change,
    decode_signals,
    digest,
    encode,
    is_opened,
    message_id,
    read_answer,
    resume_token,
    secret_hash,
)
from tieline.wire.replies import Member

ALICE, BOB = UserId("alice"), UserId("用户 一")
SESSION, GATEWAY, ROOM = SessionId("s-1"), GatewayId("g-1"), RoomId("a.b *")
CONNECTION = ConnectionId("c-1")
SECRET, NONE = secret_hash(ResumeToken("a secret")), SecretHash(b"")
ODD_FRAME = b'{"x":\xff\x00' + bytes(range(256))
DIGEST = digest(ODD_FRAME)

REQUESTS: tuple[PresenceRequest, ...] = (
    Check(ALICE, SESSION, BOB, "WEBRTC_ICE_CANDIDATE", DIGEST, ODD_FRAME),
    Check(ALICE, SESSION, BOB, "WEBRTC_OFFER", DIGEST, b""),
    OpenSession(ALICE, SESSION, GATEWAY, CONNECTION, True, (ROOM, RoomId("other")), SECRET, SECRET, (ROOM,)),
    OpenSession(ALICE, SESSION, GATEWAY, CONNECTION, False, (), NONE, NONE, None),
    OpenSession(ALICE, SESSION, GATEWAY, CONNECTION, True, (), SECRET, NONE, ()),
    EndSession(ALICE, CONNECTION, resumable=True),
    EndSession(ALICE, CONNECTION, resumable=False),
    Register(
        ALICE, SESSION, GATEWAY, CONNECTION, True, {ROOM: 1_700_000_000_000, RoomId("other"): 0}, SECRET
    ),
    Register(ALICE, SESSION, GATEWAY, CONNECTION, False, {}, NONE),
    Regrant(ALICE, SESSION, True, None, (ROOM,)),
    Retell(ALICE, ROOM),
    Regrant(ALICE, SESSION, False, (ROOM, RoomId("other")), ()),
    Tell(ALICE, CONNECTION, ODD_FRAME),
    FindReplaced(()),
    FindReplaced(((ALICE, CONNECTION), (BOB, ConnectionId("c-2")))),
    JoinRoom(ALICE, SESSION, ROOM),
    JoinRoom(ALICE, SESSION, ROOM, hears=True, lists=True),
    LeaveRoom(ALICE, SESSION, ROOM),
    ListMembers(ALICE, SESSION, ROOM),
    KeepLease(GATEWAY),
)
PRESENCE_REPLIES: tuple[PresenceReply, ...] = (
    Relay("relayed", (Delivery(BOB, SESSION, None), Delivery(ALICE, SESSION, ODD_FRAME)), 5.0, (DIGEST,)),
    Relay("held", ()),
    Refused("NOT_IN_SAME_ROOM"),
    SessionGone(replaced=True),
    SessionGone(replaced=False),
    Opened(SESSION, resumed=False, rooms={}),
    Opened(SESSION, resumed=True, rooms={ROOM: 1_700_000_000_000}),
    RoomMembers((Member(ALICE, "online", True, 1_700_000_000_000), Member(BOB, "away", False, 0))),
    RoomMembers(()),
    Outdated(7),
    RoomJoined(0),
    RoomJoined(7, RoomMembers((Member(ALICE, "online", True, 0),), (7,))),
    Done(),
    LeaseKept("run"),
    Replaced(()),
    Replaced((CONNECTION, ConnectionId("c-2"))),
)
ROUTER_REPLIES: tuple[RouterReply, ...] = (
    Accepted("relayed"),
    Accepted("held"),
    Refused("INTERNAL"),
    SessionGone(replaced=False),
)
SIGNALS = (Signal(ALICE, SESSION, BOB, ODD_FRAME, True), Signal(BOB, SESSION, ALICE, b"", False))
CLOSING = CloseSession(ALICE, SESSION, CONNECTION, 4500)
CHANGE = RoomChange("left", 7, SESSION, "online", True, 0, "kicked", tells_user=True)


def test_a_resume_token_says_when_its_session_was_asked_to_begin() -> None:
    assert asked_of(resume_token("a-secret", 0xBEEF)) == 0xBEEF
    assert resume_token("a-secret", 0) == "a-secret"


NO_NUMBERS = ("xyz", "1x", "-1", "+1", " 1", "1_0", "BEEF", "٣", "f" * 14)


@pytest.mark.parametrize("token", ["", ".", "x" * 32, "a.", *(f"a.{number}" for number in NO_NUMBERS)])
def test_any_other_token_does_not_say(token: str) -> None:
    assert asked_of(ResumeToken(token)) == 0


def test_a_session_that_was_opened_is_told_from_other_answers() -> None:
    opened = [is_opened(encode(reply)) for reply in PRESENCE_REPLIES]
    assert opened == [isinstance(reply, Opened) for reply in PRESENCE_REPLIES]
    assert not is_opened(encode(list(enumerate(ROUTER_REPLIES))))


def test_signals_arrive_at_the_router_as_they_left_the_gateway() -> None:
    assert decode_signals(encode([*SIGNALS, None])) == [*SIGNALS, None]


def test_a_router_s_answers_arrive_as_they_left() -> None:
    answers = list(enumerate(ROUTER_REPLIES, 3))
    assert decode_answers(encode(answers)) == answers


@pytest.mark.parametrize("request_", REQUESTS)
def test_a_request_arrives_at_presence_as_it_left(request_: PresenceRequest) -> None:
    assert decode_presence_request(encode(request_)) == request_


@pytest.mark.parametrize("reply", PRESENCE_REPLIES)
def test_a_presence_s_reply_arrives_as_it_left(reply: PresenceReply) -> None:
    assert decode_presence_reply(encode(reply)) == reply


def test_a_closing_arrives_at_the_gateway_as_it_left() -> None:
    assert decode_close_session(encode(CLOSING)) == CLOSING


def test_a_change_of_a_room_arrives_as_it_left() -> None:
    assert decode_room_change(encode(CHANGE)) == CHANGE


def test_no_message_is_missing_in_these_tests() -> None:
    sampled: set[type] = {
        type(message)
        for message in (*REQUESTS, *PRESENCE_REPLIES, *ROUTER_REPLIES, *SIGNALS, CLOSING, CHANGE)
    }
    sampled.add(Delivery)  # travels inside Relay

    assert sampled == set(internal._Message.__subclasses__())


def test_every_member_of_every_union_is_sampled() -> None:
    assert {type(message) for message in REQUESTS} == set(get_args(PresenceRequest))
    assert {type(message) for message in PRESENCE_REPLIES} == set(get_args(PresenceReply))
    assert {type(message) for message in ROUTER_REPLIES} == set(get_args(RouterReply))


def test_every_presence_request_has_a_word_for_its_subject() -> None:
    words = list(internal.OPERATIONS.values())

    assert set(internal.OPERATIONS) == set(get_args(PresenceRequest))
    assert len(set(words)) == len(words)
    assert all(word.isascii() and word.isalpha() for word in words)


def test_a_message_of_another_direction_is_not_taken_for_a_request() -> None:
    with pytest.raises(msgspec.ValidationError):
        decode_presence_request(encode(Accepted("held")))


@pytest.mark.parametrize(
    "payload", [b"", b"\xc1", b"\x90", encode(["Check", "alice"]), encode({"user": "alice"})]
)
def test_bytes_that_are_no_message_are_a_decode_error(payload: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_presence_request(payload)


@pytest.mark.parametrize("identifier", [*filter(is_valid_id, HOSTILE_IDS)], ids=ascii)
def test_a_hostile_id_travels_inside_a_message_unchanged(identifier: str) -> None:
    message = JoinRoom(UserId(identifier), SESSION, RoomId(identifier))

    assert decode_presence_request(encode(message)) == message


@pytest.mark.parametrize("refusal", ErrorCode)
def test_a_refusal_is_found_again_by_its_name(refusal: ErrorCode) -> None:
    assert Refused(refusal.reason).refusal is refusal


def test_a_refusal_of_a_newer_version_is_a_failure() -> None:
    assert Refused("NOT_KNOWN_YET").refusal is ErrorCode.INTERNAL


def test_a_relay_says_nothing_of_a_grant_unless_there_is_one() -> None:
    relay = Relay("relayed", ())

    assert relay.grant_seconds == 0
    assert relay.grant_held == ()


@given(st.binary(max_size=256), st.binary(max_size=256))
def test_two_frames_share_a_digest_only_if_they_are_the_same_bytes(one: bytes, other: bytes) -> None:
    assert (digest(one) == digest(other)) == (one == other)


def test_a_digest_is_16_bytes_and_the_same_in_every_process() -> None:
    assert len(digest(b"")) == 16
    assert digest(b"frame") == FrameDigest(bytes.fromhex("a0f66a9bc6750ac387caf7676498b0e2"))


def test_a_resume_secret_is_hashed_the_same_in_every_process() -> None:
    assert secret_hash(ResumeToken("a secret")) == bytes.fromhex(
        "984ca5162200734c592148f1820b71057f098573d138666b48663e4e30cd8d3a"
    )
    assert secret_hash(ResumeToken("another secret")) != SECRET
    assert SECRET != NONE


def test_a_frame_for_two_users_has_two_names_in_the_mailbox() -> None:
    assert message_id(ALICE, b"frame") == "a0f66a9bc6750ac387caf7676498b0e2.alice"
    assert message_id(BOB, b"frame") != message_id(ALICE, b"frame")
    assert message_id(ALICE, b"frame ") != message_id(ALICE, b"frame")


@pytest.mark.parametrize("identifier", HOSTILE_IDS)
def test_a_message_id_can_stand_in_a_header_for_any_user(identifier: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_=.-]+", message_id(UserId(identifier), b"frame"))


def test_white_space_alone_makes_another_frame() -> None:
    assert digest(b'{"a":1}') != digest(b'{"a": 1}')


def test_an_event_is_camel_case_json_without_what_does_not_apply() -> None:
    joined = Happened(1_700_000_000_000, ALICE, room=ROOM)

    assert msgspec.json.encode(joined) == b'{"at":1700000000000,"user":"alice","room":"a.b *"}'
    assert msgspec.json.decode(msgspec.json.encode(joined), type=Happened) == joined


@pytest.mark.parametrize(
    ("code", "read_as"), [(4500, 4500), (1012, 1012), (4999, 4002), (0, 4002), (-1, 4002)]
)
def test_a_close_code_that_only_a_newer_version_knows_says_come_back(code: int, read_as: int) -> None:
    closing = decode_close_session(encode(CloseSession(ALICE, SESSION, CONNECTION, code)))
    assert closing.close_code == read_as


@pytest.mark.parametrize(
    ("reason", "read_as"), [("kicked", "kicked"), ("left", "left"), (None, "left"), ("banned", "left")]
)
def test_a_reason_that_only_a_newer_version_knows_is_a_known_one(reason: str | None, read_as: str) -> None:
    change = RoomChange("left", 7, SESSION, "online", True, 0, reason)
    assert decode_room_change(encode(change)).left_reason == read_as


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: type(request).__name__)
def test_an_answer_of_another_kind_than_was_asked_for_is_none(request_: PresenceRequest) -> None:
    for reply in PRESENCE_REPLIES:
        if isinstance(reply, ANSWERS[type(request_)]):
            assert read_answer(request_, encode(reply)) == reply
        else:
            with pytest.raises(msgspec.ValidationError, match="no answer to"):
                read_answer(request_, encode(reply))


def test_each_request_has_its_answers() -> None:
    assert ANSWERS.keys() == set(get_args(PresenceRequest))
