"""What is charged for what a client asks, what is refused for its limits, and what is told in the end."""

from typing import Any

import msgspec
import pytest

from gateway.client.actions import AskPresence, AskRouter, RoomListing
from gateway.client.session import Session
from gateway.limits import prices
from gateway.limits.rate import rate
from gateway.limits.rates import NO_LIMITS
from tests.unit.gateway.client.alice import NOW, ROOM, alice, room_ask, said, signal_ask
from tests.unit.wire.samples import frame, ping_message, room_message, signal_message
from tieline.wire.ids import UserId
from tieline.wire.internal.answers import Done, Refused, SessionGone
from tieline.wire.internal.directions import RouterReply
from tieline.wire.internal.rooms import RoomMembers
from tieline.wire.internal.signals import Accepted
from tieline.wire.replies import Member, RosterPage

AT = 100.0
OFFER, ANSWER, HANGUP, CANDIDATE = (
    f"WEBRTC_{kind}" for kind in ("OFFER", "ANSWER", "HANGUP", "ICE_CANDIDATE")
)
MEMBERS = RoomMembers(tuple(Member(UserId(f"user{number}"), "online", True, 1) for number in range(10)))
PAGE = RoomListing(RosterPage(ROOM, msgspec.Raw(b"[]")), 1, listed=4, members=10)
LIMITED = NO_LIMITS._replace(units=rate(10, 1000))


def spent(person: Session, at: float = AT) -> float:
    """What has been charged."""
    return person.budget.usage.last_minute(at).units


def says(person: Session, message: dict[str, Any], at: float = AT) -> object:
    """Let her say something."""
    return person.receive(frame(message), NOW, at)


@pytest.mark.parametrize(
    ("cmd", "price"),
    [(CANDIDATE, 0), (OFFER, prices.OFFER), (ANSWER, prices.ANSWER), (HANGUP, prices.HANGUP)],
)
def test_a_signal_is_charged_what_it_costs_beside_its_frame(cmd: str, price: float) -> None:
    person = alice()
    says(person, signal_message(cmd))
    assert spent(person) == price
    used = person.budget.usage.last_minute(AT)
    assert (used.messages, used.size) == (1, len(frame(signal_message(cmd))))


def test_an_answer_that_comes_again_costs_what_it_brings_along() -> None:
    person = alice()
    for _ in range(2):
        says(person, signal_message(ANSWER))
    assert spent(person) == prices.ANSWER + prices.ANSWER_AGAIN


@pytest.mark.parametrize(
    ("reply", "price"),
    [
        (Accepted("relayed"), 0),
        (Accepted("held"), prices.HELD),
        (Refused("TARGET_OFFLINE"), prices.REFUSED),
        (SessionGone(replaced=True), 0),
        (None, 0),
    ],
)
def test_what_comes_of_a_signal_is_charged_too(reply: RouterReply | None, price: float) -> None:
    person = alice()
    person.router_answered(signal_ask(person, CANDIDATE), reply)
    assert spent(person, 0.0) == price


def test_an_offer_that_is_kept_is_charged_more() -> None:
    person = alice()
    person.router_answered(signal_ask(person, OFFER), Accepted("held"))
    assert spent(person, 0.0) == prices.OFFER + prices.KEPT


def test_a_join_is_charged_by_the_members_who_are_told() -> None:
    person = alice()
    person.presence_answered(room_ask(person), MEMBERS)
    assert spent(person, 0.0) == prices.JOIN + 10 * prices.JOIN_MEMBER


def test_a_join_is_charged_by_all_members_though_a_page_is_listed() -> None:
    person = alice()
    person.presence_answered(room_ask(person), PAGE)
    assert spent(person, 0.0) == prices.JOIN + 10 * prices.JOIN_MEMBER


def test_a_page_of_members_is_charged_by_its_length() -> None:
    person = alice()
    person.rooms[ROOM] = 1
    for cmd in ("MEMBERS", "JOIN"):
        person.presence_answered(room_ask(person, cmd), PAGE)
    assert spent(person, 0.0) == pytest.approx(2 * (prices.LIST + 4 * prices.LIST_MEMBER))


def test_a_page_without_oneself_is_charged_too() -> None:
    person = alice()
    person.rooms[ROOM] = 1
    person.presence_answered(room_ask(person, "MEMBERS"), PAGE._replace(joined_at=None))
    assert spent(person, 0.0) == pytest.approx(prices.LIST + 4 * prices.LIST_MEMBER)
    assert person.rooms == {ROOM: 1}


def test_a_list_of_members_is_charged_by_its_length() -> None:
    person = alice()
    person.rooms[ROOM] = 1
    for cmd in ("MEMBERS", "JOIN"):
        person.presence_answered(room_ask(person, cmd), MEMBERS)
    assert spent(person, 0.0) == pytest.approx(2 * (prices.LIST + 10 * prices.LIST_MEMBER))


def test_a_refused_join_is_charged_as_well() -> None:
    person = alice()
    person.presence_answered(room_ask(person), Refused("ROOM_FULL"))
    assert spent(person, 0.0) == prices.JOIN + prices.REFUSED


def test_leaving_and_refreshing_are_charged() -> None:
    person = alice()
    person.presence_answered(room_ask(person, "LEAVE"), Done())
    assert spent(person, 0.0) == prices.LEAVE
    says(person, room_message("REFRESH_TOKEN") | {"data": {"token": "bad"}}, 0.0)
    assert spent(person, 0.0) == prices.LEAVE + prices.REFRESH


def test_what_is_answered_at_once_costs_its_frame_alone() -> None:
    person = alice()
    says(person, ping_message())
    says(person, signal_message() | {"data": None})
    assert spent(person) == 0


def refusals(person: Session, message: dict[str, Any], times: int) -> list[str]:
    """Let her say something several times; returns the reasons, or "asked"."""
    answers = [says(person, message) for _ in range(times)]
    return [
        "asked" if isinstance(answer, AskRouter | AskPresence) else said(answer)["reason"]
        for answer in answers
    ]


def test_offers_over_the_limit_are_refused() -> None:
    person = alice(rates=NO_LIMITS._replace(offers=rate(1, 2)))
    assert refusals(person, signal_message(OFFER), 3) == ["asked", "asked", "RATE_LIMITED"]
    assert refusals(person, signal_message(CANDIDATE), 1) == ["asked"]


def test_newer_tokens_over_the_limit_are_not_looked_at() -> None:
    person = alice(rates=NO_LIMITS._replace(refreshes=rate(1, 2)))
    message = room_message("REFRESH_TOKEN") | {"data": {"token": "bad"}}
    assert refusals(person, message, 3) == ["BAD_TOKEN", "BAD_TOKEN", "RATE_LIMITED"]


def test_a_room_too_many_is_not_joined() -> None:
    person = alice(rates=NO_LIMITS._replace(rooms=1))
    person.rooms[ROOM] = 1
    other = room_message() | {"data": {"room": "another"}}
    assert refusals(person, other, 1) == ["TOO_MANY_ROOMS"]
    assert refusals(person, room_message(), 1) == ["asked"]


def test_what_is_over_the_limit_is_refused_by_its_names() -> None:
    person = alice()
    for message, cmd in (
        (signal_message(), "WEBRTC_OFFER"),
        (room_message(), "JOIN"),
        (ping_message(), "PING"),
    ):
        refused = said(person.over_limit(frame(message)))
        assert (refused["requestId"], refused["cmd"]) == ("r-1", cmd)
        assert (refused["code"], refused["msg"], refused["reason"]) == (1000, "请求过于频繁", "RATE_LIMITED")
    assert said(person.over_limit(frame(ping_message() | {"cmd": "DANCE"})))["cmd"] == "DANCE"
    assert said(person.over_limit(b"rubbish"))["requestId"] == ""


def test_what_a_connection_used_up_is_told_with_its_end() -> None:
    person = alice(rates=LIMITED)
    for _ in range(4):
        says(person, signal_message(OFFER))
    ending = person.ending(1006, AT + 2.0)
    assert (ending.spent_s, ending.owed_s) == (4 * prices.OFFER / 10, 4 * prices.OFFER / 10 - 2)
    assert person.ending(1006, AT).spent_s == 0


def test_what_is_hardly_anything_is_not_told() -> None:
    person = alice(rates=LIMITED)
    says(person, signal_message(ANSWER))
    assert person.ending(1006, AT).spent_s == 0
