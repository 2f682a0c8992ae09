"""What the server's refusals mean, in English. Pure.

The texts that a server sends are those of the protocol, in Chinese (`tieline.wire.codes`); programs act on
its word for it, the `reason`. Errors say both, for those who read them (`errors`). `web/tieline.js` has the
same sentences for messages.
"""

from typing import Final

OF_MESSAGES: Final = {
    "BAD_MESSAGE": "the server does not understand this message",
    "UNKNOWN_COMMAND": "the server does not know this command",
    "AMBIGUOUS_NAMES": "two programs might read this message differently",
    "NOT_IN_SAME_ROOM": "you share no room with this user",
    "TARGET_OFFLINE": "this user is not connected",
    "NO_MATCHING_OFFER": "there is no such call any more",
    "NO_VOICE_PERMISSION": "your token does not allow you to call",
    "SENDER_MISMATCH": "the message, or the new token, is of another user",
    "ROOM_FORBIDDEN": "your token does not allow this room",
    "BAD_TOKEN": "the new token is not valid",
    "ROOM_FULL": "the room is full",
    "RATE_LIMITED": "too many requests; try again in some seconds",
    "TOO_MANY_CANDIDATES": "more ICE candidates than a call may have",
    "TOO_MANY_ROOMS": "you are in as many rooms as you may be",
    "INTERNAL": "the servers could not do it now; try again",
}
"""By the reason of a message that is refused."""

OF_CONNECTIONS: Final = {
    "MALFORMED": "this is no request that a gateway understands",
    "UNAUTHORIZED": "the token is not valid",
    "BANNED": "the user may not connect for now",
    "FOREIGN_ORIGIN": "pages of this origin are not let in",
    "NOT_FOUND": "there is nothing at this path",
    "UPGRADE_REQUIRED": "this address is for WebSockets",
    "HEADERS_TOO_LARGE": "the request's headers are too large",
    "TOO_MANY_ROOMS": "the token names more rooms than it may",
    "TOKEN_IN_QUERY": "the token may not be in the URL",
    "TOKEN_NOT_FOR_HERE": "the token was issued for another service",
    "TOKEN_LIVES_TOO_LONG": "the token is valid for longer than it may be",
    "TOO_MANY_BAD_TOKENS": "too many bad tokens came from this address",
    "TOO_MANY_CONNECTIONS": "there are too many connections",
    "RATE_LIMITED": "too many connections were made in short time",
    "DRAINING": "this gateway is about to stop",
    "FULL": "this gateway has no room for more",
    "BUSY": "this gateway has too much to do",
    "KEYS_UNAVAILABLE": "the keys for tokens cannot be had now",
    "BROKER_UNAVAILABLE": "the gateway has lost its broker",
}
"""By the reason of a connection that is refused."""


def of_message(code: int, msg: str, reason: str, why: str = "") -> str:
    """Say why a message is refused, in English and in the server's own words.

    `why` is the reason with more about it, if there is more.
    """
    return _both(OF_MESSAGES.get(reason), code, msg, why or reason)


def of_connection(code: int, msg: str, reason: str, why: str = "") -> str:
    """The same for a connection that is refused."""
    return _both(OF_CONNECTIONS.get(reason), code, msg, why or reason)


def _both(english: str | None, code: int, msg: str, why: str) -> str:
    own = f"{code} {msg} ({why or 'no reason given'})"
    return own if english is None else f"{english}: {own}"
