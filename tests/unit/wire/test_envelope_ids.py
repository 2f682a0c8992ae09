"""Which request ids, user ids and room ids a message may hold."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.kept import kept_bytes
from tests.unit.wire.samples import (
    HOSTILE_IDS,
    ROOM_COMMANDS,
    SIGNALS,
    every_message,
    frame,
    room_message,
    signal_message,
)
from tieline.wire.codes import ErrorCode
from tieline.wire.envelope import (
    Join,
    Malformed,
    Offer,
    RoomBody,
    SignalBody,
    decode,
)
from tieline.wire.ids import is_valid_id

BAD = ErrorCode.BAD_MESSAGE

every_well_formed = pytest.mark.parametrize("message", every_message(), ids=lambda message: message["cmd"])

UNUSABLE_IDS = (
    "",
    "x" * 129,
    "界" * 43,
    "\x00",
    "a\nb",
    "\x7f",
    "a\x85",
    "\x9f",
    "\r\n",
    "a\u202eb",
    "\u200b",
    " a",
    "a\u3000",
)


def spoil_sender(message: dict[str, Any], text: str) -> None:
    message["data"]["from"] = text


def spoil_target(message: dict[str, Any], text: str) -> None:
    message["data"]["to"] = text


def spoil_room(message: dict[str, Any], text: str) -> None:
    message["data"]["room"] = text


NAMES: list[tuple[dict[str, Any], Callable[[dict[str, Any], str], None]]] = [
    *((signal_message(cmd), spoil) for cmd in SIGNALS for spoil in (spoil_sender, spoil_target)),
    *((room_message(cmd), spoil_room) for cmd in ROOM_COMMANDS),
]


@pytest.mark.parametrize("text", UNUSABLE_IDS, ids=ascii)
@pytest.mark.parametrize(("message", "spoil"), NAMES)
def test_an_unusable_name_is_bad_and_the_message_is_echoed(
    message: dict[str, Any], spoil: Callable[[dict[str, Any], str], None], text: str
) -> None:
    spoil(message, text)

    assert decode(frame(message)) == Malformed(BAD, "r-1", message["cmd"])


@every_well_formed
@pytest.mark.parametrize("text", UNUSABLE_IDS, ids=ascii)
def test_an_unusable_request_id_is_bad_and_not_echoed(message: dict[str, Any], text: str) -> None:
    assert decode(frame(message | {"requestId": text})) == Malformed(BAD, "", message["cmd"])


@pytest.mark.parametrize("text", [text for text in HOSTILE_IDS if is_valid_id(text)], ids=ascii)
def test_an_odd_but_printable_id_is_read_as_it_stands(text: str) -> None:
    signal = signal_message() | {"requestId": text, "data": {"from": text, "to": text, "data": None}}
    room = room_message() | {"requestId": text, "data": {"room": text}}

    sent, joined = decode(frame(signal)), decode(frame(room))

    assert isinstance(sent, Offer)
    assert isinstance(sent.data, SignalBody)
    assert (sent.request_id, sent.data.sender, sent.data.to) == (text, text, text)
    assert isinstance(joined, Join)
    assert (joined.request_id, joined.data) == (text, RoomBody(text))


LONG = "x" * 60_000


@pytest.mark.parametrize(
    "text",
    [
        '{"requestId":"r","module":"ROOM","cmd":"JOIN","data":{"room":"LONG"}}',
        '{"requestId":"r","module":"ROOM","cmd":"WEBRTC_OFFER","data":{"from":"LONG","to":"b","data":1}}',
        '{"requestId":"r","module":"ROOM","cmd":"WEBRTC_OFFER","data":{"from":"a","to":"LONG","data":1}}',
        '{"requestId":"r","module":"ROOM","cmd":"WEBRTC_OFFER","data":{"from":"a","to":"b","call":"LONG","data":1}}',
        '{"requestId":"r","module":"ROOM","cmd":"PING","msg":"LONG","data":1}',
        '{"requestId":"r","module":"ROOM","cmd":"PING","LONG":1,"data":1}',
        '{"requestId":"LONG","module":"ROOM","cmd":"PING","data":1}',
    ],
)
def test_of_what_is_long_nothing_is_kept(text: str) -> None:
    assert kept_bytes(lambda number: decode(text.replace("LONG", f"{number}{LONG}").encode())) < 2 * len(LONG)
