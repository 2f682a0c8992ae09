"""What others are sent, where, and under which name."""

import hashlib

import msgspec
import pytest

from presence.announce import Announcer
from presence.rules.effects import CloseConnection, HangUp
from presence.rules.user import Session
from tests.unit.presence.lifetime import Life, Recorder, Sent
from tests.unit.presence.presence_process import SUBJECTS
from tests.unit.presence.requests import NO_SECRET
from tests.unit.presence.rules.frames import NOW
from tieline.wire.codes import CloseCode
from tieline.wire.digests import message_id
from tieline.wire.events import Happened
from tieline.wire.ids import Address, CallId, ConnectionId, GatewayId, RoomId, SessionId, UserId
from tieline.wire.internal.codec import decode_close_session
from tieline.wire.internal.sessions import CloseSession

ALICE, BOB, HALL = UserId("alice"), UserId("bob"), RoomId("hall")
HIS = SessionId("bob-s1")


@pytest.fixture
def recorder() -> Recorder:
    """Where announcements go."""
    return Recorder(Life())


@pytest.fixture
def announcer(recorder: Recorder) -> Announcer:
    """What sends them."""
    return Announcer(recorder, SUBJECTS)


def read(frame: bytes) -> dict[str, object]:
    """Read an event."""
    message: dict[str, object] = msgspec.json.decode(frame)
    return message


def test_a_frame_goes_to_one_session_and_is_kept_once(announcer: Announcer, recorder: Recorder) -> None:
    announcer.deliver(Address(BOB, HIS), b"frame")
    assert recorder.sent == [Sent(SUBJECTS.user(BOB, HIS), b"frame", message_id(BOB, b"frame"))]


def test_the_end_of_a_call_is_stored_with_its_name(announcer: Announcer, recorder: Recorder) -> None:
    announcer.hangup(HangUp(BOB, HIS, ALICE, "timeout", "offer", CallId("0123")))
    (sent,) = recorder.sent
    assert sent.call == "0123"
    assert read(sent.payload)["data"] == {
        "from": "alice",
        "to": "bob",
        "data": {"reason": "timeout", "server": True},
    }


def test_what_a_peer_knows_does_not_say_what_the_end_is_called(
    announcer: Announcer, recorder: Recorder
) -> None:
    for session in (HIS, HIS, SessionId("bob-s2")):
        announcer.hangup(HangUp(BOB, session, ALICE, "timeout", "offer", CallId("0123")))
    first, again, other = (read(sent.payload)["requestId"] for sent in recorder.sent)
    assert first == again != other


def test_the_ends_of_two_calls_by_one_order_are_two(announcer: Announcer, recorder: Recorder) -> None:
    for call in ("0123", "4567"):
        announcer.hangup(HangUp(BOB, HIS, ALICE, "kicked", "ended 1", CallId(call)))
    first, second = recorder.sent
    assert first.message_id != second.message_id


def test_what_an_older_process_has_left_is_told_as_it_was(announcer: Announcer, recorder: Recorder) -> None:
    announcer.hangup(HangUp(BOB, HIS, ALICE, "timeout", "offer"))
    (sent,) = recorder.sent
    named_after = hashlib.blake2b(b"offer bob alice", digest_size=12).hexdigest()
    assert read(sent.payload)["requestId"] == f"hangup-{named_after}"


def test_routers_are_told_which_user_has_changed(announcer: Announcer, recorder: Recorder) -> None:
    announcer.changed(ALICE)
    assert recorder.sent == [Sent(SUBJECTS.changed(ALICE), b"", "")]


def test_a_gateway_is_told_which_connection_to_close(announcer: Announcer, recorder: Recorder) -> None:
    announcer.close(CloseConnection(BOB, HIS, GatewayId("g2"), ConnectionId("c"), CloseCode.REPLACED))
    (sent,) = recorder.sent
    assert sent.subject == SUBJECTS.gateway(GatewayId("g2"), "close")
    assert decode_close_session(sent.payload) == CloseSession(BOB, HIS, ConnectionId("c"), 4500)


def test_who_comes_and_goes_is_named_after_its_entry(announcer: Announcer) -> None:
    came = read(announcer.joined_frame(HALL, ALICE, 7))
    went = read(announcer.left_frame(HALL, ALICE, 7, "kicked"))
    assert (came["cmd"], came["requestId"]) == ("MEMBER_JOINED", "joined-7")
    assert came["data"] == {"room": "hall", "userId": "alice"}
    assert (went["cmd"], went["requestId"]) == ("MEMBER_LEFT", "left-7")
    assert went["data"] == {"room": "hall", "userId": "alice", "reason": "kicked"}


@pytest.mark.parametrize(("status", "told"), [("away", "away"), ("online", "online")])
def test_an_absence_is_named_after_the_session_and_its_count(
    announcer: Announcer, status: str, told: str
) -> None:
    session = Session(
        HIS,
        GatewayId("g"),
        ConnectionId("c"),
        NO_SECRET,
        "away" if status == "away" else "online",
        status_changes=3,
    )
    event = read(announcer.updated_frame(HALL, BOB, session))
    assert (event["cmd"], event["requestId"]) == ("MEMBER_UPDATED", "updated-bob-s1-3")
    assert event["data"] == {"room": "hall", "userId": "bob", "status": told}


def hangup(user: UserId = BOB, peer: UserId = ALICE, cause: str = "offer") -> HangUp:
    """An end that the server makes."""
    return HangUp(user, HIS, peer, "timeout", cause)


def test_an_end_by_the_server_names_the_peer(announcer: Announcer, recorder: Recorder) -> None:
    announcer.hangup(hangup())
    (sent,) = recorder.sent
    event = read(sent.payload)
    assert sent.subject == SUBJECTS.user(BOB, HIS)
    assert sent.message_id == message_id(BOB, sent.payload)
    assert event["cmd"] == "WEBRTC_HANGUP"
    assert event["data"] == {"from": "alice", "to": "bob", "data": {"reason": "timeout", "server": True}}


def test_an_end_is_the_same_frame_when_it_is_told_again(announcer: Announcer, recorder: Recorder) -> None:
    for effect in (hangup(), hangup()):
        announcer.hangup(effect)
    first, again = recorder.sent
    assert first == again


@pytest.mark.parametrize("other", [hangup(cause="another"), hangup(peer=UserId("carol")), hangup(ALICE, BOB)])
def test_another_end_is_another_frame(announcer: Announcer, recorder: Recorder, other: HangUp) -> None:
    for effect in (hangup(), other):
        announcer.hangup(effect)
    first, second = (read(sent.payload)["requestId"] for sent in recorder.sent)
    assert first != second


def test_backends_are_told_in_json(announcer: Announcer, recorder: Recorder) -> None:
    announcer.happened("ended", Happened(NOW, ALICE, BOB, reason="hangup"))
    (sent,) = recorder.sent
    assert sent.subject == SUBJECTS.event("ended")
    assert read(sent.payload) == {"at": NOW, "user": "alice", "peer": "bob", "reason": "hangup"}
    assert sent.message_id == ""
