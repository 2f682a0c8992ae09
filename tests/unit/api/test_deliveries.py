"""What a backend takes of what is told to it, and what it lets nobody make it take."""

import re
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from tieline.api import BadDelivery, Event, read_delivery
from tieline.api.bodies import EventData
from tieline.wire import cloud_events
from tieline.wire.cloud_events import Call, Member, of_call, of_member
from tieline.wire.ids import CallId, RoomId, UserId
from tieline.wire.signatures import headers_of

SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW: Final = 1_772_366_409.5
PAGE: Final = (Path(__file__).parents[3] / "docs/webhooks.md").read_text()

CALL = Call(UserId("alice"), UserId("bob"), CallId("0123456789abcdef"), by=UserId("bob"), reason="hangup")
MEMBER = Member(RoomId("room_1"), UserId("alice"))
ENDED = cloud_events.encode(of_call("tieline", "call.ended", "1", 1_772_366_409_250, CALL))
JOINED = cloud_events.encode(of_member("tieline", "member.joined", "2", 1_772_366_409_250, MEMBER))


def delivered(body: bytes, *secrets: str, at: float = NOW, **headers: str) -> list[Event]:
    """Read what a worker signs by these secrets at a time."""
    signed = headers_of(secrets or (SECRET,), "msg_1", int(at), body)
    told = {**signed, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return read_delivery(told, body, (SECRET,), NOW)


def test_what_a_worker_sends_is_read_in_its_order() -> None:
    body = cloud_events.batch_of([cloud_events.numbered(ENDED, 7), cloud_events.numbered(JOINED, 8)])
    ended, joined = delivered(body)
    assert (ended.kind, ended.subject) == ("call.ended", "call/0123456789abcdef")
    told = EventData(caller="alice", callee="bob", call="0123456789abcdef", by="bob", reason="hangup")
    assert ended.data == told
    assert (ended.id, ended.time) == ("1", "2026-03-01T12:00:09.250Z")
    assert ended.sequence == "00000000000000000007"
    assert (joined.kind, joined.subject) == ("member.joined", "room/room_1")
    assert joined.data == EventData(room="room_1", user="alice")


def test_the_example_of_the_page_is_read() -> None:
    (example,) = re.findall(r"^```json\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    (event,) = delivered(b"[%b]" % example.encode())
    assert (event.kind, event.data.duration_seconds) == ("call.ended", 7.25)


@pytest.mark.parametrize("kind", ["tieline.poll.closed", "tieline.call.parked", "com.example.other"])
def test_what_only_a_later_version_says_is_let_pass(kind: str) -> None:
    data = {"room": "room_1", "poll": {"votes": 3}}
    event = {"id": "1", "type": kind, "subject": "s", "time": "2026-03-01T12:00:09Z", "data": data, "v": 2}
    (read,) = delivered(msgspec.json.encode([event]))
    assert (read.type, read.data) == (kind, EventData(room="room_1"))


def test_either_of_two_secrets_is_good_while_they_change() -> None:
    body = cloud_events.batch_of([ENDED])
    for signing in (("old",), ("new",), ("old", "new")):
        headers = headers_of(signing, "msg_1", int(NOW), body)
        assert read_delivery(headers, body, ("new", "old", ""), NOW)


def test_the_names_of_headers_may_be_in_any_letters() -> None:
    body = cloud_events.batch_of([ENDED])
    headers = {name.title(): value for name, value in headers_of((SECRET,), "msg_1", int(NOW), body).items()}
    assert "Webhook-Id" in headers
    assert read_delivery(headers, body, (SECRET,), NOW)


def test_what_others_have_signed_is_refused() -> None:
    with pytest.raises(BadDelivery, match="another secret"):
        delivered(b"[]", "another secret")


def test_without_a_secret_nothing_is_taken() -> None:
    headers = headers_of(("",), "msg_1", int(NOW), b"[]")  # anybody can sign by none
    for secrets in ((), ("",)):
        with pytest.raises(BadDelivery, match="another secret"):
            read_delivery(headers, b"[]", secrets, NOW)


def test_a_secret_by_which_anybody_can_sign_counts_for_nothing() -> None:
    body = cloud_events.batch_of([ENDED])
    forged = headers_of(("whsec_",), "msg_1", int(NOW), body)
    with pytest.raises(BadDelivery, match="another secret"):
        read_delivery(forged, body, ("whsec_",), NOW)
    assert read_delivery(headers_of((SECRET,), "msg_1", int(NOW), body), body, ("whsec_", SECRET), NOW)


@pytest.mark.parametrize("secrets", ["secret", b"secret", [b"secret"], (None,)])
def test_one_secret_is_not_taken_letter_by_letter(secrets: Any) -> None:  # what types let pass, or not
    headers = headers_of(("s",), "msg_1", int(NOW), b"[]")
    with pytest.raises(TypeError, match=r"^secrets: a list of texts is wanted"):
        read_delivery(headers, b"[]", secrets, NOW)


def test_what_was_changed_on_the_way_is_refused() -> None:
    headers = headers_of((SECRET,), "msg_1", int(NOW), b"[]")
    with pytest.raises(BadDelivery, match="another secret"):
        read_delivery(headers, b"[ ]", (SECRET,), NOW)
    with pytest.raises(BadDelivery, match="another secret"):
        read_delivery({**headers, "webhook-id": "msg_2"}, b"[]", (SECRET,), NOW)
    with pytest.raises(BadDelivery, match="another secret"):
        read_delivery({**headers, "webhook-timestamp": str(int(NOW) - 1)}, b"[]", (SECRET,), NOW)


@pytest.mark.parametrize("at", [NOW - 302, NOW + 302])
def test_what_was_recorded_is_refused(at: float) -> None:
    with pytest.raises(BadDelivery, match="one clock"):
        delivered(b"[]", at=at)


@pytest.mark.parametrize("text", ["", "soon", "1e9", "nan", "9" * 400, "9" * 5000])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadDelivery, match="when it was sent"):
        delivered(b"[]", webhook_timestamp=text)


@pytest.mark.parametrize("text", ["", "v1,", "v1,é", "\ud800", "v2,AAAA v1,"])
def test_a_signature_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadDelivery, match="another secret"):
        delivered(b"[]", webhook_signature=text)


@pytest.mark.parametrize("name", ["é", "\ud800"])
def test_a_name_that_no_worker_gives_is_refused(name: str) -> None:
    with pytest.raises(BadDelivery, match="name"):
        delivered(b"[]", webhook_id=name)


def test_a_request_without_headers_is_refused() -> None:
    with pytest.raises(BadDelivery):
        read_delivery({}, b"[]", (SECRET,), NOW)


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b"\xff", b'[{"id":"1"}]', b"[" + JOINED + b",7]"])
def test_a_body_that_is_no_batch_is_refused(body: bytes) -> None:
    with pytest.raises(BadDelivery, match="no batch"):
        delivered(body)


def test_data_that_is_no_object_is_refused() -> None:
    event = {"id": "1", "type": "tieline.call.ended", "subject": "s", "time": "2026-03-01T12:00:09Z"}
    with pytest.raises(BadDelivery, match="no batch"):
        delivered(msgspec.json.encode([{**event, "data": [1]}]))
