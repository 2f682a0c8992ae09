"""A client that talks: one message under way at a time, in order, and no more read than can be answered."""

import json
import logging
from typing import Literal, cast

import pytest

from gateway.client.actions import AskPresence, AskRouter
from gateway.client.inbound import MAX_UNREAD
from tests.unit.gateway.client.harness import connected, join, ping, session, signal, signals
from tests.unit.wire.samples import refresh_message
from tieline.wire.ids import CallId, SessionId, UserId
from tieline.wire.internal.answers import Refused
from tieline.wire.internal.rooms import RoomMembers
from tieline.wire.internal.sessions import Opened
from tieline.wire.internal.signals import Accepted
from tieline.wire.replies import Member


def test_the_log_says_why_a_newer_token_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    harness = connected()

    harness.send(json.dumps(refresh_message("no token")).encode())

    assert [message["reason"] for message in harness.messages()] == ["BAD_TOKEN"]
    (line,) = [record for record in caplog.records if record.message == "newer token refused"]
    assert (vars(line)["user"], vars(line)["why"]) == ("alice", "malformed")


# One after the other.


def test_a_signal_is_asked_about_as_it_came() -> None:
    harness, frame = connected(), signal("s-1")

    harness.send(frame)

    (ask,) = harness.host.under_way
    assert isinstance(ask, AskRouter)
    assert (ask.signal.user, ask.signal.to, ask.signal.frame) == ("alice", "bob", frame)
    assert harness.texts() == []


def test_a_message_is_acted_on_when_the_one_before_is_answered() -> None:
    harness = connected()

    harness.send(*signals(3))

    assert harness.host.asked == ["s-0"]
    harness.answer()
    assert harness.host.asked == ["s-0", "s-1"]
    harness.answer(None)
    assert harness.host.asked == ["s-0", "s-1", "s-2"]
    harness.answer()
    assert harness.host.under_way == []


def test_messages_that_arrive_one_by_one_wait_in_the_same_order() -> None:
    harness = connected()

    for frame in signals(4):
        harness.send(frame)
    for _ in range(4):
        harness.answer()

    assert harness.host.asked == ["s-0", "s-1", "s-2", "s-3"]


def test_what_could_be_answered_at_once_waits_for_its_turn_too() -> None:
    harness = connected(session(acks=True))

    harness.send(ping("p-1"), signal("s-1"), ping("p-2"), b"nonsense", signal("s-2"), ping("p-3"))

    assert harness.names() == ["p-1"]
    harness.answer()
    assert harness.names() == ["s-1", "p-2", ""]
    assert harness.host.asked == ["s-1", "s-2"]
    harness.answer()
    assert harness.names() == ["s-2", "p-3"]


def test_a_client_that_asked_for_acks_gets_them_and_another_does_not() -> None:
    with_acks, without = connected(session(acks=True)), connected()

    for harness in (with_acks, without):
        harness.send(signal("s-1"))
        harness.answer(Accepted("held"))

    (ack,) = with_acks.messages()
    assert (ack["requestId"], ack["cmd"], ack["ack"]) == ("s-1", "WEBRTC_ICE_CANDIDATE", "held")
    assert without.texts() == []


def test_a_refusal_and_no_answer_are_errors_and_close_nothing() -> None:
    harness = connected()

    harness.send(*signals(2))
    harness.answer(Refused("TARGET_OFFLINE"))
    harness.answer(None)

    assert [(error["requestId"], error["reason"]) for error in harness.messages()] == [
        ("s-0", "TARGET_OFFLINE"),
        ("s-1", "INTERNAL"),
    ]
    assert harness.close_code is None


def test_a_room_command_is_asked_of_presence_and_answered() -> None:
    harness = connected()

    harness.send(join("j-1"), ping("p-1"))

    (ask,) = harness.host.under_way
    assert isinstance(ask, AskPresence)
    harness.answer_room(RoomMembers((Member(UserId("alice"), "online", True, 7),)))
    joined, pong = harness.messages()
    assert joined["data"]["room"] == "room-1"
    assert pong["cmd"] == "PONG"


# What follows a message whose outcome is unknown.


def test_what_was_sent_behind_an_unanswered_message_fails_too() -> None:
    harness = connected(session(acks=True))
    first, *others = signals(4)
    harness.send(first, *others, signal("elsewhere", to="carol"))

    harness.answer(None)

    assert harness.host.asked == ["s-0", "elsewhere"]
    assert [(error["requestId"], error["reason"]) for error in harness.messages()] == [
        ("s-0", "INTERNAL"),
        ("s-1", "INTERNAL"),
        ("s-2", "INTERNAL"),
        ("s-3", "INTERNAL"),
    ]
    harness.answer()
    assert harness.names() == ["elsewhere"]


@pytest.mark.parametrize("failure", [None, Refused("INTERNAL")])
def test_repeated_in_order_everything_comes_in_order(failure: Refused | None) -> None:
    harness = connected(session(acks=True))
    first, *others = signals(4)
    harness.send(first, *others)
    harness.answer(failure)

    harness.send(first, *others, signal("new"))
    for _ in range(5):
        harness.answer()

    assert harness.host.asked == ["s-0", "s-0", "s-1", "s-2", "s-3", "new"]


def test_a_client_that_has_read_the_failure_may_leave_it_at_that() -> None:
    harness = connected(session(acks=True))
    harness.send(*signals(1))
    harness.answer(None)
    harness.look()
    assert len(harness.pings) == 1

    harness.flush()  # its socket answers the ping
    harness.send(signal("too soon"))
    harness.clock.advance(1)
    harness.send(signal("without it"))

    assert harness.host.asked == ["s-0", "without it"]
    assert harness.names() == ["s-0", "too soon"]


@pytest.mark.parametrize(("acks", "answer"), [(False, None), (True, Refused("TARGET_OFFLINE"))])
def test_others_and_other_refusals_interrupt_nothing(acks: bool, answer: Refused | None) -> None:
    harness = connected(session(acks=acks))
    harness.send(*signals(2))

    harness.answer(answer)

    assert harness.host.asked == ["s-0", "s-1"]
    harness.look()
    assert harness.pings == []


# Back-pressure.


def test_a_client_that_says_more_than_may_wait_is_not_read() -> None:
    harness = connected()

    harness.send(*signals(1 + MAX_UNREAD))
    assert harness.socket.is_read
    harness.send(signal("one too many"))

    assert not harness.socket.is_read
    for _ in range(1 + MAX_UNREAD):
        harness.answer()
        assert not harness.socket.is_read
    harness.answer()
    assert harness.socket.is_read
    assert len(harness.host.asked) == MAX_UNREAD + 2


def test_what_comes_at_once_is_kept_however_much_it_is() -> None:
    harness = connected()

    harness.send(*signals(10 * MAX_UNREAD))
    for _ in range(10 * MAX_UNREAD):
        harness.answer()

    assert harness.host.asked == [f"s-{number}" for number in range(10 * MAX_UNREAD)]
    assert harness.socket.is_read


def test_what_is_answered_at_once_never_stops_the_reading() -> None:
    harness = connected()

    harness.send(*(ping(f"p-{number}") for number in range(10 * MAX_UNREAD)))

    assert harness.socket.is_read
    assert len(harness.texts()) == 10 * MAX_UNREAD


# Words about it.


def test_a_signal_is_logged_by_its_envelope_never_by_its_content(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, logger="gateway.client.inbound")
    harness, frame = connected(), signal("s-1", size=20)

    harness.send(frame)
    harness.clock.advance(0.25)
    harness.answer(Accepted("relayed", 0, CallId("0123")))

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
    assert said["call"] == "0123"
    assert "x" * 20 not in str(said)


# Bugs.

ODD = cast("Literal['relayed']", object())
"""What no encoder knows."""


def test_a_signal_s_answer_that_meets_a_bug_closes(caplog: pytest.LogCaptureFixture) -> None:
    harness = connected(session(acks=True))
    harness.send(*signals(3))
    harness.answer(Accepted(ODD))
    harness.look()
    assert harness.close_code == 1011
    assert harness.host.under_way == []
    assert [record.message for record in caplog.records] == ["answer not told: a bug"]


def test_an_answer_of_presence_that_meets_a_bug_closes(caplog: pytest.LogCaptureFixture) -> None:
    harness = connected()
    harness.send(join("j-1"), *signals(2))
    harness.answer_room(Opened(SessionId("s"), resumed=False, rooms={}))
    harness.look()
    assert harness.close_code == 1011
    assert harness.host.under_way == []
    assert [record.message for record in caplog.records] == ["answer not told: a bug"]
