"""A client that says and hears which call a message is about (`calls=1`), and one that does not."""

import json
from typing import Any, Final

import pytest

from gateway.client.actions import AskRouter, Say
from gateway.client.events import welcome
from gateway.client.session import Session
from tests.unit.gateway.client.alice import NOW, SECRET, alice, room_ask, said, signal_ask
from tests.unit.wire.samples import SIGNALS, frame, signal_message
from tieline.wire.ids import CallId, GatewayId, ResumeToken, SessionId
from tieline.wire.internal.answers import Refused
from tieline.wire.internal.sessions import Opened
from tieline.wire.internal.signals import Accepted

CALL, NEXT = CallId("0123456789abcdef"), CallId("00112233445566ff")

ODD: Final = (7, "", "x" * 129, "\n", ["0123"], {"call": "0123"}, "\ud800")

every_signal = pytest.mark.parametrize("cmd", SIGNALS)


def naming(cmd: str, call: object, data: object = None) -> bytes:
    """A message of hers that says which call it is about."""
    message = signal_message(cmd)
    message["data"] |= {"call": call} | ({} if data is None else {"data": data})
    return json.dumps(message).encode()  # lone surrogates as escapes


def asked(session: Session, sent: bytes) -> AskRouter:
    """Find that a router is asked to carry a message, as it came."""
    ask = session.receive(sent, NOW)
    assert isinstance(ask, AskRouter), ask
    assert ask.signal.frame == sent
    return ask


@every_signal
def test_a_router_is_told_which_call_a_message_is_about(cmd: str) -> None:
    assert asked(alice(calls=True), naming(cmd, CALL)).signal.call == CALL
    assert asked(alice(calls=True), naming(cmd, "\u7528 1")).signal.call == "\u7528 1"


@every_signal
def test_a_lone_surrogate_elsewhere_hides_no_name(cmd: str) -> None:
    assert asked(alice(calls=True), naming(cmd, CALL, data="\ud800")).signal.call == CALL


@every_signal
@pytest.mark.parametrize("call", [None, "absent"])
def test_a_message_need_not_say_which_call_it_is_about(cmd: str, call: str | None) -> None:
    sent = frame(signal_message(cmd)) if call else naming(cmd, None)
    assert asked(alice(calls=True), sent).signal.call == ""


@every_signal
@pytest.mark.parametrize("call", ODD, ids=ascii)
def test_what_is_no_name_is_malformed(cmd: str, call: object) -> None:
    assert said(alice(calls=True).receive(naming(cmd, call), NOW))["reason"] == "BAD_MESSAGE"


@every_signal
@pytest.mark.parametrize("call", [*ODD, CALL, None], ids=ascii)
def test_a_client_of_version_one_may_mean_anything_by_it(cmd: str, call: object) -> None:
    assert asked(alice(), naming(cmd, call)).signal.call == ""


def answered(session: Session, reply: Accepted | Refused, sent: bytes | None = None) -> dict[str, Any]:
    """What she is told of a message that a router has answered so, beside what stands in every answer."""
    ask = signal_ask(session) if sent is None else asked(session, sent)
    answer = said(session.router_answered(ask, reply))
    return {
        name: answer[name] for name in answer.keys() - {"requestId", "module", "cmd", "code", "msg", "data"}
    }


def test_an_ack_names_the_call() -> None:
    assert answered(alice(acks=True, calls=True), Accepted("relayed", 0, CALL)) == {
        "ack": "relayed",
        "call": CALL,
    }
    assert answered(alice(acks=True, calls=True), Accepted("held")) == {"ack": "held"}


@pytest.mark.parametrize("tells", [True, False])
def test_the_ack_of_an_offer_says_how_it_is_with_its_target(tells: bool) -> None:
    said = Accepted("relayed", 0, CALL, "away", tells=tells)
    told = {"ack": "relayed", "call": CALL, "status": "away", "tells": tells}
    assert answered(alice(acks=True, calls=True), said) == told
    assert answered(alice(acks=True), said) == {"ack": "relayed"}


def test_the_ack_of_an_offer_that_is_kept_says_for_how_long() -> None:
    said = Accepted("held", 0, CALL, "away", tells=True, kept_s=45.5)
    told = {"ack": "held", "call": CALL, "status": "away", "tells": True, "keptFor": 45.5}
    assert answered(alice(acks=True, calls=True), said) == told
    assert answered(alice(acks=True), said) == {"ack": "held"}


def test_a_status_of_a_newer_presence_is_not_passed_on() -> None:
    told = answered(alice(acks=True, calls=True), Accepted("relayed", 0, CALL, "asleep", tells=True))
    assert told == {"ack": "relayed", "call": CALL}


@pytest.mark.parametrize("calls", [True, False])
def test_presence_hears_whose_client_takes_words_of_a_call(calls: bool) -> None:
    session = alice(calls=calls)
    assert session.opening(GatewayId("g"), None).tells is calls
    assert session.registration(GatewayId("g")).tells is calls


def test_a_refusal_says_what_became_of_the_call() -> None:
    late = Refused("NO_MATCHING_OFFER", "replaced", NEXT)
    assert answered(alice(calls=True), late) == {
        "reason": "NO_MATCHING_OFFER",
        "fate": "replaced",
        "call": NEXT,
    }
    assert answered(alice(calls=True), Refused("NO_VOICE_PERMISSION", "", CALL)) == {
        "reason": "NO_VOICE_PERMISSION",
        "call": CALL,
    }
    assert answered(alice(calls=True), Refused("TARGET_OFFLINE")) == {"reason": "TARGET_OFFLINE"}


def test_to_version_one_acks_and_refusals_are_what_they_were() -> None:
    session = alice(acks=True)
    assert answered(session, Accepted("relayed", 0, CALL)) == {"ack": "relayed"}
    assert answered(session, Refused("NO_MATCHING_OFFER", "ended", NEXT)) == {"reason": "NO_MATCHING_OFFER"}


def test_a_refusal_about_a_room_is_about_no_call() -> None:
    session = alice(calls=True)
    assert "call" not in said(session.presence_answered(room_ask(session), Refused("ROOM_FULL")))


@pytest.mark.parametrize("calls", [True, False])
def test_what_is_logged_of_a_message_names_its_call(calls: bool) -> None:
    session = alice(calls=calls)
    replies: list[Accepted | Refused] = [
        Accepted("relayed", 0, CALL),
        Refused("NO_MATCHING_OFFER", "", CALL),
        Accepted("relayed"),
    ]
    answers = [session.router_answered(signal_ask(session), reply) for reply in replies]
    assert [answer.call for answer in answers if isinstance(answer, Say)] == [CALL, CALL, ""]
    late = session.router_answered(asked(session, naming("WEBRTC_ANSWER", CALL)), Refused("X", "ended", NEXT))
    assert isinstance(late, Say)
    assert late.call == (CALL if calls else NEXT)


@pytest.mark.parametrize(("waits_s", "told"), [(60.0, 60), (12.5, 12.5), (0.0, 60)])
def test_the_welcome_says_how_long_an_offer_waits(waits_s: float, told: float) -> None:
    session = alice(calls=True)
    session.opened(Opened(SessionId("s"), resumed=False, rooms={}, offer_timeout_s=waits_s), SECRET)
    assert json.loads(welcome(session, ResumeToken(""), resumed=False))["data"]["offerTimeout"] == told


def test_to_version_one_the_welcome_is_what_it_was() -> None:
    session = alice()
    session.opened(Opened(SessionId("s"), resumed=False, rooms={}, offer_timeout_s=60.0), SECRET)
    assert "offerTimeout" not in json.loads(welcome(session, ResumeToken(""), resumed=False))["data"]
