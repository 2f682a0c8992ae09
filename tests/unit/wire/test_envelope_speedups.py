"""What is done many bytes at a time is done as it would be one by one."""

import re
from typing import Final

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tieline.wire.codes import ErrorCode
from tieline.wire.envelope import (
    IceServers,
    Join,
    Malformed,
    Offer,
    Ping,
    RefreshToken,
    RoomBody,
    TokenBody,
    decode,
)
from tieline.wire.ids import is_valid_id
from tieline.wire.origin import origin_of, request_id_of

ESCAPE: Final = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair of surrogates
    r"|(u[dD][89a-fA-F][0-9a-fA-F]{2})"  # a lone one
    r"|.)",
    re.DOTALL,
)


def has_lone_surrogate(text: str) -> bool:
    """Look for lone surrogates escape by escape."""
    return any(escape[1] for escape in ESCAPE.finditer(text))


def is_text(text: str) -> bool:
    """Whether a text is a good one, by the decoder alone."""
    try:
        msgspec.json.decode(f'"{text}"'.encode(), type=str)
    except msgspec.DecodeError:
        return False
    return True


def read(text: str) -> str:
    """Read a text, by the decoder alone."""
    return msgspec.json.decode(f'"{text}"'.encode(), type=str)


PIECES = st.sampled_from(
    [
        r"\ud800",
        r"\uDBFF",
        r"\udc00",
        r"\uDfFf",
        r"\u0041",
        r"\u0001",
        r"\uE000",
        "\\\\",
        r"\"",
        r"\n",
        "x",
        "u",
        "d800",
        r"\ud064",
        r"\uD7Ff",
        r"\ue800",
        "\uec00",
    ]
)

TEXTS = st.lists(PIECES, max_size=12).map("".join)
LONE = rb'"\ud800"'.decode()
"""Beside it nothing is read as it stands: the whole frame is masked."""


@given(TEXTS, TEXTS, TEXTS)
def test_beside_lone_surrogates_ids_are_read_as_written(request_id: str, sender: str, to: str) -> None:
    frame = (
        f'{{"requestId":"{request_id}","module":"ROOM","cmd":"WEBRTC_OFFER",'
        f'"data":{{"from":"{sender}","to":"{to}","data":{LONE}}}}}'
    ).encode()
    good = [is_text(text) and is_valid_id(read(text)) for text in (request_id, sender, to)]

    message = decode(frame)

    if all(good):
        assert isinstance(message, Offer)
        assert message.request_id == request_id_of(frame) == read(request_id)
        assert (message.data.sender, message.data.to) == (read(sender), read(to))
        assert bytes(message.data.data) == LONE.encode()
        assert origin_of(frame) == (read(request_id), read(sender))
    else:
        shown = read(request_id) if good[0] else ""
        assert message == Malformed(ErrorCode.BAD_MESSAGE, shown, "WEBRTC_OFFER")


@given(TEXTS, TEXTS)
def test_beside_lone_surrogates_a_ping_is_read_as_written(extra: str, data: str) -> None:
    frame = (
        f'{{"requestId":"r","module":"ROOM","cmd":"PING","extra":["{extra}",{LONE}],'
        f'"data":["{data}",{{"{data}":1}}]}}'
    ).encode()

    message = decode(frame)

    if is_text(data):
        assert isinstance(message, Ping)
        assert bytes(message.data) == f'["{data}",{{"{data}":1}}]'.encode()
    else:
        assert message == Malformed(ErrorCode.BAD_MESSAGE, "r", "PING")


@given(TEXTS)
def test_beside_lone_surrogates_a_token_is_read_as_written(token: str) -> None:
    frame = (
        f'{{"requestId":"r","module":"ROOM","cmd":"REFRESH_TOKEN","extra":{LONE},'
        f'"data":{{"token":"{token}"}}}}'
    ).encode()

    expected = (
        RefreshToken("r", "ROOM", TokenBody(read(token)))
        if is_text(token)
        else Malformed(ErrorCode.BAD_MESSAGE, "r", "REFRESH_TOKEN")
    )
    assert decode(frame) == expected


@given(TEXTS)
def test_beside_lone_surrogates_a_room_is_read_as_written(room: str) -> None:
    frame = (
        f'{{"requestId":"r","module":"ROOM","cmd":"JOIN","extra":{LONE},"data":{{"room":"{room}"}}}}'
    ).encode()

    if is_text(room) and is_valid_id(read(room)):
        assert decode(frame) == Join("r", "ROOM", RoomBody(read(room)))
    else:
        assert decode(frame) == Malformed(ErrorCode.BAD_MESSAGE, "r", "JOIN")


@given(TEXTS, TEXTS)
def test_beside_lone_surrogates_a_refusal_is_as_written(request_id: str, cmd: str) -> None:
    frame = f'{{"requestId":"{request_id}","module":"ROOM","cmd":"{cmd}","data":{LONE}}}'.encode()
    shown, named = (
        read(text) if is_text(text) and is_valid_id(read(text)) else "" for text in (request_id, cmd)
    )

    code = ErrorCode.UNKNOWN_COMMAND if shown and named else ErrorCode.BAD_MESSAGE
    assert decode(frame) == Malformed(code, shown, named)


def test_masked_fields_are_not_taken_for_others() -> None:
    # \ud064 is no surrogate, and has the digits of "d".
    frame = rb'{"cm\ud064":"JOIN","requestI\ud064":"x","requestId":"r","module":"ROOM","cmd":"ICE_SERVERS",'

    message = decode(frame + rb'"data":"\ud800"}')

    assert isinstance(message, IceServers)
    assert (message.request_id, bytes(message.data)) == ("r", rb'"\ud800"')


def test_no_refusal_names_an_id_with_lone_surrogates() -> None:
    for cmd, data in (("PING", LONE), ("REFRESH_TOKEN", f'{{"token":{LONE}}}')):
        frame = f'{{"requestId":{LONE},"module":"ROOM","cmd":"{cmd}","data":{data}}}'.encode()
        assert decode(frame) == Malformed(ErrorCode.BAD_MESSAGE, "", cmd)
    assert request_id_of(f'{{"requestId":{LONE}}}'.encode()) == ""
    assert origin_of(f'{{"requestId":{LONE},"data":{{"from":{LONE}}}}}'.encode()) == ("", "")


def test_an_id_may_be_written_in_escapes_to_the_last_byte() -> None:
    for size, shown in ((128, "A" * 128), (129, "")):
        spelled = r"\u0041" * size
        frame = f'{{"requestId":"{spelled}","module":"ROOM","cmd":"X","data":{LONE}}}'.encode()
        assert decode(frame) == Malformed(
            ErrorCode.UNKNOWN_COMMAND if shown else ErrorCode.BAD_MESSAGE, shown, "X"
        )
