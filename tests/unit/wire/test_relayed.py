"""What is put into a frame of somebody else, and that all else stays."""

import json
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.wire.samples import SIGNALS, frame, signal_message
from tieline.wire.relayed import with_call

CALL: Final = "0123456789abcdef"

INNER: Final = b'{ "sdp" : "v=0\\r\\n\\u00e9\\ud83d\\ude00" , "x" : [ 1.50, 1e5 , null ] }'
"""What no encoder would write so."""


def around(inner: bytes, before: bytes = b"", after: bytes = b"") -> bytes:
    """Put what is relayed into an envelope that its sender has written oddly."""
    return (
        b' {"more":{"data":{"from":"x"}} , "requestId":"r-1","module":"ROOM","cmd":"WEBRTC_OFFER" '
        b', "data" : {' + before + b' "from":"alice","to":"bob" ,"data": ' + inner + after + b"} }\n"
    )


@pytest.mark.parametrize("cmd", SIGNALS)
def test_a_frame_says_which_call_it_belongs_to(cmd: str) -> None:
    message = signal_message(cmd)
    told = json.loads(with_call(frame(message), CALL))
    assert told == message | {"data": message["data"] | {"call": CALL}}
    assert list(told["data"]) == [*message["data"], "call"]


def test_what_is_relayed_stays_byte_for_byte() -> None:
    told = with_call(around(INNER), CALL)
    assert INNER in told
    assert json.loads(told) == json.loads(around(INNER, after=b',"call":"' + CALL.encode() + b'"'))


@pytest.mark.parametrize("odd", [b'"\\ud800"', b'["\\uDFFF", "\\ud83d\\ude00"]'])
def test_lone_surrogates_pass(odd: bytes) -> None:
    told = with_call(around(odd), CALL)
    assert odd in told
    read = json.loads(told)
    assert (read["requestId"], read["cmd"], read["data"]["call"]) == ("r-1", "WEBRTC_OFFER", CALL)
    assert "call" not in json.loads(with_call(around(odd, before=b'"call":"x",'), ""))["data"]


@pytest.mark.parametrize(
    "spoken",
    [b'"call":"another",', b'"call":null,', b'"call":{"call":1},', b'"c\\u0061ll":"another",', b'"call":"",'],
)
def test_what_the_sender_says_of_it_does_not_count(spoken: bytes) -> None:
    for inner in (INNER, b'"\\ud800"'):
        assert json.loads(with_call(around(inner, before=spoken), CALL))["data"]["call"] == CALL
        assert "call" not in json.loads(with_call(around(inner, before=spoken), ""))["data"]


def test_a_sender_that_says_the_same_leaves_nothing_to_do() -> None:
    sent = around(INNER, after=b',"call":"' + CALL.encode() + b'"')
    assert with_call(sent, CALL) is sent


@pytest.mark.parametrize("inner", [INNER, b'{"call":"a call of their own"}', b'"call"'])
def test_a_frame_of_no_call_stays_as_it_is(inner: bytes) -> None:
    sent = around(inner)
    assert with_call(sent, "") is sent


def test_an_event_of_the_server_stays_as_it_is() -> None:
    event = b'{"requestId":"e","module":"ROOM","cmd":"MEMBER_LEFT","code":200,"data":{"room":"call"}}'
    assert with_call(event, "") is event


@given(
    st.dictionaries(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8"))),
    st.dictionaries(st.text(st.characters(codec="utf-8")), st.integers(-(2**60), 2**60)),
    st.booleans(),
    st.sampled_from((CALL, "")),
)
def test_nothing_else_is_lost(more: dict[str, str], body: dict[str, int], is_ascii: bool, call: str) -> None:
    envelope = {"requestId": "r", "module": "ROOM", "cmd": "WEBRTC_OFFER"}
    data: dict[str, object] = {**body, "from": "a", "to": "b", "data": [more]}
    message = {**more, **envelope, "data": data}
    told = json.loads(with_call(json.dumps(message, ensure_ascii=is_ascii).encode(), call))
    expected = {name: value for name, value in data.items() if name != "call"}
    assert told == message | {"data": expected | ({"call": call} if call else {})}


@pytest.mark.parametrize(
    "frame",
    [
        b"call me",
        b'{"call":1}',
        b'{"data":[1,"call"]}',
        b'{"data":5,"x":"\\ud800"}',
        b'{"data":' + b"[" * 60_000,
        b'{"call":' + b"[" * 20_000 + b"]" * 20_000 + b',"data":{}}',
    ],
)
@pytest.mark.parametrize("call", ["", CALL])
def test_what_no_client_may_send_stays_as_it_is(frame: bytes, call: str) -> None:
    assert with_call(frame, call) == frame
