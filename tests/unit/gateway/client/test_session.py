"""What a client's frame means to the gateway, and what the cluster's answer means to the client."""

from typing import Literal

import msgspec
import pytest

from gateway.client.actions import AskPresence, AskRouter, HangUp, RoomListing, Say
from gateway.client.broker_time import BrokerTime
from gateway.client.pages import Page, Standing
from gateway.client.session import UNKNOWN
from tests.unit.gateway.client.alice import (
    ALICE,
    BOB,
    CONNECTION,
    NOW,
    PLAIN,
    ROOM,
    SESSION,
    alice,
    room_ask,
    said,
    signal_ask,
)
from tests.unit.wire.samples import SIGNALS, frame, ping_message, room_message, signal_message
from tieline.wire.codes import CloseCode, ErrorCode
from tieline.wire.ids import CallId, UserId
from tieline.wire.internal.answers import Done, Refused, SessionGone
from tieline.wire.internal.rooms import JoinRoom, LeaveRoom, ListMembers, RoomMembers
from tieline.wire.internal.sessions import LeaseKept
from tieline.wire.internal.signals import Accepted, Signal
from tieline.wire.replies import Member, RosterPage

# What a client says.


@pytest.mark.parametrize("cmd", SIGNALS)
@pytest.mark.parametrize("acks", [True, False])
def test_a_signal_goes_to_a_router_as_it_came(cmd: str, acks: bool) -> None:
    sent = frame(signal_message(cmd))

    assert alice(acks=acks).receive(sent, NOW) == AskRouter(
        "r-1", cmd, Signal(ALICE, SESSION, BOB, sent, stored=acks, connection=CONNECTION)
    )


def test_a_signal_says_when_it_came_by_the_brokers_clock() -> None:
    time = BrokerTime()
    time.note(1_700_000_000.0, at=10.0)
    session = alice(terms=PLAIN._replace(broker_time=time))

    ask = session.receive(frame(signal_message()), NOW, at=12.5)

    assert isinstance(ask, AskRouter)
    assert ask.signal.at == 1_700_000_002_500


@pytest.mark.parametrize("cmd", SIGNALS)
def test_a_signal_in_somebody_else_s_name_is_refused(cmd: str) -> None:
    message = signal_message(cmd)
    message["data"]["from"] = "carol"

    answer = alice().receive(frame(message), NOW)

    assert said(answer) | {"msg": ""} == {
        "requestId": "r-1",
        "module": "ROOM",
        "cmd": cmd,
        "code": 1000,
        "msg": "",
        "data": None,
        "reason": "SENDER_MISMATCH",
    }


def test_a_signal_to_oneself_is_malformed() -> None:
    message = signal_message()
    message["data"]["to"] = "alice"

    assert said(alice().receive(frame(message), NOW))["reason"] == "BAD_MESSAGE"


def test_a_signal_of_somebody_else_to_himself_is_a_mismatch_first() -> None:
    message = signal_message()
    message["data"] |= {"from": "bob", "to": "bob"}

    assert said(alice().receive(frame(message), NOW))["reason"] == "SENDER_MISMATCH"


def test_a_ping_is_answered_with_its_own_data() -> None:
    answer = alice().receive(frame(ping_message() | {"data": {"用": [1, None]}}), NOW)

    assert said(answer) == {
        "requestId": "r-1",
        "module": "ROOM",
        "cmd": "PONG",
        "code": 200,
        "msg": "success",
        "data": {"用": [1, None]},
    }
    assert isinstance(answer, Say)
    assert (answer.cmd, answer.outcome) == ("PING", "ok")


@pytest.mark.parametrize(
    ("cmd", "request_"),
    [
        ("JOIN", JoinRoom(ALICE, SESSION, ROOM, knows_too_many_rooms=True)),
        ("LEAVE", LeaveRoom(ALICE, SESSION, ROOM)),
        ("MEMBERS", ListMembers(ALICE, SESSION, ROOM, connection=CONNECTION)),
    ],
)
def test_a_room_command_goes_to_presence(cmd: str, request_: JoinRoom | LeaveRoom | ListMembers) -> None:
    assert alice().receive(frame(room_message(cmd)), NOW) == AskPresence("r-1", cmd, ROOM, request_)


def test_a_room_not_granted_can_be_left_and_listed_but_not_joined() -> None:
    session = alice(rooms=("hall",), join=("cellar",))

    refused = said(session.receive(frame(room_message("JOIN")), NOW))

    assert (refused["cmd"], refused["reason"]) == ("JOIN", "ROOM_FORBIDDEN")
    for cmd in ("LEAVE", "MEMBERS"):
        assert isinstance(session.receive(frame(room_message(cmd)), NOW), AskPresence)


@pytest.mark.parametrize("room", ["hall", "cellar"])
def test_a_room_named_in_either_claim_may_be_joined(room: str) -> None:
    message = room_message("JOIN") | {"data": {"room": room}}

    assert isinstance(alice(rooms=("hall",), join=("cellar",)).receive(frame(message), NOW), AskPresence)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"", ("", "", "BAD_MESSAGE")),
        (b'{"requestId":"r-1"', ("", "", "BAD_MESSAGE")),
        (frame(signal_message() | {"data": None}), ("r-1", "WEBRTC_OFFER", "BAD_MESSAGE")),
        (frame(signal_message() | {"cmd": "DANCE"}), ("r-1", "DANCE", "UNKNOWN_COMMAND")),
    ],
)
def test_what_is_no_message_is_refused_with_what_could_be_read_of_it(
    sent: bytes, expected: tuple[str, str, str]
) -> None:
    refused = said(alice().receive(sent, NOW))

    assert (refused["requestId"], refused["cmd"], refused["reason"]) == expected


def test_a_command_that_a_client_made_up_is_no_label_of_a_metric() -> None:
    answer = alice().receive(frame(signal_message() | {"cmd": "DANCE"}), NOW)

    assert isinstance(answer, Say)
    assert (answer.cmd, answer.outcome) == (UNKNOWN, "UNKNOWN_COMMAND")


# What the cluster answers.


def test_the_calls_that_a_client_has_ended_are_told() -> None:
    session, ended = alice(), list[str]()
    session.on_hung_up(CallId("of nobody"))
    session.on_hung_up = ended.append
    accepted = Accepted("relayed", call=CallId("c-1"))
    session.router_answered(signal_ask(session), accepted)
    session.router_answered(signal_ask(session, "WEBRTC_HANGUP"), Accepted("relayed"))
    session.router_answered(
        signal_ask(session, "WEBRTC_HANGUP"), Refused("NO_MATCHING_OFFER", call=CallId("c-2"))
    )
    assert ended == []

    session.router_answered(signal_ask(session, "WEBRTC_HANGUP"), accepted)
    assert ended == ["c-1"]


@pytest.mark.parametrize("ack", ["relayed", "held"])
def test_a_signal_that_is_safe_is_acknowledged_to_clients_with_acks(
    ack: Literal["relayed", "held"],
) -> None:
    eager, quiet = alice(acks=True), alice()

    answer = eager.router_answered(signal_ask(eager), Accepted(ack))

    assert said(answer) == {
        "requestId": "r-1",
        "module": "ROOM",
        "cmd": "WEBRTC_OFFER",
        "code": 200,
        "msg": "success",
        "data": None,
        "ack": ack,
    }
    assert quiet.router_answered(signal_ask(quiet), Accepted(ack)) == Say(b"", "r-1", "WEBRTC_OFFER", ack)


@pytest.mark.parametrize("refusal", ErrorCode)
def test_a_refusal_reaches_the_client_in_the_protocol_s_words(refusal: ErrorCode) -> None:
    session = alice()

    for answer in (
        session.router_answered(signal_ask(session), Refused(refusal.name)),
        session.presence_answered(room_ask(session), Refused(refusal.name)),
    ):
        error = said(answer)
        assert (error["code"], error["msg"], error["reason"]) == (refusal.code, refusal.msg, refusal.reason)
        assert (error["requestId"], error["data"]) == ("r-1", None)


def test_no_answer_is_an_internal_error() -> None:
    session = alice()

    assert said(session.router_answered(signal_ask(session), None))["reason"] == "INTERNAL"
    assert said(session.presence_answered(room_ask(session, "MEMBERS"), None))["code"] == 500


@pytest.mark.parametrize(("replaced", "code"), [(True, CloseCode.REPLACED), (False, CloseCode.BROKER_LOST)])
def test_a_session_that_is_gone_closes_for_good_only_if_replaced(replaced: bool, code: CloseCode) -> None:
    session = alice()

    assert session.router_answered(signal_ask(session), SessionGone(replaced)) == HangUp(code)
    assert session.presence_answered(room_ask(session), SessionGone(replaced)) == HangUp(code)


@pytest.mark.parametrize("cmd", ["JOIN", "MEMBERS"])
def test_a_roster_is_sent_as_presence_says_it(cmd: str) -> None:
    session = alice()
    members = (Member(BOB, "away", False, 3), Member(ALICE, "online", True, 7))

    answer = session.presence_answered(room_ask(session, cmd), RoomMembers(members))

    assert said(answer)["data"] == {
        "room": "room-1",
        "members": [
            {"userId": "bob", "status": "away", "voice": False, "joinedAt": 3},
            {"userId": "alice", "status": "online", "voice": True, "joinedAt": 7},
        ],
    }
    assert said(answer)["cmd"] == cmd


def test_leaving_is_confirmed_with_the_room() -> None:
    session = alice()

    assert said(session.presence_answered(room_ask(session, "LEAVE"), Done()))["data"] == {"room": "room-1"}


def test_an_answer_to_another_question_is_a_bug_of_ours() -> None:
    session = alice()

    with pytest.raises(TypeError, match="LeaseKept"):
        session.presence_answered(room_ask(session), LeaseKept("run"))


def test_the_session_knows_its_rooms_and_since_when() -> None:
    session = alice()
    mine, bobs = Member(ALICE, "online", True, 7), Member(BOB, "online", True, 3)

    session.presence_answered(room_ask(session), RoomMembers((bobs, mine)))
    assert session.rooms == {ROOM: 7}
    session.presence_answered(room_ask(session, "MEMBERS"), RoomMembers((bobs,)))
    assert session.rooms == {ROOM: 7}
    for _ in range(2):
        session.presence_answered(room_ask(session, "LEAVE"), Done())
        assert session.rooms == {}


def members_message(**data: object) -> dict[str, object]:
    """What a client says who asks for a part of the members."""
    message = room_message("MEMBERS")
    message["data"] |= data
    return message


@pytest.mark.parametrize(
    ("data", "batches", "page"),
    [
        ({}, False, None),
        ({}, True, Page()),
        ({"limit": 7}, False, Page(limit=7)),
        ({"after": "5.bob"}, False, Page(Standing(5, UserId("bob")))),
        ({"after": "5.bob", "limit": 7}, True, Page(Standing(5, UserId("bob")), 7)),
    ],
)
def test_a_part_of_the_members_may_be_asked_for(
    data: dict[str, object], batches: bool, page: Page | None
) -> None:
    session = alice()
    session.batches = batches

    asked = session.receive(frame(members_message(**data)), NOW)

    assert isinstance(asked, AskPresence)
    assert asked.page == page


def test_a_page_that_begins_nowhere_is_refused() -> None:
    told = said(alice().receive(frame(members_message(after="nowhere")), NOW))

    assert (told["reason"], told["argument"]) == ("BAD_MESSAGE", "after")


def test_a_page_of_too_many_is_refused_by_its_name() -> None:
    told = said(alice().receive(frame(members_message(limit=1_001)), NOW))

    assert (told["reason"], told["argument"]) == ("BAD_MESSAGE", "limit")


def test_a_refusal_for_something_else_names_no_argument() -> None:
    assert "argument" not in said(alice().receive(frame(members_message(limit=5) | {"module": 1}), NOW))
    assert "argument" not in said(alice().receive(frame(room_message("JOIN") | {"data": {}}), NOW))


@pytest.mark.parametrize("batches", [False, True])
def test_who_takes_batches_is_listed_a_page_at_joining(batches: bool) -> None:
    session = alice()
    session.batches = batches

    asked = session.receive(frame(room_message("JOIN")), NOW)

    assert isinstance(asked, AskPresence)
    assert asked.page == (Page() if batches else None)


def test_what_is_known_of_a_room_answers_and_says_when_one_joined() -> None:
    session = alice()
    page = RosterPage(ROOM, msgspec.Raw(b"[]"), 7, 0)

    answer = session.presence_answered(room_ask(session), RoomListing(page, 5, 0, 0))

    assert said(answer)["data"] == {"room": ROOM, "members": [], "number": 7, "count": 0}
    assert session.rooms == {ROOM: 5}


def test_a_list_without_oneself_says_nothing_of_joining() -> None:
    session = alice()

    page = RosterPage(ROOM, msgspec.Raw(b"[]"))
    session.presence_answered(room_ask(session), RoomListing(page, None, 0, 0))

    assert session.rooms == {}


def test_an_older_presence_s_list_is_counted_for_who_takes_batches() -> None:
    session = alice()
    session.batches = True

    assert said(session.presence_answered(room_ask(session), RoomMembers(())))["data"]["count"] == 0
