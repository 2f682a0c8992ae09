"""How a client is refused: a message (`ErrorCode`), an upgrade (`HandshakeError`), or closed (`CloseCode`).

All are fixed by the client protocol; the client's own reading of them is in `tieline.client`.
"""

import enum
from typing import Final


class ErrorCode(enum.Enum):
    """Why a message is refused; the name is the protocol's `reason`."""

    BAD_MESSAGE = (400, "消息格式错误")
    UNKNOWN_COMMAND = (400, "不支持的命令")
    AMBIGUOUS_NAMES = (400, "字段名重复或有歧义")
    NOT_IN_SAME_ROOM = (1000, "用户不在同一房间内")
    TARGET_OFFLINE = (1000, "目标用户不在线")
    NO_MATCHING_OFFER = (1000, "没有对应的连接请求")
    NO_VOICE_PERMISSION = (1000, "没有权限发起语音连接")
    SENDER_MISMATCH = (1000, "发送方身份不符")
    ROOM_FORBIDDEN = (1000, "没有权限加入该房间")
    BAD_TOKEN = (1000, "令牌无效")
    ROOM_FULL = (1000, "房间已满")
    RATE_LIMITED = (1000, "请求过于频繁")
    TOO_MANY_CANDIDATES = (1000, "候选信息过多")
    TOO_MANY_ROOMS = (1000, "加入的房间过多")
    INTERNAL = (500, "服务器内部错误")

    @property
    def code(self) -> int:
        """The numeric `code` a client sees."""
        return self.value[0]

    @property
    def msg(self) -> str:
        """The text a client sees."""
        return self.value[1]

    @property
    def reason(self) -> str:
        """The stable word a program acts on."""
        return self.name


class HandshakeError(enum.Enum):
    """Why a connection is refused before the upgrade; the value is the HTTP status and the text."""

    MALFORMED = (400, "请求格式错误")
    UNAUTHORIZED = (401, "令牌无效")
    BANNED = (403, "用户已被禁止连接")
    FOREIGN_ORIGIN = (403, "来源不被允许")
    NOT_FOUND = (404, "路径不存在")
    UPGRADE_REQUIRED = (426, "需要升级为 WebSocket 连接")
    HEADERS_TOO_LARGE = (431, "请求头过大")
    TOO_MANY_ROOMS = (401, "令牌中的房间过多")
    TOKEN_IN_QUERY = (401, "令牌不能放在地址中")
    TOKEN_NOT_FOR_HERE = (401, "令牌不是为本服务签发的")
    TOKEN_LIVES_TOO_LONG = (401, "令牌的有效期过长")
    TOO_MANY_BAD_TOKENS = (429, "无效令牌过多")
    TOO_MANY_CONNECTIONS = (429, "连接数过多")
    RATE_LIMITED = (429, "请求过于频繁")
    DRAINING = (503, "服务器正在下线")
    FULL = (503, "服务器连接已满")
    BUSY = (503, "服务器繁忙")
    KEYS_UNAVAILABLE = (503, "密钥暂时不可用")
    BROKER_UNAVAILABLE = (503, "服务暂时不可用")

    @property
    def status(self) -> int:
        """The HTTP status, which is also the body's `code`."""
        return self.value[0]

    @property
    def msg(self) -> str:
        """The text of the body."""
        return self.value[1]

    @property
    def reason(self) -> str:
        """The stable word of the body."""
        return self.name


class CloseCode(enum.IntEnum):
    """Why the server closes a WebSocket. 4000-4499: reconnect; 4500-4999: do not."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    BINARY_FRAME = 1003
    NOT_UTF8 = 1007
    TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    SLOW_CONSUMER = 4000
    PONG_TIMEOUT = 4001
    BROKER_LOST = 4002
    REPLACED = 4500
    TOKEN_EXPIRED = 4501
    KICKED = 4502
    FLOODING = 4503
    PROTOCOL_VIOLATION = 4504


CLOSE_REASONS: Final[dict[CloseCode, str]] = {
    CloseCode.NORMAL: "",
    CloseCode.GOING_AWAY: "server going away",
    CloseCode.PROTOCOL_ERROR: "protocol error",
    CloseCode.BINARY_FRAME: "binary frames are not spoken here",
    CloseCode.NOT_UTF8: "not UTF-8",
    CloseCode.TOO_BIG: "message too big",
    CloseCode.INTERNAL_ERROR: "internal error",
    CloseCode.SERVICE_RESTART: "server restarting",
    CloseCode.SLOW_CONSUMER: "slow consumer",
    CloseCode.PONG_TIMEOUT: "ping unanswered",
    CloseCode.BROKER_LOST: "broker lost",
    CloseCode.REPLACED: "replaced by a newer connection",
    CloseCode.TOKEN_EXPIRED: "token expired",
    CloseCode.KICKED: "kicked",
    CloseCode.FLOODING: "flooding",
    CloseCode.PROTOCOL_VIOLATION: "protocol violation",
}
"""The text in the close frame beside the code, for people."""


def may_reconnect(code: int) -> bool:
    """Say whether a client that was closed with `code` should reconnect.

    Codes from 4500 on are final; so are those that say that the client broke the WebSocket protocol, or its
    rules here.
    """
    if code >= 4000:
        return code < 4500
    return code not in {
        CloseCode.NORMAL,
        CloseCode.PROTOCOL_ERROR,
        CloseCode.BINARY_FRAME,
        CloseCode.NOT_UTF8,
        CloseCode.TOO_BIG,
    }
