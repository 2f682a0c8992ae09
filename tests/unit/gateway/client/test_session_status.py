"""A client lets the members of its rooms see that it is in a call."""

import pytest

from gateway.client.actions import AskPresence
from tests.unit.gateway.client.alice import CONNECTION, GATEWAY, NOW, SECRET, SESSION, alice, said
from tests.unit.wire.samples import frame, status_message
from tieline.wire.codes import ErrorCode
from tieline.wire.internal.answers import Done
from tieline.wire.internal.sessions import Opened, Regrant


@pytest.mark.parametrize("in_call", [True, False])
def test_presence_is_asked_under_the_token_that_counts(in_call: bool) -> None:
    session = alice(rooms=("hall",), voice=False)
    ask = session.receive(frame(status_message() | {"data": {"inCall": in_call}}), NOW)
    assert isinstance(ask, AskPresence)
    assert isinstance(ask.request, Regrant)
    assert (ask.request.voice, ask.request.granted, ask.request.in_call) == (False, ("hall",), in_call)
    assert said(session.presence_answered(ask, Done()))["data"] == {"inCall": in_call}
    assert session.registration(GATEWAY).in_call is in_call


def test_without_an_answer_nothing_is_known() -> None:
    session = alice()
    ask = session.receive(frame(status_message()), NOW)
    assert isinstance(ask, AskPresence)
    assert said(session.presence_answered(ask, None))["reason"] == ErrorCode.INTERNAL.reason
    assert not session.registration(GATEWAY).in_call


def test_a_session_that_goes_on_here_is_seen_as_before() -> None:
    session = alice()
    session.opened(Opened(SESSION, True, {}, in_call=True), SECRET)
    assert session.registration(GATEWAY).in_call
    assert session.connection == CONNECTION
