"""Which messages there are, what each must hold, and what is echoed of one that is none."""

import json
from typing import Any, get_args

import msgspec
import pytest

from tests.unit.wire.samples import (
    ROOM_COMMANDS,
    SIGNALS,
    every_message,
    frame,
    ice_servers_message,
    ping_message,
    refresh_message,
    room_message,
    signal_message,
)
from tieline.wire.codes import ErrorCode
from tieline.wire.envelope import (
    COMMAND_OF,
    COMMANDS,
    MAX_MESSAGE_BYTES,
    SIGNAL_COMMANDS,
    Answer,
    Candidate,
    ClientMessage,
    Hangup,
    IceServers,
    Info,
    Join,
    Leave,
    Malformed,
    Members,
    MembersBody,
    Offer,
    Ping,
    RefreshToken,
    RoomBody,
    SignalBody,
    Status,
    StatusBody,
    decode,
)

BAD = ErrorCode.BAD_MESSAGE
UNKNOWN = ErrorCode.UNKNOWN_COMMAND

ODD_VALUES: tuple[object, ...] = (None, 7, 1.5, True, [], ["x"], {}, {"x": "y"})
FREE_DATA = ("PING", "ICE_SERVERS")
"""Commands whose `data` may be anything, or missing."""
every_well_formed = pytest.mark.parametrize("message", every_message(), ids=lambda message: message["cmd"])


def without(message: dict[str, Any], field: str) -> dict[str, Any]:
    return {name: value for name, value in message.items() if name != field}


# Well-formed messages.


def test_the_commands_are_those_of_the_protocol() -> None:
    assert SIGNAL_COMMANDS == SIGNALS
    assert {*SIGNALS, *ROOM_COMMANDS, *FREE_DATA, "REFRESH_TOKEN", "STATUS"} == set(COMMANDS)


def test_every_message_is_in_the_table_under_its_command() -> None:
    assert {kind: str(kind.__struct_config__.tag) for kind in get_args(ClientMessage)} == COMMAND_OF


@pytest.mark.parametrize("cmd", COMMANDS)
def test_a_command_is_addressed_to_whom_its_data_names(cmd: str) -> None:
    command = COMMANDS[cmd]
    (body,) = (field.type for field in msgspec.structs.fields(command.message) if field.name == "data")

    assert command.to == {SignalBody: "user", RoomBody: "room", MembersBody: "room"}.get(body, "server")


@pytest.mark.parametrize("cmd", COMMANDS)
def test_a_command_is_replied_to_or_acknowledged(cmd: str) -> None:
    command = COMMANDS[cmd]

    assert bool(command.reply) is (cmd not in SIGNALS)
    assert bool(command.acks) is (cmd in SIGNALS)
    assert ("held" in command.acks) is (cmd == "WEBRTC_ICE_CANDIDATE")


@pytest.mark.parametrize(
    ("cmd", "kind"),
    [
        ("WEBRTC_OFFER", Offer),
        ("WEBRTC_ANSWER", Answer),
        ("WEBRTC_ICE_CANDIDATE", Candidate),
        ("WEBRTC_HANGUP", Hangup),
        ("WEBRTC_INFO", Info),
    ],
)
def test_a_signal_says_who_sends_what_to_whom(
    cmd: str, kind: type[Offer] | type[Answer] | type[Candidate] | type[Hangup] | type[Info]
) -> None:
    message = decode(frame(signal_message(cmd)))

    assert isinstance(message, kind)
    assert (message.request_id, message.data.sender, message.data.to) == ("r-1", "alice", "bob")
    assert json.loads(bytes(message.data.data)) == {"type": "offer", "sdp": "v=0\r\n"}


@pytest.mark.parametrize(("cmd", "kind"), [("JOIN", Join), ("LEAVE", Leave), ("MEMBERS", Members)])
def test_a_room_command_names_its_room(cmd: str, kind: type[Join] | type[Leave] | type[Members]) -> None:
    message = decode(frame(room_message(cmd)))

    assert isinstance(message, kind)
    assert (message.request_id, message.data.room) == ("r-1", "room-1")


@pytest.mark.parametrize("data", [*ODD_VALUES, "text", {"deep": [{"er": [1]}]}])
def test_a_ping_may_carry_anything(data: object) -> None:
    message = decode(frame(ping_message() | {"data": data}))

    assert isinstance(message, Ping)
    assert json.loads(bytes(message.data)) == data


def test_a_ping_without_data_carries_null() -> None:
    message = decode(frame(without(ping_message(), "data")))

    assert isinstance(message, Ping)
    assert bytes(message.data) == b"null"


@pytest.mark.parametrize("data", [*ODD_VALUES, "text"])
def test_a_request_for_ice_servers_may_carry_anything_or_nothing(data: object) -> None:
    assert isinstance(decode(frame(ice_servers_message() | {"data": data})), IceServers)
    assert isinstance(decode(frame(without(ice_servers_message(), "data"))), IceServers)


def test_a_refresh_carries_its_token() -> None:
    message = decode(frame(refresh_message("x.y.z")))

    assert isinstance(message, RefreshToken)
    assert message.data.token == "x.y.z"


@pytest.mark.parametrize("data", [*ODD_VALUES, "token", {"token": None}, {"token": 7}, {"Token": "x"}])
def test_a_refresh_without_a_token_is_bad(data: object) -> None:
    assert decode(frame(refresh_message() | {"data": data})) == Malformed(BAD, "r-1", "REFRESH_TOKEN")
    assert decode(frame(without(refresh_message(), "data"))) == Malformed(BAD, "r-1", "REFRESH_TOKEN")


@pytest.mark.parametrize("inner", [*ODD_VALUES, "text", {"reason": "busy"}])
@pytest.mark.parametrize("cmd", SIGNALS)
def test_the_inner_data_of_a_signal_may_be_any_value(cmd: str, inner: object) -> None:
    message = signal_message(cmd)
    message["data"]["data"] = inner

    decoded = decode(frame(message))

    assert isinstance(decoded, Offer | Answer | Candidate | Hangup | Info)
    assert json.loads(bytes(decoded.data.data)) == inner


@every_well_formed
def test_code_and_msg_are_optional_and_ignored(message: dict[str, Any]) -> None:
    plain = without(without(message, "code"), "msg")

    assert not isinstance(decode(frame(plain)), Malformed)
    for odd in ODD_VALUES:
        assert type(decode(frame(plain | {"code": odd, "msg": odd}))) is type(decode(frame(plain)))


@every_well_formed
def test_unknown_fields_are_allowed_on_every_level(message: dict[str, Any]) -> None:
    spoiled = {"": 1, "command": "x", "reason": None, **message, "ack": [], "用户": {"a": [None]}}
    if message["cmd"] not in FREE_DATA:
        spoiled["data"] = {"x": 1, **message["data"], "userId": {"from": 7}}

    assert type(decode(frame(spoiled))) is type(decode(frame(message)))


@every_well_formed
def test_the_order_of_the_fields_does_not_matter(message: dict[str, Any]) -> None:
    backwards = dict(reversed(message.items()))

    assert type(decode(frame(backwards))) is type(decode(frame(message)))


@every_well_formed
def test_white_space_does_not_matter(message: dict[str, Any]) -> None:
    airy = b" \r\n\t" + json.dumps(message, indent="\t \n").encode() + b"\n\n "

    assert type(decode(airy)) is type(decode(frame(message)))


def test_a_message_as_long_as_allowed_is_read() -> None:
    message = signal_message()
    message["data"]["data"] = ""
    message["data"]["data"] = "x" * (MAX_MESSAGE_BYTES - len(frame(message)))

    assert len(frame(message)) == 65_536
    assert isinstance(decode(frame(message)), Offer)


# Fields missing, or of another type.


@every_well_formed
@pytest.mark.parametrize("field", ["requestId", "module", "cmd"])
def test_a_message_without_one_of_its_fields_is_bad(field: str, message: dict[str, Any]) -> None:
    request_id = "" if field == "requestId" else "r-1"
    cmd = "" if field == "cmd" else message["cmd"]

    assert decode(frame(without(message, field))) == Malformed(BAD, request_id, cmd)


@pytest.mark.parametrize("message", [*map(signal_message, SIGNALS), *map(room_message, ROOM_COMMANDS)])
def test_a_message_other_than_ping_without_data_is_bad(message: dict[str, Any]) -> None:
    assert decode(frame(without(message, "data"))) == Malformed(BAD, "r-1", message["cmd"])


@every_well_formed
@pytest.mark.parametrize("odd", ODD_VALUES, ids=repr)
@pytest.mark.parametrize("field", ["requestId", "module", "cmd"])
def test_a_field_of_another_type_is_bad_and_not_echoed(
    field: str, odd: object, message: dict[str, Any]
) -> None:
    request_id = "" if field == "requestId" else "r-1"
    cmd = "" if field == "cmd" else message["cmd"]

    assert decode(frame(message | {field: odd})) == Malformed(BAD, request_id, cmd)


@pytest.mark.parametrize("odd", [None, 7, 1.5, True, [], ["from", "to", "data"], "text"], ids=repr)
@pytest.mark.parametrize("message", [*map(signal_message, SIGNALS), *map(room_message, ROOM_COMMANDS)])
def test_data_that_is_no_object_is_bad(message: dict[str, Any], odd: object) -> None:
    assert decode(frame(message | {"data": odd})) == Malformed(BAD, "r-1", message["cmd"])


@pytest.mark.parametrize("cmd", SIGNALS)
@pytest.mark.parametrize("field", ["from", "to", "data"])
def test_a_signal_needs_from_to_and_data(field: str, cmd: str) -> None:
    message = signal_message(cmd)
    del message["data"][field]

    assert decode(frame(message)) == Malformed(BAD, "r-1", cmd)


@pytest.mark.parametrize("odd", ODD_VALUES, ids=repr)
@pytest.mark.parametrize("field", ["from", "to"])
@pytest.mark.parametrize("cmd", SIGNALS)
def test_a_name_that_is_no_text_is_bad(cmd: str, field: str, odd: object) -> None:
    message = signal_message(cmd)
    message["data"][field] = odd

    assert decode(frame(message)) == Malformed(BAD, "r-1", cmd)


@pytest.mark.parametrize("odd", ODD_VALUES, ids=repr)
@pytest.mark.parametrize("cmd", ROOM_COMMANDS)
def test_a_room_that_is_no_text_is_bad(cmd: str, odd: object) -> None:
    assert decode(frame(room_message(cmd) | {"data": {"room": odd}})) == Malformed(BAD, "r-1", cmd)


@pytest.mark.parametrize("cmd", ROOM_COMMANDS)
def test_a_room_command_needs_its_room(cmd: str) -> None:
    assert decode(frame(room_message(cmd) | {"data": {}})) == Malformed(BAD, "r-1", cmd)


@every_well_formed
@pytest.mark.parametrize("module", ["", "room", "ROOM ", "ROOMS", "CHAT", "房间"])
def test_another_module_is_bad(module: str, message: dict[str, Any]) -> None:
    assert decode(frame(message | {"module": module})) == Malformed(BAD, "r-1", message["cmd"])


# Commands that nobody knows.

STRANGE_COMMANDS = (
    "ping",
    "WEBRTC_OFFER ",
    "WEBRTC",
    "WELCOME",
    "PONG",
    "MEMBER_JOINED",
    "x" * 128,
    "命令",
    "*",
)


@pytest.mark.parametrize("cmd", STRANGE_COMMANDS)
def test_an_unknown_command_is_told_from_a_bad_message_and_echoed(cmd: str) -> None:
    for message in every_message():
        assert decode(frame(message | {"cmd": cmd})) == Malformed(UNKNOWN, "r-1", cmd)


def test_an_unknown_command_may_have_any_data_or_none() -> None:
    message = {"requestId": "r-1", "module": "ROOM", "cmd": "NEW"}

    assert decode(frame(message)) == Malformed(UNKNOWN, "r-1", "NEW")
    for data in ODD_VALUES:
        assert decode(frame(message | {"data": data})) == Malformed(UNKNOWN, "r-1", "NEW")


@pytest.mark.parametrize("spoil", [{"module": "CHAT"}, {"module": None}, {"requestId": 7}, {"requestId": ""}])
def test_an_unknown_command_in_a_bad_message_is_a_bad_message(
    spoil: dict[str, Any],
) -> None:
    message = signal_message("NEW") | spoil

    assert decode(frame(message)) == Malformed(BAD, "" if "requestId" in spoil else "r-1", "NEW")


@pytest.mark.parametrize("cmd", ["", "x" * 129, "A\nB", "\x85"], ids=ascii)
def test_a_command_that_is_no_id_is_a_bad_message(cmd: str) -> None:
    assert decode(frame(signal_message(cmd))) == Malformed(BAD, "r-1", "")


def test_a_page_beside_a_lone_surrogate_is_read_as_it_was_written() -> None:
    body = rb'{"room":"a","after":"b","limit":3,"else":"\ud800"}'
    message = decode(rb'{"requestId":"r","module":"ROOM","cmd":"MEMBERS","data":' + body + b"}")
    assert isinstance(message, Members)
    assert (message.data.room, message.data.after, message.data.limit) == ("a", "b", 3)


def test_a_status_beside_a_lone_surrogate_is_read_as_it_was_written() -> None:
    body = rb'{"inCall":true,"else":"\ud800"}'
    message = decode(rb'{"requestId":"r","module":"ROOM","cmd":"STATUS","data":' + body + b"}")
    assert message == Status("r", "ROOM", StatusBody(in_call=True))
