"""What a client has asked to be told besides is put into a frame when it is written, and not before."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.duplicates import name_of
from gateway.client.mail import Had, Telling, numbered, read_place, with_place
from tests.unit.wire.samples import frame, offer_with, signal_message


def told(*frames: bytes) -> list[bytes]:
    """What a client is sent that has asked for places."""
    written: list[bytes] = []

    def say(frame: bytes) -> bool:
        written.append(frame)
        return len(written) < 3

    telling = Telling(say)
    assert [telling.say(each) for each in frames] == [number < 2 for number in range(len(frames))]
    return written


def test_a_place_stands_first_and_nothing_else_is_changed() -> None:
    assert told(numbered(offer_with(b'{ "sdp" : "\\u0041" }'), 17)) == [
        b'{"place":"17",' + offer_with(b'{ "sdp" : "\\u0041" }')[1:]
    ]


def test_blanks_before_an_envelope_stay() -> None:
    spaced = b"\r\n\t " + frame(signal_message())
    assert json.loads(with_place(spaced, 5)) == {"place": "5"} | json.loads(spaced)
    assert with_place(spaced, 5).startswith(b"\r\n\t {")


def test_what_has_no_number_is_written_as_it_is() -> None:
    plain = frame(signal_message())
    assert told(plain, numbered(plain, 0), plain) == [plain, with_place(plain, 0), plain]


def test_a_frame_with_a_number_is_remembered_as_what_was_sent() -> None:
    plain = frame(signal_message())
    assert numbered(plain, 5) == numbered(numbered(plain, 4), 5) == plain
    assert name_of(numbered(plain, 5)) == name_of(plain)


@pytest.mark.parametrize("text", ["", "0", "-1", "1.0", "x", " 5", "٣", "1" * 20, "5\n", "0x1"])
def test_what_is_no_place_says_nothing(text: str) -> None:
    assert read_place(text) == 0


@given(st.integers(1, 10**19 - 1))
def test_a_place_that_was_told_is_read(number: int) -> None:
    (written,) = told(numbered(frame(signal_message()), number))
    assert read_place(json.loads(written)["place"]) == number


def test_who_names_nothing_has_had_nothing() -> None:
    assert Had() == ("", "")
