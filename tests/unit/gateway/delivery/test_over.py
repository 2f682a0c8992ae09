"""What begins a call that is over is late, however late it is, and so is its end when that was told."""

from collections.abc import Callable

import pytest

from gateway.delivery.over import MOST, Over, may_matter
from tests.unit.wire import samples
from tieline.wire import envelope

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


def test_an_answer_to_a_call_that_is_over_is_stopped() -> None:
    over = Over()
    assert not over.stops(frame("WEBRTC_ANSWER"), CALL)
    over.add(CALL)
    assert over.stops(frame("WEBRTC_ANSWER"), CALL)
    assert not over.stops(frame("WEBRTC_ANSWER"), OTHER)


def test_an_end_is_told_once_however_late_it_comes_again() -> None:
    over = Over()
    over.add(CALL)
    assert not over.stops(frame("WEBRTC_HANGUP"), CALL), "it was told nothing"
    assert over.stops(frame("WEBRTC_HANGUP"), CALL)
    over.add(CALL)
    assert over.stops(frame("WEBRTC_HANGUP", "another one"), CALL)
    assert not over.stops(frame("WEBRTC_HANGUP"), OTHER)
    assert over.stops(frame("WEBRTC_HANGUP"), OTHER)


def test_an_end_had_on_another_gateway_is_not_told_again() -> None:
    over = Over()
    over.add(CALL, is_told=True)
    assert over.stops(frame("WEBRTC_HANGUP"), CALL)


@pytest.mark.parametrize("cmd", ["WEBRTC_ICE_CANDIDATE", "WEBRTC_HANGUP", "WEBRTC_INFO"])
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
    assert may_matter(frame("WEBRTC_ANSWER"))
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


def escaped(cmd: str) -> bytes:
    return frame(cmd).replace(b"WEBRTC_", rb"WEBRTC\u005f")


def odd(cmd: str) -> bytes:
    """A frame with a lone surrogate, which is relayed as it came."""
    return frame(cmd, "SURROGATE").replace(b"SURROGATE", rb"\ud800")


@pytest.mark.parametrize("written", [escaped, odd])
def test_ends_and_late_offers_are_known_however_written(
    written: Callable[[str], bytes],
) -> None:
    over = Over()
    hangup, offer = written("WEBRTC_HANGUP"), written("WEBRTC_OFFER")
    assert isinstance(envelope.decode(hangup), envelope.Hangup)
    assert isinstance(envelope.decode(offer), envelope.Offer)
    assert may_matter(hangup)
    assert may_matter(offer)
    assert not over.stops(hangup, CALL)
    assert over.stops(offer, CALL)
