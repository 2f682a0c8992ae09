"""`decode` against the standard library's json: two readers of one frame must never read two messages."""

import json
import re
from typing import Any, NoReturn

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.examples import scaled
from tests.unit.wire.samples import ROOM_COMMANDS, SIGNALS, VALID_IDS, every_message, frame
from tieline.wire.envelope import (
    COMMANDS,
    ClientMessage,
    Malformed,
    Ping,
    RoomBody,
    SignalBody,
    StatusBody,
    TokenBody,
    decode,
)

ANY_STRING = st.text(st.characters(exclude_categories=()), max_size=20)
"""Lone surrogates too: json.dumps escapes them."""

NUMBERS = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, ANY_STRING),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(ANY_STRING, inner, max_size=4)),
    max_leaves=10,
)
EXTRA = st.dictionaries(ANY_STRING, VALUES, max_size=3)

FIELDS = st.sampled_from(
    [
        *('"cmd":"JOIN",', '"cmd":"WEBRTC_ANSWER",', '"c\\u006dd":"PING",', '"\\u0063md":"WEBRTC_OFFER",'),
        *('"requestId":"r-2",', '"module":"ROOM",', '"module":"CHAT",', '"code":1e999999,', '"":NaN,'),
        *(
            '"from":"mallory",',
            '"to":"x",',
            '"\\u0074o":"y",',
            '"room":"y",',
            '"data":null,',
            '"data":{"room":"z"},',
        ),
    ]
)
"""Goes well behind any `{` or `,` between two fields."""

SIGNS = st.sampled_from(
    [
        "\\ud800",
        "\\udc00",
        "\\ud83d\\ude00",
        "\\u0022",
        "\\\\",
        "\\n",
        "\\u0085",
        "[[",
        "}",
        "界",
        "\ufeff",
        " ",
    ]
)
"""Goes well inside any string."""

RUBBISH = st.sampled_from(
    [
        '"',
        "\\",
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        " ",
        "\n",
        "\x00",
        "0",
        "-",
        "e",
        ".",
        "null",
        "NaN",
        "{}",
        ',"a":1',
    ]
)
"""May go well, but seldom does."""


def refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def read_strictly(text: str) -> Any:
    """Read as the standard library does, but numbers as their digits, and no NaN."""
    return json.loads(text, parse_int=str, parse_float=str, parse_constant=refuse_constant)


def assert_both_read_the_same(text: str, message: ClientMessage) -> None:
    theirs = read_strictly(text)

    assert isinstance(theirs, dict)
    assert theirs["requestId"] == message.request_id
    assert theirs["module"] == "ROOM"
    assert theirs["cmd"] == message.__struct_config__.tag
    match message.data:
        case SignalBody(sender=sender, to=to, data=inner):
            assert theirs["data"]["from"] == sender
            assert theirs["data"]["to"] == to
            raw, value = bytes(inner), theirs["data"]["data"]
        case RoomBody(room=room):
            assert theirs["data"]["room"] == room
            return
        case TokenBody(token=token):
            assert theirs["data"]["token"] == token
            return
        case StatusBody(in_call=in_call):
            assert theirs["data"]["inCall"] is in_call
            return
        case inner:
            raw, value = bytes(inner), theirs.get("data")
    # A frame with lone surrogates is relayed as it came, and read without them.
    if "\\ud" not in text.lower():
        assert read_strictly(raw.decode()) == value


@st.composite
def spoiled_frames(draw: st.DrawFn) -> str:
    """A good frame with something added, or overwritten, where it may still make sense."""
    text = frame(draw(st.sampled_from(every_message()))).decode()
    for _ in range(draw(st.integers(1, 3))):
        match draw(st.sampled_from(["field", "sign", "rubbish"])):
            case "field":
                places, added, cut = [m.end() for m in re.finditer(r"[{,]\s*", text)], draw(FIELDS), 0
            case "sign":
                places, added, cut = [m.end() for m in re.finditer(r"\w", text)], draw(SIGNS), 0
            case _:
                places, added, cut = list(range(len(text))), draw(RUBBISH), draw(st.integers(0, 2))
        place = draw(st.sampled_from(places))
        text = text[:place] + added + text[place + cut :]
    return text


@st.composite
def envelopes(draw: st.DrawFn) -> dict[str, Any]:
    """Any message that the protocol allows, its fields in any order."""
    cmd = draw(st.sampled_from(sorted(COMMANDS)))
    message: dict[str, Any] = {"requestId": draw(VALID_IDS), "module": "ROOM", "cmd": cmd}
    if cmd in SIGNALS:
        message["data"] = {"from": draw(VALID_IDS), "to": draw(VALID_IDS), "data": draw(VALUES)}
    elif cmd in ROOM_COMMANDS:
        message["data"] = {"room": draw(VALID_IDS)}
    elif cmd == "REFRESH_TOKEN":
        message["data"] = {"token": draw(ANY_STRING)}
    elif cmd == "STATUS":
        message["data"] = {"inCall": draw(st.booleans())}
    elif draw(st.booleans()):
        message["data"] = draw(VALUES)
    if cmd in (*SIGNALS, *ROOM_COMMANDS, "REFRESH_TOKEN", "STATUS"):
        message["data"] = in_any_order(draw, draw(EXTRA) | message["data"])
    return in_any_order(
        draw, {name: value for name, value in draw(EXTRA).items() if name != "data"} | message
    )


def in_any_order(draw: st.DrawFn, fields: dict[str, Any]) -> dict[str, Any]:
    return dict(draw(st.permutations(list(fields.items()))))


@settings(max_examples=scaled(1000), suppress_health_check=[HealthCheck.too_slow])
@given(spoiled_frames())
@example('{"requestId": "r-1", "module": "ROOM", "cmd": "REFRESH_TOKEN", "data": {"token": "a\\ud800.b.c"}}')
def test_an_accepted_frame_is_read_the_same_by_another_reader(text: str) -> None:
    message = decode(text.encode())

    if not isinstance(message, Malformed):
        assert_both_read_the_same(text, message)


@settings(max_examples=scaled(200), suppress_health_check=[HealthCheck.too_slow])
@given(envelopes(), st.booleans(), st.sampled_from([None, 0, "\t", " \n\r"]))
@example({"\ud800": None, "requestId": "0", "module": "ROOM", "cmd": "PING"}, False, None)
def test_every_valid_envelope_is_accepted_however_it_is_spelled(
    message: dict[str, Any], escaped: bool, indent: int | str | None
) -> None:
    text = json.dumps(message, ensure_ascii=escaped, indent=indent, allow_nan=False)
    if not escaped and any("\ud800" <= sign <= "\udfff" for sign in text):
        text = json.dumps(message, allow_nan=False)

    decoded = decode(text.encode())

    assert not isinstance(decoded, Malformed)
    assert_both_read_the_same(text, decoded)


@settings(max_examples=scaled(300))
@given(st.text(st.characters(codec="utf-8"), max_size=300))
def test_no_text_whatsoever_makes_decode_raise(text: str) -> None:
    message = decode(text.encode())

    assert isinstance(message, Malformed)


@settings(max_examples=scaled(200))
@given(st.lists(st.one_of(FIELDS, SIGNS, RUBBISH), max_size=60).map("".join))
def test_no_heap_of_json_s_own_signs_makes_decode_raise(text: str) -> None:
    message = decode(text.encode())

    assert isinstance(message, Malformed | Ping)
