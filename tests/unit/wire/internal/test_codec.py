"""What is written is read, and nothing else is."""

import msgspec
import pytest

from tests.unit.wire.internal.messages import (
    CHANGE,
    CLOSING,
    PRESENCE_REPLIES,
    REQUESTS,
    ROUTER_REPLIES,
    SESSION,
    SEVERAL,
    SIGNALS,
)
from tests.unit.wire.samples import HOSTILE_IDS
from tieline.wire.ids import RoomId, UserId, is_valid_id
from tieline.wire.internal.codec import (
    decode_answers,
    decode_close_session,
    decode_presence_reply,
    decode_presence_request,
    decode_room_change,
    decode_signals,
    encode,
    is_meant,
    is_opened,
    read_answer,
)
from tieline.wire.internal.directions import ANSWERS, PresenceReply, PresenceRequest
from tieline.wire.internal.rooms import JoinRoom
from tieline.wire.internal.sessions import Opened
from tieline.wire.internal.signals import MAX_SERIES, Accepted


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


@pytest.mark.parametrize("count", [MAX_SERIES - 1, MAX_SERIES])
def test_no_more_go_together_than_any_gateway_sends(count: int) -> None:
    signal = msgspec.structs.replace(SIGNALS[0], then=(b"frame",) * count)
    check = msgspec.structs.replace(REQUESTS[0], then=(b"frame",) * count)

    assert is_meant(signal) == (count < MAX_SERIES)
    if count < MAX_SERIES:
        assert decode_presence_request(encode(check)) == check
    else:
        with pytest.raises(msgspec.ValidationError):
            decode_presence_request(encode(check))


def test_the_answers_to_a_series_arrive_as_they_left() -> None:
    assert decode_answers(encode([(3, SEVERAL)])) == [(3, SEVERAL)]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: type(request).__name__)
def test_an_answer_of_another_kind_than_was_asked_for_is_none(request_: PresenceRequest) -> None:
    for reply in PRESENCE_REPLIES:
        if isinstance(reply, ANSWERS[type(request_)]):
            assert read_answer(request_, encode(reply)) == reply
        else:
            with pytest.raises(msgspec.ValidationError, match="no answer to"):
                read_answer(request_, encode(reply))
