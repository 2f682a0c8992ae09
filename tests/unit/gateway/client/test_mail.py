"""What a client has asked to be told besides is put into a frame when it is written, and not before."""

import json
from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.duplicates import Duplicates, name_of
from gateway.client.mail import Had, Mail, Telling, mail, numbered, read_place, with_place
from tests.unit.wire.samples import frame, offer_with, signal_message
from tieline.wire import jetstream

CALL: Final = "0123456789abcdef"
FRAME: Final = frame(signal_message())


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


def test_what_is_no_envelope_gets_no_place() -> None:
    assert with_place(b"hello", 5) == b"hello"


@pytest.mark.parametrize(
    "garbage",
    [
        b"x",
        b"",
        b"[]",
        b"call",
        b"\\",
        b"{",
        b'{"call":1}',
        b'{"data":null,"call":1}',
        b"[" * 60_000 + b"call",
    ],
)
def test_what_is_no_envelope_stops_nothing(garbage: bytes) -> None:
    written: list[bytes] = []

    def say(frame: bytes) -> bool:
        written.append(frame)
        return True

    telling = Telling(say, names_calls=True)
    forged = mail(garbage, jetstream.named("7f.alice", CALL))

    assert telling.say(forged)
    assert telling.say(numbered(Mail(garbage), 5))

    assert written == [garbage, with_place(garbage, 5)]


def test_what_has_no_number_is_written_as_it_is() -> None:
    plain = frame(signal_message())
    assert told(plain, numbered(plain, 0), plain) == [plain, with_place(plain, 0), plain]


def test_a_frame_with_a_number_is_remembered_as_what_was_sent() -> None:
    plain = frame(signal_message())
    assert numbered(plain, 5) == numbered(numbered(plain, 4), 5) == plain
    assert name_of(numbered(plain, 5)) == name_of(plain)


def test_a_number_is_kept_of_one_client_s_copy_alone() -> None:
    shared = mail(FRAME, jetstream.named("7f.bob", CALL))
    first, second = numbered(shared, 5), numbered(shared, 6)
    assert [getattr(each, "number", None) for each in (shared, first, second)] == [None, 5, 6]
    assert [getattr(each, "call", "") for each in (shared, first, second)] == [CALL] * 3


@pytest.mark.parametrize("text", ["", "0", "-1", "1.0", "x", " 5", "٣", "1" * 20, "5\n", "0x1"])
def test_what_is_no_place_says_nothing(text: str) -> None:
    assert read_place(text) == 0


@given(st.integers(1, 10**19 - 1))
def test_a_place_that_was_told_is_read(number: int) -> None:
    (written,) = told(numbered(frame(signal_message()), number))
    assert read_place(json.loads(written)["place"]) == number


def test_who_names_nothing_has_had_nothing() -> None:
    assert Had() == ("", "", 0)


def test_a_frame_is_kept_with_its_call() -> None:
    kept = mail(FRAME, jetstream.named("7f.bob", CALL))
    assert isinstance(kept, Mail)
    assert (kept, kept.call) == (FRAME, CALL)


def test_a_frame_of_no_call_is_nothing_but_a_frame() -> None:
    assert mail(FRAME, jetstream.named("7f.bob")) is FRAME


def test_a_frame_is_known_by_what_was_sent() -> None:
    had = Duplicates()
    assert had.is_new(FRAME, 0)
    assert not had.is_new(mail(FRAME, jetstream.named("7f.bob", CALL)), 0)
    assert name_of(FRAME) == name_of(mail(FRAME, jetstream.named("7f.bob", CALL)))


def test_who_asks_is_told_the_call_and_nobody_elses_word_for_it() -> None:
    said: list[bytes] = []

    def say(frame: bytes) -> bool:
        said.append(frame)
        return len(said) == 1

    telling = Telling(say, names_calls=True)
    message = signal_message()
    message["data"]["call"] = "of the sender's own"
    assert telling.say(mail(frame(message), jetstream.named("7f.bob", CALL)))
    assert not telling.say(frame(message))
    assert [json.loads(each)["data"].get("call") for each in said] == [CALL, None]


def _into(said: list[bytes]) -> Callable[[bytes], bool]:
    def say(frame: bytes) -> bool:
        said.append(frame)
        return True

    return say


def test_who_asks_for_both_is_told_the_place_and_the_call() -> None:
    said: list[bytes] = []
    telling = Telling(_into(said), names_calls=True)
    assert telling.say(numbered(mail(FRAME, jetstream.named("7f.bob", CALL)), 7))
    (told,) = said
    assert told.startswith(b'{"place":"7",')
    assert json.loads(told)["data"]["call"] == CALL
    assert Telling(lambda frame: frame is FRAME).say(FRAME)
