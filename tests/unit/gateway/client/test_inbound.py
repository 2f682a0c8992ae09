"""A client that talks: one message under way at a time, in order, and no more read than can be answered."""

import logging

import pytest

from gateway.client.actions import AskPresence, AskRouter
from gateway.client.inbound import MAX_UNREAD
from tests.unit.gateway.client.stage import connected, join, ping, session, signal, signals
from tieline.wire.ids import UserId
from tieline.wire.internal import Accepted, Refused, RoomMembers
from tieline.wire.replies import Member

# One after the other.


def test_a_signal_is_asked_about_as_it_came() -> None:
    stage, frame = connected(), signal("s-1")

    stage.send(frame)

    (ask,) = stage.host.under_way
    assert isinstance(ask, AskRouter)
    assert (ask.signal.user, ask.signal.to, ask.signal.frame) == ("alice", "bob", frame)
    assert stage.texts() == []


def test_a_message_is_acted_on_when_the_one_before_is_answered() -> None:
    stage = connected()

    stage.send(*signals(3))

    assert stage.host.asked == ["s-0"]
    stage.answer()
    assert stage.host.asked == ["s-0", "s-1"]
    stage.answer(None)
    assert stage.host.asked == ["s-0", "s-1", "s-2"]
    stage.answer()
    assert stage.host.under_way == []


def test_messages_that_arrive_one_by_one_wait_in_the_same_order() -> None:
    stage = connected()

    for frame in signals(4):
        stage.send(frame)
    for _ in range(4):
        stage.answer()

    assert stage.host.asked == ["s-0", "s-1", "s-2", "s-3"]


def test_what_could_be_answered_at_once_waits_for_its_turn_too() -> None:
    stage = connected(session(acks=True))

    stage.send(ping("p-1"), signal("s-1"), ping("p-2"), b"nonsense", signal("s-2"), ping("p-3"))

    assert stage.names() == ["p-1"]
    stage.answer()
    assert stage.names() == ["s-1", "p-2", ""]
    assert stage.host.asked == ["s-1", "s-2"]
    stage.answer()
    assert stage.names() == ["s-2", "p-3"]


def test_a_client_that_asked_for_acks_gets_them_and_another_does_not() -> None:
    with_acks, without = connected(session(acks=True)), connected()

    for stage in (with_acks, without):
        stage.send(signal("s-1"))
        stage.answer(Accepted("held"))

    (ack,) = with_acks.messages()
    assert (ack["requestId"], ack["cmd"], ack["ack"]) == ("s-1", "WEBRTC_ICE_CANDIDATE", "held")
    assert without.texts() == []


def test_a_refusal_and_no_answer_are_errors_and_close_nothing() -> None:
    stage = connected()

    stage.send(*signals(2))
    stage.answer(Refused("TARGET_OFFLINE"))
    stage.answer(None)

    assert [(error["requestId"], error["reason"]) for error in stage.messages()] == [
        ("s-0", "TARGET_OFFLINE"),
        ("s-1", "INTERNAL"),
    ]
    assert stage.close_code is None


def test_a_room_command_is_asked_of_presence_and_answered() -> None:
    stage = connected()

    stage.send(join("j-1"), ping("p-1"))

    (ask,) = stage.host.under_way
    assert isinstance(ask, AskPresence)
    stage.answer_room(RoomMembers((Member(UserId("alice"), "online", True, 7),)))
    joined, pong = stage.messages()
    assert joined["data"]["room"] == "room-1"
    assert pong["cmd"] == "PONG"


# Back-pressure.


def test_a_client_that_says_more_than_may_wait_is_not_read() -> None:
    stage = connected()

    stage.send(*signals(1 + MAX_UNREAD))
    assert stage.socket.is_read
    stage.send(signal("one too many"))

    assert not stage.socket.is_read
    for _ in range(1 + MAX_UNREAD):
        stage.answer()
        assert not stage.socket.is_read
    stage.answer()
    assert stage.socket.is_read
    assert len(stage.host.asked) == MAX_UNREAD + 2


def test_what_comes_at_once_is_kept_however_much_it_is() -> None:
    stage = connected()

    stage.send(*signals(10 * MAX_UNREAD))
    for _ in range(10 * MAX_UNREAD):
        stage.answer()

    assert stage.host.asked == [f"s-{number}" for number in range(10 * MAX_UNREAD)]
    assert stage.socket.is_read


def test_what_is_answered_at_once_never_stops_the_reading() -> None:
    stage = connected()

    stage.send(*(ping(f"p-{number}") for number in range(10 * MAX_UNREAD)))

    assert stage.socket.is_read
    assert len(stage.texts()) == 10 * MAX_UNREAD


# Words about it.


def test_a_signal_is_logged_by_its_envelope_never_by_its_content(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, logger="gateway.client.inbound")
    stage, frame = connected(), signal("s-1", size=20)

    stage.send(frame)
    stage.clock.advance(0.25)
    stage.answer()

    (record,) = caplog.records
    said = vars(record)
    assert [said[field] for field in ("requestId", "cmd", "from", "to", "outcome", "ms", "bytes")] == [
        "s-1",
        "WEBRTC_ICE_CANDIDATE",
        "alice",
        "bob",
        "relayed",
        250,
        len(frame),
    ]
    assert "x" * 20 not in str(said)
