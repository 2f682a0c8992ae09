"""What a client has asked to be told besides is put into a frame when it is written, and not before."""

import json
from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.duplicates import Duplicates, name_of
from gateway.client.mail import Had, Mail, Place, Telling, mail, placed, read_place, with_place
from tests.unit.wire.samples import frame, offer_with, signal_message
from tieline.wire import jetstream_headers

CALL: Final = "0123456789abcdef"
FRAME: Final = frame(signal_message())


def at(number: int) -> Place:
    """The place of a client that has been told everything up to a number."""
    return Place(number, number)


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
    assert told(placed(offer_with(b'{ "sdp" : "\\u0041" }'), at(17))) == [
        b'{"place":"17",' + offer_with(b'{ "sdp" : "\\u0041" }')[1:]
    ]


def test_blanks_before_an_envelope_stay() -> None:
    spaced = b"\r\n\t " + frame(signal_message())
    assert json.loads(with_place(spaced, at(5))) == {"place": "5"} | json.loads(spaced)
    assert with_place(spaced, at(5)).startswith(b"\r\n\t {")


def test_what_is_no_envelope_gets_no_place() -> None:
    assert with_place(b"hello", at(5)) == b"hello"


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
    forged = mail(garbage, jetstream_headers.named("7f.alice", CALL))

    assert telling.say(forged)
    assert telling.say(placed(Mail(garbage), at(5)))

    assert written == [garbage, with_place(garbage, at(5))]


def test_what_has_no_number_is_written_as_it_is() -> None:
    plain = frame(signal_message())
    assert told(plain, placed(plain, at(0)), plain) == [plain, with_place(plain, at(0)), plain]


def test_a_frame_with_a_number_is_remembered_as_what_was_sent() -> None:
    plain = frame(signal_message())
    assert placed(plain, at(5)) == placed(placed(plain, at(4)), at(5)) == plain
    assert name_of(placed(plain, at(5))) == name_of(plain)


def test_a_number_is_kept_of_one_client_s_copy_alone() -> None:
    shared = mail(FRAME, jetstream_headers.named("7f.bob", CALL))
    first, second = placed(shared, at(5)), placed(shared, at(6))
    assert [getattr(each, "place", None) for each in (shared, first, second)] == [None, at(5), at(6)]
    assert [getattr(each, "call", "") for each in (shared, first, second)] == [CALL] * 3


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "1.0", "x", " 5", "٣", "1" * 20, "5\n", "0x1", "5-", "5--1", "5-1-1", "5-x"]
)
def test_what_is_no_place_says_nothing(text: str) -> None:
    assert read_place(text) == (0, 0)


def test_a_place_has_a_second_number_while_rooms_are_behind() -> None:
    assert with_place(b"{}", Place(7, 3)) == b'{"place":"7-3",}'
    assert with_place(b"{}", Place(7, 0)) == b'{"place":"7-0",}'
    assert read_place("7-3") == (7, 3)
    assert read_place("7-0") == (7, 0)


def test_nobody_is_told_less_of_mail_than_of_rooms() -> None:
    assert read_place("3-7") == (3, 3)


@given(st.integers(1, 10**19 - 1), st.integers(0, 10**19 - 1))
def test_a_place_that_was_told_is_read(number: int, rooms: int) -> None:
    place = Place(number, min(number, rooms))
    (written,) = told(placed(frame(signal_message()), place))
    assert read_place(json.loads(written)["place"]) == place


def test_who_names_nothing_has_had_nothing() -> None:
    assert Had() == ("", "", 0)


def test_a_frame_is_kept_with_its_call() -> None:
    kept = mail(FRAME, jetstream_headers.named("7f.bob", CALL))
    assert isinstance(kept, Mail)
    assert (kept, kept.call) == (FRAME, CALL)


def test_a_frame_of_no_call_is_nothing_but_a_frame() -> None:
    assert mail(FRAME, jetstream_headers.named("7f.bob")) is FRAME


def test_a_frame_is_known_by_what_was_sent() -> None:
    had = Duplicates()
    assert had.is_new(FRAME, 0)
    assert not had.is_new(mail(FRAME, jetstream_headers.named("7f.bob", CALL)), 0)
    assert name_of(FRAME) == name_of(mail(FRAME, jetstream_headers.named("7f.bob", CALL)))


def test_who_asks_is_told_the_call_and_nobody_elses_word_for_it() -> None:
    said: list[bytes] = []

    def say(frame: bytes) -> bool:
        said.append(frame)
        return len(said) == 1

    telling = Telling(say, names_calls=True)
    message = signal_message()
    message["data"]["call"] = "of the sender's own"
    assert telling.say(mail(frame(message), jetstream_headers.named("7f.bob", CALL)))
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
    assert telling.say(placed(mail(FRAME, jetstream_headers.named("7f.bob", CALL)), at(7)))
    (told,) = said
    assert told.startswith(b'{"place":"7",')
    assert json.loads(told)["data"]["call"] == CALL
    assert Telling(lambda frame: frame is FRAME).say(FRAME)
