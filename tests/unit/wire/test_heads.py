"""Whose a frame is, and whether it may be sent to a client."""

import pytest

from tests.unit.wire.samples import HOSTILE_IDS, frame, offer_with, signal_message
from tieline.wire import envelope
from tieline.wire.checks import MAX_BYTES
from tieline.wire.heads import is_deliverable, is_from
from tieline.wire.ids import UserId

ALICE, BOB, EVE = UserId("alice"), UserId("bob"), UserId("eve")
OFFER = "WEBRTC_OFFER"
LONE = offer_with(rb'"\ud800"')


@pytest.mark.parametrize("cmd", envelope.SIGNAL_COMMANDS)
def test_a_frame_says_who_sends_what_to_whom(cmd: str) -> None:
    said = frame(signal_message(cmd))
    assert is_from(said, cmd, ALICE, BOB)
    assert not is_from(said, cmd, EVE, BOB)
    assert not is_from(said, cmd, ALICE, EVE)
    assert not is_from(said, "WEBRTC_OFFER" if cmd != OFFER else "WEBRTC_HANGUP", ALICE, BOB)


@pytest.mark.parametrize("name", HOSTILE_IDS, ids=ascii)
def test_names_of_any_script_are_read(name: str) -> None:
    message = signal_message()
    message["data"] |= {"from": name, "data": "\u202e 用户"}
    assert is_from(frame(message), OFFER, UserId(name), BOB)
    assert not is_from(frame(message), OFFER, UserId(name + "x"), BOB)


def test_a_lone_surrogate_is_read_as_the_gateway_reads_it() -> None:
    assert is_from(LONE, OFFER, ALICE, BOB)
    assert not is_from(LONE, OFFER, EVE, BOB)
    assert not is_from(LONE.replace(b"OFFER", b"OTHER"), OFFER, ALICE, BOB)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"no JSON",
        b"{}",
        b'{"cmd":"WEBRTC_OFFER"}',
        b'{"cmd":"WEBRTC_OFFER","data":{"from":"alice"}}',
        b'{"cmd":"WEBRTC_OFFER","data":{"from":"alice","to":"bob","data":"\xff"}}',
        b"\xff\xfe",
        LONE.replace(b"}}", b"\xff}}"),
        frame(signal_message()).replace(b"v=0", b"v" * MAX_BYTES),
        b'{"cmd":"WEBRTC_OFFER","data":{"from":"alice","to":"bob","data":' + b"[" * 60_000,
    ],
    ids=lambda said: repr(said)[:40],
)
def test_what_is_no_frame_is_nobodys(said: bytes) -> None:
    assert not is_from(said, OFFER, ALICE, BOB)


def test_only_text_that_is_not_too_long_may_be_sent_to_a_client() -> None:
    assert is_deliverable(b"{}")
    assert is_deliverable("用户".encode())
    assert not is_deliverable(b"\xff")
    assert not is_deliverable(b"x" * (MAX_BYTES + 1))
    assert not is_deliverable("é".encode() * MAX_BYTES)
