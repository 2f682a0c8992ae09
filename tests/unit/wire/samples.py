"""What several tests of the wire need: ids that mean harm, ids that do not, and client frames."""

import json
from typing import Any

from hypothesis import strategies as st

from tieline.wire.envelope import Offer, decode
from tieline.wire.ids import is_valid_id

HOSTILE_IDS = (
    "*",
    ">",
    ".",
    "..",
    ".>",
    "a.b",
    "a.",
    ".a",
    "a b",
    " ",
    "用户 一",
    "😀",
    "$JS.API.>",
    "$SYS",
    "_INBOX.>",
    "\r\n",
    "x 0\r\n\r\nPUB tieline.user.victim.s 1\r\nx\r\n",
    "\t",
    "\x00",
    "\x7f",
    "\x85",
    "\ufeff",
    "\u2028",
    "=",
    "=41",
    "\u202e",
    "\u200b",
    "a ",
    "A",
    "=3D41",
    "==",
    "%2A",
    "a/b",
    "\\",
    '"',
    "-",
    "_",
    "é",
    "e\u0301",
    "x" * 128,
    "界" * 42,
)
"""Ids that would be an injection, or two ids in one, if they stood in a subject as they are."""

ANY_TEXT = st.text(st.characters(codec="utf-8"), min_size=1)
"""Every text that is UTF-8, control characters too: more than an id may be."""

VALID_IDS = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Cf", "Zl", "Zp")), min_size=1, max_size=128
).filter(is_valid_id)

REFUSALS = (
    (400, "消息格式错误", "BAD_MESSAGE"),
    (400, "不支持的命令", "UNKNOWN_COMMAND"),
    (400, "字段名重复或有歧义", "AMBIGUOUS_NAMES"),
    (1000, "用户不在同一房间内", "NOT_IN_SAME_ROOM"),
    (1000, "目标用户不在线", "TARGET_OFFLINE"),
    (1000, "没有对应的连接请求", "NO_MATCHING_OFFER"),
    (1000, "没有权限发起语音连接", "NO_VOICE_PERMISSION"),
    (1000, "发送方身份不符", "SENDER_MISMATCH"),
    (1000, "没有权限加入该房间", "ROOM_FORBIDDEN"),
    (1000, "令牌无效", "BAD_TOKEN"),
    (1000, "房间已满", "ROOM_FULL"),
    (1000, "请求过于频繁", "RATE_LIMITED"),
    (1000, "候选信息过多", "TOO_MANY_CANDIDATES"),
    (1000, "加入的房间过多", "TOO_MANY_ROOMS"),
    (500, "服务器内部错误", "INTERNAL"),
)
"""The table of the client protocol, "Errors", in its order."""

SIGNALS = ("WEBRTC_OFFER", "WEBRTC_ANSWER", "WEBRTC_ICE_CANDIDATE", "WEBRTC_HANGUP", "WEBRTC_INFO")
ROOM_COMMANDS = ("JOIN", "LEAVE", "MEMBERS")


def signal_message(cmd: str = "WEBRTC_OFFER") -> dict[str, Any]:
    """A WEBRTC message as a client has it before it becomes JSON, to be spoiled by a test."""
    return {
        "requestId": "r-1",
        "module": "ROOM",
        "cmd": cmd,
        "code": 200,
        "msg": "success",
        "data": {"from": "alice", "to": "bob", "data": {"type": "offer", "sdp": "v=0\r\n"}},
    }


def room_message(cmd: str = "JOIN") -> dict[str, Any]:
    """A JOIN, LEAVE or MEMBERS before it becomes JSON."""
    return {"requestId": "r-1", "module": "ROOM", "cmd": cmd, "data": {"room": "room-1"}}


def ping_message() -> dict[str, Any]:
    """A PING before it becomes JSON."""
    return {"requestId": "r-1", "module": "ROOM", "cmd": "PING", "data": {"any": "thing"}}


def ice_servers_message() -> dict[str, Any]:
    """An ICE_SERVERS before it becomes JSON."""
    return {"requestId": "r-1", "module": "ROOM", "cmd": "ICE_SERVERS", "data": None}


def refresh_message(token: str = "a.b.c") -> dict[str, Any]:
    """A REFRESH_TOKEN before it becomes JSON."""
    return {"requestId": "r-1", "module": "ROOM", "cmd": "REFRESH_TOKEN", "data": {"token": token}}


def status_message() -> dict[str, Any]:
    """A STATUS before it becomes JSON."""
    return {"requestId": "r-1", "module": "ROOM", "cmd": "STATUS", "data": {"inCall": True}}


def every_message() -> list[dict[str, Any]]:
    """One well-formed message of every command."""
    return [
        *(signal_message(cmd) for cmd in SIGNALS),
        *(room_message(cmd) for cmd in ROOM_COMMANDS),
        ping_message(),
        ice_servers_message(),
        refresh_message(),
        status_message(),
    ]


def frame(message: object) -> bytes:
    """Encode a message as a client would."""
    return json.dumps(message, ensure_ascii=False).encode()


def offer_with(inner: bytes) -> bytes:
    """An offer whose `data.data` is these very bytes."""
    return (
        b'{"requestId":"r-1","module":"ROOM","cmd":"WEBRTC_OFFER",'
        b'"data":{"from":"alice","to":"bob","data":' + inner + b"}}"
    )


def inner_of(frame_: bytes) -> bytes:
    """The raw `data.data` of an offer, which must be one."""
    message = decode(frame_)
    assert isinstance(message, Offer)
    return bytes(message.data.data)
