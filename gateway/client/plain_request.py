"""A short way for the upgrade request that nearly every client sends: plain, and there as a whole.

websockets reads a request line by line, in generators that may each have to wait for more bytes, and takes
every list in it apart by its grammar. What is plain needs neither. What is not is left to the library, which
alone decides what is wrong with a request.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.typing import Subprotocol
from websockets.utils import accept_key

from tieline.runtime.request_head import HEAD_BYTES

MOST_LINES: Final = 64
"""Headers of a plain request: browsers send some fifteen."""

_NAME: Final = r"[-!#$%&'*+.^_`|~0-9A-Za-z]+"
_REQUEST: Final = re.compile(rf"GET ([!-~]+) HTTP/1\.1\r\n((?:{_NAME}:[\t -~\x80-\xff]*\r\n)*+)\r\n")
_BODY: Final = ("Transfer-Encoding", "Content-Length")

_UPGRADES: Final = frozenset(("upgrade", "keep-alive, upgrade"))
_KEY: Final = re.compile(r"[A-Za-z0-9+/]{22}==")
_OFFERED: Final = re.compile(rf"{_NAME}(?:, {_NAME})*+")


class Answer(NamedTuple):
    """How a plain request for a WebSocket is answered."""

    accept: str
    """What shows that the request was read (`Sec-WebSocket-Accept`)."""
    offered: Sequence[Subprotocol]
    """The subprotocols of which one may be chosen."""


def read_plain(data: bytes) -> Request | None:
    """Read a plain request that is there as a whole, with nothing behind it; None: it is for the library."""
    if len(data) > HEAD_BYTES or not data.endswith(b"\r\n\r\n"):
        return None
    found = _REQUEST.fullmatch(data.decode("iso-8859-1"))
    if found is None:
        return None
    lines = found[2].split("\r\n")[:-1]
    if len(lines) > MOST_LINES:
        return None
    headers = Headers()
    for line in lines:
        name, _, value = line.partition(":")
        headers.set_insecure(name, value.strip(" \t"))
    return None if any(name in headers for name in _BODY) else Request(found[1], headers)


def answer_plain(request: Request) -> Answer | None:
    """Say how a request for a WebSocket is answered, if it is plain; None: it is for the library."""
    values = request.headers.get_all
    connection, upgrade, key = values("Connection"), values("Upgrade"), values("Sec-WebSocket-Key")
    offered = values("Sec-WebSocket-Protocol")
    is_plain = (
        request.method == "GET"
        and request.protocol == "HTTP/1.1"
        and len(connection) == len(upgrade) == len(key) == 1
        and connection[0].lower() in _UPGRADES
        and upgrade[0].lower() == "websocket"
        and _KEY.fullmatch(key[0])
        and values("Sec-WebSocket-Version") == ["13"]
        and len(values("Origin")) < 2
        and (not offered or (len(offered) == 1 and _OFFERED.fullmatch(offered[0])))
    )
    if not is_plain:
        return None
    names = offered[0].split(", ") if offered else ()
    return Answer(accept_key(key[0]), [Subprotocol(name) for name in names])
