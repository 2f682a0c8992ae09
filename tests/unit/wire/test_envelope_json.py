"""JSON as clients really send it, and as they should not: what is read, and what is refused."""

import itertools
import json

import pytest

from tests.unit.wire.samples import (
    every_message,
    frame,
    inner_of,
    offer_with,
    refresh_message,
    signal_message,
)
from tieline.wire.codes import ErrorCode
from tieline.wire.envelope import MAX_BACKSLASHES, Malformed, Offer, Ping, decode

BAD = ErrorCode.BAD_MESSAGE
UNREADABLE = Malformed(BAD)


# What is no JSON at all.


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"\x00",
        b"hello",
        b"{",
        b"}",
        b'{"requestId":"r-1"',
        b"<xml/>",
        b"{'requestId':'r-1'}",
        b"requestId=r-1",
        b"{}{}",
        b"\\",
        b'"',
    ],
)
def test_a_text_that_is_no_json_is_bad(text: bytes) -> None:
    assert decode(text) == UNREADABLE


@pytest.mark.parametrize("text", [b"null", b"true", b"0", b'"PING"', b"[]", b'["PING"]', b"{}", b"[{}]"])
def test_json_that_is_no_message_is_bad(text: bytes) -> None:
    assert decode(text) == UNREADABLE


@pytest.mark.parametrize("message", every_message(), ids=lambda message: message["cmd"])
def test_anything_around_the_one_object_is_bad(message: object) -> None:
    good = frame(message)

    assert not isinstance(decode(good), Malformed)
    for spoiled in (
        b"\xef\xbb\xbf" + good,
        good + b"\x00",
        good + b"x",
        good + good,
        good + b",",
        b"[" + good + b"]",
        good[:-1] + b",}",
        good[:-1],
        good + b"//",
    ):
        assert decode(spoiled) == UNREADABLE


@pytest.mark.parametrize("cut", range(len(frame(signal_message()))))
def test_a_frame_cut_short_anywhere_is_bad(cut: int) -> None:
    assert isinstance(decode(frame(signal_message())[:cut]), Malformed)


# Raw values that nobody decodes, but everybody must be able to.

INVALID_VALUES = (
    *(
        b"",
        b"01",
        b"-01",
        b"1.",
        b".5",
        b"-.5",
        b"+1",
        b"-",
        b"--1",
        b"1e",
        b"1e+",
        b"1.0.0",
        b"1-1",
        b"0x1",
        b"1_0",
    ),
    *(b"NaN", b"-NaN", b"Infinity", b"-Infinity", b"nan", b"nul", b"nullx", b"True", b"undefined"),
    *(
        b"'a'",
        b'"',
        b'"\\"',
        b'"\\x41"',
        b'"\\u12"',
        b'"\\u12G4"',
        b'"\\u+041"',
        b'"\\U0041"',
        b'"\\a"',
        b'"\\\'"',
    ),
    *(b'"\x00"', b'"\x01"', b'"\x1f"', b'"\n"', b'"\r"', b'"\t"'),
    *(b"[1,]", b"[,1]", b"[1 2]", b"[1", b"1]", b"[1}", b"]["),
    *(b'{"a":1,}', b'{,"a":1}', b"{a:1}", b'{"a" 1}', b'{"a":}', b'{"a"}', b"{1:1}", b'{"a":1 "b":2}', b"{"),
    *(b"1 2", b"1//", b"/**/1", b"\x0b1", b"\x0c1", b"\xc2\xa01", b"\xef\xbb\xbf1", b"1\x00"),
)


@pytest.mark.parametrize("value", INVALID_VALUES)
def test_invalid_json_inside_data_data_is_bad(value: bytes) -> None:
    assert isinstance(decode(offer_with(value)), Malformed)
    assert isinstance(decode(offer_with(b'{"deep":[' + value + b"]}")), Malformed) or not value


@pytest.mark.parametrize("value", INVALID_VALUES)
def test_invalid_json_in_a_field_that_nobody_reads_is_bad(value: bytes) -> None:
    assert isinstance(
        decode(b'{"requestId":"r-1","module":"ROOM","cmd":"PING","x":' + value + b"}"), Malformed
    )
    assert isinstance(
        decode(b'{"requestId":"r-1","module":"ROOM","cmd":"PING","data":' + value + b"}"), Malformed
    )


@pytest.mark.parametrize(
    "value",
    [
        *(b"0", b"-0", b"0.0", b"-0e0", b"1E5", b"1e-5", b"1.5e+3", b"1e999999", b"-1e999999", b"1e-999999"),
        *(b"9" * 5000, b"-" + b"9" * 5000, b"0." + b"1" * 5000, b"18446744073709551616"),
        *(b'""', b'"\\/"', b'"\\u0000"', b'"\x7f"', b'"\xc2\x85"', b'"\xe2\x80\xa8"', b'"\\ud83d\\ude00"'),
        *(
            b"[]",
            b"{}",
            b'{"":{"":[[],{}]}}',
            b'{"a":1,"a":2}',
            b"[ 1 ,\r\n\t2 ]",
            b'{ "cmd" : "WEBRTC_ANSWER" }',
        ),
    ],
)
def test_odd_but_valid_json_inside_data_data_is_kept_byte_for_byte(value: bytes) -> None:
    assert inner_of(offer_with(value)) == value


@pytest.mark.parametrize("number", [b"1e999999", b"9" * 5000, b"-0.0", b"1e-999999"])
def test_huge_numbers_are_fine_in_fields_that_nobody_reads(number: bytes) -> None:
    for field in (b"code", b"msg", b"extra"):
        head = b'{"' + field + b'":' + number
        assert isinstance(decode(head + b',"requestId":"r-1","module":"ROOM","cmd":"PING"}'), Ping)


# Keys that are escaped, or named twice.


def test_escapes_in_keys_and_values_are_read() -> None:
    escaped = (
        rb'{"\u0072equest\u0049d":"\u0072-1","mo\u0064ule":"R\u004fOM","\u0063md":"WEBRTC\u005fOFFER",'
        rb'"d\u0061ta":{"fro\u006d":"al\u0069ce","\u0074o":"\u754c","dat\u0061":"\u0041"}}'
    )

    message = decode(escaped)

    assert isinstance(message, Offer)
    assert (message.request_id, message.data.sender, message.data.to) == ("r-1", "alice", "界")
    assert bytes(message.data.data) == rb'"\u0041"'


@pytest.mark.parametrize("second", [b'"cmd"', rb'"c\u006dd"', rb'"\u0063\u006d\u0064"'])
@pytest.mark.parametrize("first", [b'"cmd"', rb'"\u0063md"'])
def test_a_frame_with_two_commands_is_refused(first: bytes, second: bytes) -> None:
    fields = (
        first + b':"WEBRTC_OFFER"',
        second + b':"WEBRTC_ANSWER"',
        b'"requestId":"r-1"',
        b'"module":"ROOM"',
        b'"data":{"from":"alice","to":"bob","data":null}',
    )

    for order in itertools.permutations(fields):
        refused = decode(b"{" + b",".join(order) + b"}")
        assert isinstance(refused, Malformed)
        assert refused.refusal is BAD
        assert refused.cmd in {"WEBRTC_OFFER", "WEBRTC_ANSWER"}


@pytest.mark.parametrize("other", [b"null", b"7", b'"NEW"', b'""', b"[]", b'"webrtc_offer"', rb'"\ud800"'])
def test_a_second_command_of_any_kind_is_refused(other: bytes) -> None:
    good = offer_with(b"null")

    assert isinstance(decode(good[:-1] + b',"cmd":' + other + b"}"), Malformed)
    assert isinstance(decode(b'{"cmd":' + other + b"," + good[1:]), Malformed)


def test_a_name_that_stands_twice_is_refused_even_with_one_value() -> None:
    for twice in (
        b'{"cmd":"WEBRTC_OFFER",' + offer_with(b"null")[1:],
        b'{"module":"ROOM",' + offer_with(b"null")[1:],
        offer_with(b"null").replace(b'"to":"bob"', b'"to":"bob","to":"bob"'),
    ):
        assert decode(twice) == Malformed(ErrorCode.AMBIGUOUS_NAMES, "r-1", "WEBRTC_OFFER")


def test_of_a_refused_frame_the_last_request_id_is_echoed() -> None:
    twice = (
        b'{"requestId":"first","requestId":"r-2","module":"ROOM","cmd":"WEBRTC_OFFER",'
        b'"data":{"from":"alice","to":"bob","data":1}}'
    )

    assert decode(twice) == Malformed(ErrorCode.AMBIGUOUS_NAMES, "r-2", "WEBRTC_OFFER")
    assert json.loads(twice)["requestId"] == "r-2"


# Surrogates.

LONE_SURROGATES = (
    *(rb"\ud800", rb"\uDBFF", rb"\udc00", rb"\uDfFf", rb"\ud800\ud800", rb"\udc00\ud800", rb"\ud800x"),
    *(rb"\ud800\u0041", rb"\ud800\\udc00", rb"\ud800\n", rb"\ud83d\ude00\ude00", rb"\\\ud800"),
)


@pytest.mark.parametrize("escape", LONE_SURROGATES)
def test_a_lone_surrogate_inside_data_data_harms_nothing(escape: bytes) -> None:
    for value in (b'"' + escape + b'"', b'{"' + escape + b'":["' + escape + b'"]}'):
        assert isinstance(decode(offer_with(value)), Offer)


@pytest.mark.parametrize("escape", LONE_SURROGATES)
def test_a_lone_surrogate_in_an_id_is_refused(escape: bytes) -> None:
    for place, request_id in ((b"r-1", ""), (b"alice", "r-1"), (b"bob", "r-1")):
        spoiled = offer_with(b"null").replace(place, escape)
        assert decode(spoiled) == Malformed(BAD, request_id, "WEBRTC_OFFER")


@pytest.mark.parametrize("escape", LONE_SURROGATES)
def test_a_lone_surrogate_in_a_command_or_module_is_refused(escape: bytes) -> None:
    good = offer_with(b"null")

    assert decode(good.replace(b"WEBRTC_OFFER", escape)) == Malformed(BAD, "r-1", "")
    assert decode(good.replace(b"ROOM", escape)) == Malformed(BAD, "r-1", "WEBRTC_OFFER")


def test_a_lone_surrogate_matters_in_a_token_but_not_beside_it() -> None:
    spoiled = json.dumps(refresh_message("a\ud800.b.c")).encode()
    beside = json.dumps(refresh_message() | {"extra": "\ud800"}).encode()

    assert decode(spoiled) == Malformed(BAD, "r-1", "REFRESH_TOKEN")
    assert decode(beside) == decode(frame(refresh_message()))


def test_a_lone_surrogate_in_a_ping_matters_in_its_data_alone() -> None:
    head = b'{"requestId":"r-1","module":"ROOM","cmd":"PING"'
    fine = decode(head + b',"data":"\\u0001","x\\udfff":["\\ud800"]}')

    assert isinstance(fine, Ping)
    assert bytes(fine.data) == b'"\\u0001"'
    for data in (b'"\\ud800"', b'{"a\\udc00":1}'):
        refused = decode(head + b',"x":"\\u0001","data":' + data + b"}")
        assert refused == Malformed(ErrorCode.BAD_MESSAGE, "r-1", "PING")


def test_a_lone_surrogate_in_an_unknown_key_harms_nothing() -> None:
    assert isinstance(decode(rb'{"\ud800":1,' + offer_with(b"null")[1:]), Offer)


def test_a_bad_frame_with_a_lone_surrogate_is_echoed() -> None:
    assert decode(offer_with(rb'"\ud800"').replace(b"ROOM", b"CHAT")) == Malformed(BAD, "r-1", "WEBRTC_OFFER")
    assert decode(offer_with(rb'"\ud800"').replace(b"WEBRTC_OFFER", b"NEW")) == Malformed(
        ErrorCode.UNKNOWN_COMMAND, "r-1", "NEW"
    )
    assert decode(offer_with(rb'"\ud800')) == UNREADABLE


@pytest.mark.parametrize("text", [rb"\\ud800", rb"\\\\udc00", rb"x\\ud83dy", rb"\\u"])
def test_an_escaped_backslash_before_ud800_is_no_surrogate(text: bytes) -> None:
    value = b'"' + text + b'"'

    assert inner_of(offer_with(value)) == value
    assert isinstance(decode(offer_with(b"null").replace(b"bob", text)), Offer)


def test_an_escaped_backslash_is_none_beside_a_surrogate_either() -> None:
    message = decode(offer_with(rb'"\ud800"').replace(b"bob", rb"\\ud800"))

    assert isinstance(message, Offer)
    assert message.data.to == "\\ud800"


def test_a_pair_of_escaped_surrogates_in_an_id_is_one_character() -> None:
    message = decode(offer_with(b"null").replace(b"bob", rb"\uD83D\uDE00"))

    assert isinstance(message, Offer)
    assert message.data.to == "😀"


def test_a_pair_beside_a_lone_one_keeps_its_meaning() -> None:
    message = decode(offer_with(rb'"\ud800"').replace(b"bob", rb"\ud83d\ude00\u0041\\"))

    assert isinstance(message, Offer)
    assert message.data.to == "😀A\\"


def test_a_ping_whose_data_cannot_go_back_as_it_came_is_refused() -> None:
    lone = rb'{"requestId":"p","module":"ROOM","cmd":"PING","data":"\ud800"}'
    assert decode(lone) == Malformed(BAD, "p", "PING")


@pytest.mark.parametrize("count", [MAX_BACKSLASHES, MAX_BACKSLASHES + 2])
def test_beside_a_lone_surrogate_backslashes_are_bounded(count: int) -> None:
    lone = b'"\\ud800' + b"\\" * (count - 2) + b'\\n"'
    message = decode(offer_with(lone))
    assert isinstance(message, Offer) == (count == MAX_BACKSLASHES)
    assert isinstance(decode(offer_with(lone.replace(b"\\ud800", b"xx"))), Offer)
    if count > MAX_BACKSLASHES:
        assert message == UNREADABLE
