"""What clients send and get, spelled here once more: the tests read the protocol for themselves."""

import itertools
import json
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import jwt

from tests.support.system import SECRET

Json = dict[str, Any]

TOKEN_LIFE_S: Final = 3600
NO_CLAIMS: Final[Mapping[str, object]] = MappingProxyType({})

REFUSALS: Final = {
    "BAD_MESSAGE": (400, "消息格式错误"),
    "UNKNOWN_COMMAND": (400, "不支持的命令"),
    "NOT_IN_SAME_ROOM": (1000, "用户不在同一房间内"),
    "TARGET_OFFLINE": (1000, "目标用户不在线"),
    "NO_MATCHING_OFFER": (1000, "没有对应的连接请求"),
    "NO_VOICE_PERMISSION": (1000, "没有权限发起语音连接"),
    "SENDER_MISMATCH": (1000, "发送方身份不符"),
    "ROOM_FORBIDDEN": (1000, "没有权限加入该房间"),
    "BAD_TOKEN": (1000, "令牌无效"),
    "RATE_LIMITED": (1000, "请求过于频繁"),
    "ROOM_FULL": (1000, "房间已满"),
    "TOO_MANY_CANDIDATES": (1000, "候选信息过多"),
    "TOO_MANY_ROOMS": (1000, "加入的房间过多"),
    "INTERNAL": (500, "服务器内部错误"),
}

OFFER: Final = "WEBRTC_OFFER"
ANSWER: Final = "WEBRTC_ANSWER"
CANDIDATE: Final = "WEBRTC_ICE_CANDIDATE"
HANGUP: Final = "WEBRTC_HANGUP"

_numbers = itertools.count(1)


def token(
    user: str, claims: Mapping[str, object] = NO_CLAIMS, secret: str = SECRET, algorithm: str = "HS256"
) -> str:
    """Sign a token that grants every room, but for `claims`; one that is None is left out."""
    said = {"sub": user, "exp": int(time.time()) + TOKEN_LIFE_S, "rooms": "*", **claims}
    return jwt.encode({name: claim for name, claim in said.items() if claim is not None}, secret, algorithm)


def new_id(kind: str) -> str:
    """Make an id that this run has not used yet."""
    return f"{kind}-{next(_numbers)}"


def command(cmd: str, data: object, request_id: str | None = None) -> bytes:
    """Write one client frame."""
    request_id = new_id("request") if request_id is None else request_id
    frame = {"requestId": request_id, "module": "ROOM", "cmd": cmd, "data": data}
    return json.dumps(frame, ensure_ascii=False).encode()


def signal(cmd: str, sender: str, to: str, data: object = None) -> bytes:
    """Write one WEBRTC frame, with data that tells it from all others unless they are given."""
    data = {"sdp": new_id("sdp")} if data is None else data
    return command(cmd, {"from": sender, "to": to, "data": data})


def names_of(frame: bytes) -> Json:
    """Read what replies echo of a frame."""
    said = json.loads(frame)
    return {"requestId": said["requestId"], "module": "ROOM", "cmd": said["cmd"]}


def ack(frame: bytes, kind: str) -> Json:
    """Spell the ack to a frame."""
    return {**names_of(frame), "code": 200, "msg": "success", "data": None, "ack": kind}


def refusal(reason: str, names: Mapping[str, str]) -> Json:
    """Spell an error; `names` are the requestId and cmd that it echoes."""
    code, msg = REFUSALS[reason]
    return {
        "requestId": "",
        "module": "ROOM",
        "cmd": "",
        **names,
        "code": code,
        "msg": msg,
        "data": None,
        "reason": reason,
    }
