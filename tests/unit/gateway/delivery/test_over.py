"""An offer of a call that is over is late, however late it is."""

import pytest

from gateway.delivery.over import MOST, Over, may_matter
from tests.unit.wire import samples

CALL, OTHER = "0123456789abcdef", "fedcba9876543210"


def frame(cmd: str, data: str = "x") -> bytes:
    message = samples.signal_message(cmd)
    message["data"] |= {"data": data}
    return samples.frame(message)


def test_an_offer_of_a_call_that_is_over_is_stopped() -> None:
    over = Over()
    assert not over.stops(frame("WEBRTC_OFFER"), CALL)
    assert not over.stops(frame("WEBRTC_HANGUP"), CALL)
    assert over.stops(frame("WEBRTC_OFFER"), CALL)
    assert not over.stops(frame("WEBRTC_OFFER"), OTHER)
    assert list(over) == [CALL]


@pytest.mark.parametrize("cmd", ["WEBRTC_ANSWER", "WEBRTC_ICE_CANDIDATE", "WEBRTC_HANGUP", "WEBRTC_INFO"])
def test_nothing_else_is_stopped(cmd: str) -> None:
    over = Over()
    over.add(CALL)
    assert not over.stops(frame(cmd, "WEBRTC_OFFER"), CALL)


def test_what_only_speaks_of_an_end_is_none() -> None:
    over = Over()
    assert not over.stops(frame("WEBRTC_ICE_CANDIDATE", "WEBRTC_HANGUP"), CALL)
    assert not over.stops(b'{"cmd":"WEBRTC_HANGUP"', CALL)
    assert not over.stops(frame("WEBRTC_HANGUP"), "")
    assert list(over) == []


def test_what_may_matter_is_quickly_found() -> None:
    assert may_matter(frame("WEBRTC_OFFER"))
    assert may_matter(frame("WEBRTC_HANGUP"))
    assert not may_matter(frame("WEBRTC_ICE_CANDIDATE"))


def test_so_many_are_remembered_the_latest() -> None:
    over = Over()
    for number in range(MOST):
        over.add(str(number))
    over.add("0")
    over.add(CALL)
    assert len(list(over)) == MOST
    assert list(over)[-2:] == ["0", CALL]
    assert "1" not in list(over)
