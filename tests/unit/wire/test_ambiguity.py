"""A frame whose names two readers would read differently is refused; what nobody misreads passes."""

import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.wire.samples import (
    HOSTILE_IDS,
    SIGNALS,
    VALID_IDS,
    every_message,
    frame,
    ice_servers_message,
    offer_with,
    ping_message,
    refresh_message,
    room_message,
    signal_message,
)
from tieline.wire import ambiguity
from tieline.wire.ambiguity import (
    DATA,
    ENVELOPE,
    MAX_COLONS,
    MAX_NAMES,
    has_ambiguous_names,
    is_usual_about_room,
    is_usual_signal,
)
from tieline.wire.codes import ErrorCode
from tieline.wire.envelope import Malformed, Offer, decode
from tieline.wire.ids import is_valid_id

READ_DATA: Final = [
    *(signal_message(cmd) for cmd in SIGNALS),
    *(room_message(cmd) for cmd in ("JOIN", "LEAVE", "MEMBERS")),
    refresh_message(),
]
FREE_DATA: Final = [ping_message(), ice_servers_message()]
GOOD: Final = offer_with(b'{"sdp":"x"}')

ENVELOPE_NAMES: Final = sorted(ENVELOPE.values())
DATA_NAMES: Final = sorted(DATA.values())


def is_refused(text: bytes) -> bool:
    """Whether a frame is refused for its names; one that is not must be good."""
    message = decode(text)
    if isinstance(message, Malformed):
        assert message.refusal is ErrorCode.AMBIGUOUS_NAMES
        return True
    return False


def with_name(name: str, value: str = "1", *, first: bool = True) -> bytes:
    """An offer whose envelope has one more name, as it is written in JSON."""
    extra = f'"{name}":{value}'.encode()
    return b"{" + extra + b"," + GOOD[1:] if first else GOOD[:-1] + b"," + extra + b"}"


def with_name_in_data(name: str, value: str = "1", *, first: bool = True) -> bytes:
    """An offer whose `data` has one more name, as it is written in JSON."""
    extra = f'"{name}":{value}'.encode()
    if first:
        return GOOD.replace(b'"data":{"from"', b'"data":{' + extra + b',"from"')
    return GOOD[:-2] + b"," + extra + b"}}"


def variants(name: str) -> list[str]:
    """The same name with other letters for its own, as some reader folds them."""
    found = [name.upper(), name[0].upper() + name[1:], name[:-1] + name[-1].upper()]
    found += [name.replace(letter, other) for letter, other in ("sſ", "kK", "iı", "iİ") if letter in name]
    return [variant for variant in found if variant != name]


def escaped(name: str) -> str:
    """The same name in JSON's escapes."""
    return "".join(f"\\u{ord(sign):04x}" for sign in name)


@pytest.mark.parametrize(
    "text",
    [
        b'{"requestId":"1","module":"ROOM","cmd":"WEBRTC_OFFER","data":{"from":"eve","from":"ann","to":"bo",'
        b'"data":{"sdp":"x"}}}',
        b'{"requestId":"2","module":"ROOM","cmd":"WEBRTC_OFFER","data":{"from":"ann","to":"bo","From":"eve",'
        b'"data":{"sdp":"x"}}}',
        b'{"requestId":"3","module":"ROOM","cmd":"WEBRTC_OFFER","Cmd":"WEBRTC_HANGUP","data":{"from":"ann",'
        b'"to":"bo","data":{"reason":"x"}}}',
    ],
)
def test_a_sender_that_two_readers_read_differently_is_refused(text: bytes) -> None:
    assert is_refused(text)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("name", [*ENVELOPE_NAMES, "place"])
def test_a_name_of_the_envelope_in_another_case_is_refused(name: str, first: bool) -> None:
    for variant in variants(name):
        assert is_refused(with_name(variant, first=first))
        assert is_refused(with_name(escaped(variant), first=first))


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("name", DATA_NAMES)
def test_a_name_of_data_in_another_case_is_refused(name: str, first: bool) -> None:
    for variant in variants(name):
        assert is_refused(with_name_in_data(variant, first=first))
        assert is_refused(with_name_in_data(escaped(variant), first=first))


@pytest.mark.parametrize("name", ["requestId", "module", "data", "code", "extra", "a:b", "用户", ""])
def test_any_name_of_the_envelope_that_stands_twice_is_refused(name: str) -> None:
    value = {"requestId": '"r-1"', "module": '"ROOM"', "data": '{"from":"alice","to":"bob","data":1}'}
    once = with_name(name, value.get(name, "1"))
    twice = once[:-1] + f',"{escaped(name)}":{value.get(name, "2")}}}'.encode()

    assert is_refused(once) == (name in value)
    assert is_refused(twice)


@pytest.mark.parametrize("name", ["from", "to", "data", "call", "extra", "a:b", "用户", ""])
def test_any_name_of_data_that_stands_twice_is_refused(name: str) -> None:
    value = {"from": '"alice"', "to": '"bob"', "call": '"c"'}
    once = with_name_in_data(name, value.get(name, "1"))
    twice = once[:-2] + f',"{escaped(name)}":{value.get(name, "2")}}}}}'.encode()

    assert is_refused(once) == (name in ("from", "to", "data"))
    assert is_refused(twice)


@pytest.mark.parametrize("value", ["1", "null", '":"', '"\\":"', "{}", '{"a":{"b":":"}}', "[{},{}]", '"{"'])
def test_what_stands_in_the_overwritten_value_hides_nothing(value: str) -> None:
    assert is_refused(with_name("extra", value)[:-1] + b',"extra":{"x":1}}')
    assert is_refused(with_name_in_data("extra", value)[:-2] + b',"extra":"\\\\"}}')


@pytest.mark.parametrize("message", READ_DATA, ids=lambda message: message["cmd"])
def test_names_of_a_data_that_is_read_are_looked_at(message: dict[str, Any]) -> None:
    assert is_refused(frame(message | {"data": message["data"] | {"TO": 1}}))
    assert is_refused(frame(message | {"data": message["data"] | {"Room": 1}}))


@pytest.mark.parametrize("message", FREE_DATA, ids=lambda message: message["cmd"])
def test_names_of_a_data_that_is_not_read_are_free(message: dict[str, Any]) -> None:
    for data in (b'{"from":1,"From":2,"from":3}', b'{"data":{"a":1,"a":2}}', b'[{"To":1,"to":1}]', b'":"'):
        text = frame(message | {"data": None}).replace(b'"data": null', b'"data":' + data)
        assert not is_refused(text)
        assert not is_refused(b" " + text)
        assert is_refused(b'{"DATA":1,' + text[1:])


@pytest.mark.parametrize(
    "inner",
    [b'{"from":1,"from":2,"From":3}', b'{"requestId":1,"Requestid":2}', b'{"place":1}', b'{"":1,"":2}'],
)
def test_nothing_within_the_data_of_data_is_looked_at(inner: bytes) -> None:
    text = offer_with(inner)

    assert isinstance(decode(text), Offer)
    assert isinstance(decode(b" " + text.replace(b":", b" : ")), Offer)
    assert isinstance(decode(text.replace(b'"to"', b'"x":{"to":1,"TO":2,"to":3},"to"')), Offer)


@pytest.mark.parametrize("message", every_message(), ids=lambda message: message["cmd"])
def test_a_place_is_the_servers_to_name(message: dict[str, Any]) -> None:
    assert is_refused(frame({"place": "1"} | message))
    assert is_refused(frame(message | {"place": None}))


def test_a_name_within_another_that_looks_like_one_is_free() -> None:
    for name in ("fro", "fromm", "data2", "request_id", "x\\nfrom", "ﬀrom", "toto"):
        assert not is_refused(with_name(name))
        assert not is_refused(with_name_in_data(name))


@pytest.mark.parametrize("count", [MAX_NAMES, MAX_NAMES + 1])
def test_an_envelope_and_a_data_have_so_many_names_at_most(count: int) -> None:
    message = signal_message()
    many = {f"n{number}": number for number in range(count)}
    body = dict(list((message["data"] | many).items())[:count])
    envelope = dict(list((message | many).items())[:count])

    assert is_refused(frame(message | {"data": body})) == (count > MAX_NAMES)
    assert is_refused(frame(envelope)) == (count > MAX_NAMES)
    assert not is_refused(offer_with(frame(many)))


@pytest.mark.parametrize(
    "extra",
    [
        '"x":' + "{" + ",".join(f'"n{number}":1' for number in range(MAX_COLONS)) + "}",
        '"x":"' + ":" * MAX_COLONS + '"',
        '"a:b":[' + '":",' * MAX_COLONS + "1]",
        ",".join(f'"n{number}":1' for number in range(MAX_COLONS)),
    ],
    ids=["deep", "in a text", "beside a name with one", "of names"],
)
def test_of_too_many_colons_no_names_are_read(extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ambiguity, "_members", None)  # reads names
    text = GOOD[:-1] + b"," + extra.encode() + b"}"

    assert is_refused(text)
    assert is_refused(GOOD[:-2] + b"," + extra.encode() + b"}}")
    assert is_refused(frame(ping_message())[:-1] + b"," + extra.encode() + b"}")


def test_colons_within_what_is_not_looked_at_are_free() -> None:
    colons = b'"' + b":" * (MAX_COLONS + 1) + b'"'
    for text in (
        offer_with(colons),
        frame(ping_message() | {"data": None}).replace(b'"data": null', b'"data":' + colons),
    ):
        assert not is_refused(b" " + text)


@pytest.mark.parametrize("name", ["a:b", "a\\u003ab", "a\\u003Ab", "\\u003a:", ":" * 9])
def test_a_colon_within_a_name_hides_no_name_that_stands_twice(name: str) -> None:
    for once in (with_name(name, '":\\u003a"'), with_name_in_data(name, '":\\u003A"')):
        assert not is_refused(once)
        assert is_refused(once.replace(b'"from"', b'"from":"x","from"'))
        assert is_refused(b'{"module":"ROOM",' + once[1:])


def test_beside_lone_surrogates_names_are_looked_at() -> None:
    lone = GOOD.replace(b'"x"', rb'"\ud800"')

    assert not is_refused(lone)
    assert is_refused(lone[:-1] + b',"Cmd":1}')
    assert is_refused(lone[:-2] + rb',"\u0066rom":"alice"}}')


def test_a_name_that_is_none_is_refused() -> None:
    assert has_ambiguous_names(b'{"\\x":1}', reads_data=False)


PARTS = st.sampled_from(
    ["requestId", "module", "cmd", "code", "msg", "data", "from", "to", "call", "extra", "From", "CMD", "a:b"]
)
VALUES = st.sampled_from(['"x"', "1", "null", "{}", '{"a":1}', '":"', '"\\""', '"\\\\"', '["a",{"b":[]}]'])
BLANKS = st.sampled_from(["", " ", "\n", "  "])


@st.composite
def objects(draw: st.DrawFn) -> tuple[list[str], str]:
    """Names, and an object that has them, in any spelling."""
    names = draw(st.lists(PARTS, max_size=6))
    members = []
    for name in names:
        written = escaped(name) if draw(st.booleans()) else name
        blank = draw(BLANKS)
        members.append(f'{blank}"{written}"{blank}:{blank}{draw(VALUES)}{blank}')
    return names, "{" + ",".join(members) + "}"


@given(objects())
def test_names_are_counted_as_one_by_one(object_: tuple[list[str], str]) -> None:
    names, text = object_
    is_ambiguous = len(names) != len(set(names)) or "CMD" in names

    assert has_ambiguous_names(text.encode(), reads_data=False) == is_ambiguous
    pairs = json.loads(text, object_pairs_hook=lambda found: [name for name, _ in found])
    assert pairs == names


@given(objects(), st.booleans())
def test_what_is_written_as_usual_is_not_ambiguous(object_: tuple[list[str], str], spaced: bool) -> None:
    _, inner = object_
    head = '{"requestId":"r","module":"ROOM","cmd":"WEBRTC_OFFER","data":{"from":"a","to":"b","data":'
    text = (head.replace(":", ": ").replace(",", ", ") if spaced else head) + inner + "}}"

    assert is_usual_signal(text.encode(), "r", len(inner.encode()))
    assert not has_ambiguous_names(text.encode(), reads_data=True)


@pytest.mark.parametrize("cmd", ["JOIN", "LEAVE", "MEMBERS"])
@pytest.mark.parametrize("code", ["", ',"code":0', ',"code":0,"msg":"x"'])
@pytest.mark.parametrize("spaced", [False, True])
def test_what_names_a_room_as_usual_is_not_ambiguous(cmd: str, code: str, spaced: bool) -> None:
    text = f'{{"requestId":"r","module":"ROOM","cmd":"{cmd}"{code},"data":{{"room":"hall"}}}}'
    frame = (text.replace(":", ": ").replace(",", ", ") if spaced else text).encode()

    assert is_usual_about_room(frame, "r")
    assert not is_refused(frame)


@given(VALID_IDS, VALID_IDS, st.sampled_from(["room", "ROOM", "Room"]), st.booleans())
def test_a_second_room_is_never_usual(request_id: str, room: str, name: str, escapes: bool) -> None:
    ids = [json.dumps(text, ensure_ascii=escapes) for text in (request_id, room)]
    head = f'{{"requestId":{ids[0]},"module":"ROOM","cmd":"JOIN","data":{{"room":{ids[1]}'

    assert not is_usual_about_room(f'{head},"{name}":"b"}}}}'.encode(), request_id)
    assert not is_usual_about_room(f'{head}}},"data":{{"room":"b"}}}}'.encode(), request_id)
    assert is_refused(f'{head},"{name}":"b"}}}}'.encode())
    assert is_refused(f'{head}}},"DATA":{{"room":"b"}}}}'.encode())
    assert not is_refused(f"{head}}}}}".encode())


@pytest.mark.parametrize("name", [*HOSTILE_IDS, "", "x" * 129, " a"])
@pytest.mark.parametrize("place", ["from", "to"])
@pytest.mark.parametrize("ending", ["", ',"call":"c-1"'])
def test_what_is_written_as_usual_has_valid_names(name: str, place: str, ending: str) -> None:
    names = {"from": "a", "to": "b"} | {place: name}
    parties = json.dumps(names, ensure_ascii=False, separators=(",", ":"))[:-1]
    text = f'{{"requestId":"r","module":"ROOM","cmd":"WEBRTC_OFFER","data":{parties},"data":1{ending}}}}}'
    is_plain = json.dumps(name, ensure_ascii=False) == f'"{name}"'

    assert is_usual_signal(text.encode(), "r", 1) == (is_valid_id(name) and is_plain)
    assert isinstance(decode(text.encode()), Offer) == is_valid_id(name)


@given(VALID_IDS, st.booleans(), st.booleans())
def test_an_id_that_is_written_oddly_hides_no_name(request_id: str, escapes: bool, twice: bool) -> None:
    written = json.dumps(request_id, ensure_ascii=escapes)
    again = f'"requestId":{written},' * twice
    text = (
        f'{{"requestId":{written},{again}"module":"ROOM","cmd":"WEBRTC_OFFER","data":{{"from":"a","to":"b",'
    )
    message = decode(f'{text}"data":1}}}}'.encode())

    assert isinstance(message, Malformed) == twice
    assert message.request_id == request_id


@pytest.mark.parametrize("tail", ['\\"', '\\", x', '\\",\\"module\\":\\"ROOM\\"', "\\u0022,\\u0022", "\\\\"])
def test_a_quote_in_an_id_does_not_end_it(tail: str) -> None:
    ending = ',"module":"ROOM","cmd":"WEBRTC_OFFER","data":{"from":"a","to":"b","data":1}}'
    text = f'{{"requestId":"r{tail}"{ending}'.encode()

    assert not is_usual_signal(text, json.loads(text)["requestId"], 1)
    assert isinstance(decode(text), Offer)


@given(objects(), st.booleans(), st.sampled_from(["", "c-1", "x" * 128, "}}", ","]))
def test_a_call_behind_the_content_is_usual_too(
    object_: tuple[list[str], str], spaced: bool, call: str
) -> None:
    _, inner = object_
    head = '{"requestId":"r","module":"ROOM","cmd":"WEBRTC_OFFER","data":{"from":"a","to":"b","data":'
    comma, colon = (", ", ": ") if spaced else (",", ":")
    text = f'{head}{inner}{comma}"call"{colon}"{call}"}}}}'.encode()

    assert is_usual_signal(text, "r", len(inner.encode()))
    assert not has_ambiguous_names(text, reads_data=True)
    assert is_refused(text[:-2] + b',"call":"c-2"}}')
    assert is_refused(text.replace(b'"data":' + inner.encode(), b'"call":"c-2","data":' + inner.encode()))


@given(st.sampled_from(["1", '"x"', '"id"', "{}", '["call"]']), st.sampled_from(["id", "x", "", "1,2"]))
def test_a_call_does_not_hide_an_overwritten_content(value: str, call: str) -> None:
    for again in (value, f'"{call}"', '{"call":"id"}', f"{value[:-1]}{value[-1]}"):
        text = offer_with(f'{value},"data":{again},"call":"{call}"'.encode())
        assert is_refused(text)


@given(objects(), objects(), objects())
def test_no_ambiguous_frame_passes_for_a_usual_one(
    envelope: tuple[list[str], str], body: tuple[list[str], str], inner: tuple[list[str], str]
) -> None:
    extra, more = envelope[1][1:-1], body[1][1:-1]
    text = (
        '{"requestId":"r","module":"ROOM","cmd":"WEBRTC_OFFER","data":{"from":"a","to":"b",'
        f'"data":{inner[1]}{"," * bool(more)}{more}}}{"," * bool(extra)}{extra}}}'
    ).encode()
    message = decode(text)

    if isinstance(message, Offer):
        assert not has_ambiguous_names(text, reads_data=True)
        assert len(body[0]) == len(set(body[0]))
        assert "data" not in body[0]
